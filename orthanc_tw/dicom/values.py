r"""Raw values of elements as the text that the REST API shows (PS3.5 6.2).

Text loses its padding as in the reference: it ends at the first NUL, and trailing spaces go
(leading ones too for UIDs). Numbers are decimal, floating point with 17 significant digits;
several are joined by a backslash. Whatever is binary has no text.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from orthanc_tw.dicom.charset import CharacterSet
from orthanc_tw.dicom.tags import UserDictionary, vr_of

MAX_TEXT_BYTES = 256
_WHITE_SPACE = " \t\n\v\f\r"

_TEXT_VRS = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
TEXT_VRS = frozenset(vr.decode() for vr in _TEXT_VRS)
_NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
    "AT": "HH",
}


def text_of(
    tag: int,
    vr: str,
    raw: bytes,
    charset: CharacterSet,
    *,
    is_little_endian: bool = True,
    dictionary: UserDictionary | None = None,
) -> str | None:
    """Text of a value, of any length; None if it has none (sequences, binary, unknown VRs).

    An element of VR UN is text if the dictionary says so.
    """
    if vr in TEXT_VRS:
        return _text(vr, raw, charset)
    if vr in _NUMBERS:
        return _numbers(vr, raw, is_little_endian)
    if vr == "UN":
        known = vr_of(tag, dictionary) if dictionary is not None else vr_of(tag)
        # What UN is padded with is not known: only the NUL goes.
        return _decoded(known, raw, charset) if known in TEXT_VRS else None
    return None


def short_texts(
    values: Mapping[int, tuple[bytes, bytes | None]],
    charset: CharacterSet,
    *,
    is_little_endian: bool,
    dictionary: UserDictionary,
) -> dict[int, str]:
    """Text of each value that has one of at most `MAX_TEXT_BYTES`, by tag.

    The same as `main_tag_of` of `text_of`, on a shorter way for the many ASCII values.

    :param values: tag to VR and raw value, as `orthanc_tw.dicom.scan` keeps them
    """
    texts = {}
    keeps_ascii = charset.keeps_ascii
    for tag, (vr, raw) in values.items():
        if raw is None:
            continue
        if keeps_ascii and vr in _TEXT_VRS and raw.isascii():
            text = raw.decode("ascii")
            if "\0" in text:
                text = text[: text.index("\0")]
            text = text.strip(_WHITE_SPACE) if vr == b"UI" else text.rstrip(" ")
            if len(text) <= MAX_TEXT_BYTES:
                texts[tag] = text
            continue
        other = main_tag_of(
            text_of(
                tag,
                vr.decode("latin-1"),
                raw,
                charset,
                is_little_endian=is_little_endian,
                dictionary=dictionary,
            )
        )
        if other is not None:
            texts[tag] = other
    return texts


def main_tag_of(text: str | None) -> str | None:
    """The text if the index may keep it: at most `MAX_TEXT_BYTES` of UTF-8."""
    if text is None or (len(text) * 4 > MAX_TEXT_BYTES and _utf8_length(text) > MAX_TEXT_BYTES):
        return None
    return text


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _decoded(vr: str, raw: bytes, charset: CharacterSet) -> str:
    if b"\0" in raw:
        raw = raw[: raw.index(b"\0")]
    return charset.decode(raw, is_person_name=vr == "PN")


def _text(vr: str, raw: bytes, charset: CharacterSet) -> str:
    text = _decoded(vr, raw, charset)
    return text.strip(_WHITE_SPACE) if vr == "UI" else text.rstrip(" ")


def _numbers(vr: str, raw: bytes, is_little_endian: bool) -> str | None:
    """Decimal text; None if the value is empty or no whole number of numbers."""
    order = "<" if is_little_endian else ">"
    code = _NUMBERS[vr]
    size = struct.calcsize(order + code)
    if not raw or len(raw) % size:
        return None
    values = struct.iter_unpack(order + code, raw)
    if vr == "AT":
        return "\\".join(f"{group:04x},{element:04x}" for group, element in values)
    if vr in ("FL", "FD"):
        return "\\".join(f"{value:.17g}" for (value,) in values)
    return "\\".join(str(value) for (value,) in values)
