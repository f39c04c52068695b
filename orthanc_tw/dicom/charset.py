"""Character sets: Orthanc's encodings, and the decoding of text by SpecificCharacterSet.

Owns the way from the bytes of a text element to ``str`` (PS3.3 C.12.1.1.2, PS3.5 section 6.1).
Knows nothing of tags, padding or files.

Orthanc takes the *first* term of SpecificCharacterSet that it knows and decodes the whole value
by it; `CodeExtensions.ORTHANC` does the same, so that names, identifiers and answers are equal
to its own. `CodeExtensions.STANDARD` follows each escape sequence as PS3.5 section 6.1.2.5 says.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from orthanc_tw.model.errors import ErrorCode, OrthancError

_ESCAPE_SEQUENCE = re.compile(rb"\x1b[\x20-\x2f]*[\x30-\x7e]")
_NOT_ASCII_TEXT = bytes(c for c in range(256) if c >= 127 or (c < 32 and c != 10))
_PERSON_NAME_DELIMITERS = {0x5C, 0x5E, 0x3D}
_TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09, 0x5C}


class Encoding(enum.Enum):
    """Encodings by Orthanc's name (option ``DefaultEncoding``, ``/tools/default-encoding``)."""

    ASCII = "Ascii"
    UTF8 = "Utf8"
    LATIN1 = "Latin1"
    LATIN2 = "Latin2"
    LATIN3 = "Latin3"
    LATIN4 = "Latin4"
    LATIN5 = "Latin5"
    CYRILLIC = "Cyrillic"
    WINDOWS1251 = "Windows1251"
    ARABIC = "Arabic"
    GREEK = "Greek"
    HEBREW = "Hebrew"
    THAI = "Thai"
    JAPANESE = "Japanese"
    CHINESE = "Chinese"
    JAPANESE_KANJI = "JapaneseKanji"
    KOREAN = "Korean"
    SIMPLIFIED_CHINESE = "SimplifiedChinese"

    @property
    def codec(self) -> str:
        """Name of the Python codec."""
        return _CODECS[self]

    @property
    def specific_character_set(self) -> str | None:
        """Defined term (PS3.3 C.12.1.1.2) to write for this encoding.

        '' for the default repertoire; None if DICOM has no term (``Windows1251``).
        """
        return _DEFINED_TERMS[self]

    @classmethod
    def parse(cls, name: str) -> Encoding:
        """The encoding of that name, case ignored.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE if there is none
        """
        found = _BY_NAME.get(name.lower())
        if found is None:
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        return found


_ASCII = Encoding.ASCII  # a member that is looked up for each value costs more than decoding it

_CODECS = {
    Encoding.ASCII: "ascii",
    Encoding.UTF8: "utf-8",
    Encoding.LATIN1: "iso8859-1",
    Encoding.LATIN2: "iso8859-2",
    Encoding.LATIN3: "iso8859-3",
    Encoding.LATIN4: "iso8859-4",
    Encoding.LATIN5: "iso8859-9",
    Encoding.CYRILLIC: "iso8859-5",
    Encoding.WINDOWS1251: "cp1251",
    Encoding.ARABIC: "iso8859-6",
    Encoding.GREEK: "iso8859-7",
    Encoding.HEBREW: "iso8859-8",
    Encoding.THAI: "iso8859-11",
    Encoding.JAPANESE: "shift_jis",
    Encoding.CHINESE: "gb18030",
    Encoding.JAPANESE_KANJI: "iso2022_jp_ext",
    Encoding.KOREAN: "euc_kr",
    Encoding.SIMPLIFIED_CHINESE: "gb2312",
}

_DEFINED_TERMS: dict[Encoding, str | None] = {
    Encoding.ASCII: "",
    Encoding.UTF8: "ISO_IR 192",
    Encoding.LATIN1: "ISO_IR 100",
    Encoding.LATIN2: "ISO_IR 101",
    Encoding.LATIN3: "ISO_IR 109",
    Encoding.LATIN4: "ISO_IR 110",
    Encoding.LATIN5: "ISO_IR 148",
    Encoding.CYRILLIC: "ISO_IR 144",
    Encoding.WINDOWS1251: None,
    Encoding.ARABIC: "ISO_IR 127",
    Encoding.GREEK: "ISO_IR 126",
    Encoding.HEBREW: "ISO_IR 138",
    Encoding.THAI: "ISO_IR 166",
    Encoding.JAPANESE: "ISO_IR 13",
    Encoding.CHINESE: "GB18030",
    Encoding.JAPANESE_KANJI: "ISO 2022 IR 87",
    Encoding.KOREAN: "ISO 2022 IR 149",
    Encoding.SIMPLIFIED_CHINESE: "ISO 2022 IR 58",
}

_BY_NAME = {encoding.value.lower(): encoding for encoding in Encoding}

_BY_TERM: dict[str, Encoding] = {
    **{term: encoding for encoding, term in _DEFINED_TERMS.items() if term},
    **{
        term.replace("ISO_IR ", "ISO 2022 IR "): encoding
        for encoding, term in _DEFINED_TERMS.items()
        if term and term.startswith("ISO_IR ") and encoding is not Encoding.UTF8
    },
    "ISO_IR 6": Encoding.ASCII,
    "ISO 2022 IR 6": Encoding.ASCII,
    "ISO 2022 IR 159": Encoding.JAPANESE_KANJI,
    "GBK": Encoding.CHINESE,
}


class CodeExtensions(enum.Enum):
    """What to do with a value whose SpecificCharacterSet has several terms (ISO 2022)."""

    ORTHANC = "Orthanc"
    STANDARD = "Standard"


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """How the text of one data set is encoded. Get one from `charsets_of`.

    :ivar encoding: the encoding that decodes a whole value
    :ivar has_code_extensions: whether SpecificCharacterSet has more than one term
    :ivar standard_codecs: codecs of all terms, if escape sequences are to be followed one by one
    """

    encoding: Encoding
    has_code_extensions: bool = False
    standard_codecs: tuple[str, ...] = ()

    @property
    def keeps_ascii(self) -> bool:
        """Whether bytes below 128, whichever, mean the characters of ASCII."""
        return not self.has_code_extensions and self.encoding not in _CHANGES_ASCII

    def decode(self, value: bytes, *, is_person_name: bool = False) -> str:
        """Decode the bytes of a text value; never raises.

        Bytes that mean nothing in the encoding are left out. Padding and backslashes stay.

        :param is_person_name: VR is PN, so that ``^`` and ``=`` end a code extension as well
        """
        if value.isascii() and b"\x1b" not in value and self.encoding is not _ASCII:
            return value.decode("ascii")
        if self.standard_codecs:
            return self._decode_standard(value, is_person_name)
        if self.encoding is Encoding.ASCII:
            return value.translate(None, _NOT_ASCII_TEXT).decode("ascii")
        if self.has_code_extensions and self.encoding not in _KEEP_ESCAPES:
            value = _ESCAPE_SEQUENCE.sub(b"", value)
        return value.decode(self.encoding.codec, "ignore")

    def encode(self, text: str) -> bytes:
        """Encode text by `encoding`; never raises.

        Characters that the encoding lacks are left out, as Orthanc does.
        """
        encoded = text.encode(self.encoding.codec, "ignore")
        if self.encoding is Encoding.KOREAN and not encoded.isascii():
            # PS3.5 6.1.2.5.3: G1 has no multi-byte set until it is designated.
            return b"\x1b$)C" + encoded
        if self.encoding is Encoding.SIMPLIFIED_CHINESE and not encoded.isascii():
            return b"\x1b$)A" + encoded
        return encoded

    def _decode_standard(self, value: bytes, is_person_name: bool) -> str:
        from pydicom.charset import decode_bytes  # rare, and not small

        delimiters = _PERSON_NAME_DELIMITERS if is_person_name else _TEXT_DELIMITERS
        try:
            text = decode_bytes(value, self.standard_codecs, delimiters)
        except (UserWarning, LookupError, UnicodeError):
            # Where warnings are errors, pydicom's on undecodable bytes is one.
            return value.decode(self.encoding.codec, "ignore")
        return text.replace("\ufffd", "").replace("\x1b", "")


_CHANGES_ASCII = frozenset({Encoding.ASCII, Encoding.JAPANESE_KANJI})
_KEEP_ESCAPES = frozenset({Encoding.JAPANESE_KANJI, Encoding.UTF8})


def charsets_of(
    specific_character_set: str | Sequence[str] | None,
    default: Encoding,
    *,
    code_extensions: CodeExtensions = CodeExtensions.STANDARD,
) -> CharacterSet:
    r"""How to decode the text of a data set.

    :param specific_character_set: value of (0008,0005), ``\`` separated or already split;
        None if the element is absent
    :param default: encoding of data sets that name none, or none that is known
    :param code_extensions: what to make of several terms
    """
    if specific_character_set is None:
        terms: tuple[str, ...] = ()
    elif isinstance(specific_character_set, str):
        terms = tuple(specific_character_set.split("\\"))
    else:
        terms = tuple(specific_character_set)
    return _charsets_of(terms, default, code_extensions)


@lru_cache(maxsize=256)
def _charsets_of(
    terms: tuple[str, ...], default: Encoding, code_extensions: CodeExtensions
) -> CharacterSet:
    stripped = [term.strip(" \0") for term in terms]
    known = [_BY_TERM[term] for term in stripped if term in _BY_TERM]
    encoding = known[0] if known else default
    has_code_extensions = len(terms) > 1
    if code_extensions is CodeExtensions.STANDARD and has_code_extensions and known:
        usable = [term for term in stripped if not term or term in _BY_TERM]
        from pydicom.charset import convert_encodings  # rare, and not small

        codecs = tuple(convert_encodings(usable))
        return CharacterSet(encoding, True, codecs)
    return CharacterSet(encoding, has_code_extensions)
