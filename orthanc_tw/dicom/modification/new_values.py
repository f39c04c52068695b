"""The bytes of new values: text, numbers, ``data:`` URIs and sequences as requests give them."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.charset import CharacterSet
from orthanc_tw.dicom.modification.encoding import ElementEncoding
from orthanc_tw.dicom.tag_names import dictionary_vr, tag_name
from orthanc_tw.dicom.tags import UNKNOWN_NAME, UserDictionary, format_tag, parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue

#: VRs whose text is encoded by SpecificCharacterSet (PS3.5 section 6.1.2.3)
ENCODED_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_NUMBERS = {
    "FD": "d",
    "FL": "f",
    "SL": "i",
    "SS": "h",
    "SV": "q",
    "UL": "I",
    "US": "H",
    "UV": "Q",
}
_BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_DATA_URI = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_TIME = r"\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?"
_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# PS3.5 table 6.2-1; what older versions of DICOM allowed is allowed
_FORMATS = {
    vr: re.compile(pattern)
    for vr, pattern in {
        "AS": r"\d{3}[DWMY]",
        "DA": r"\d{8}|\d{4}\.\d\d\.\d\d",
        "DS": rf"\s*{_DECIMAL}\s*",
        "DT": r"\d{4}(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?",
        "IS": r"\s*[+-]?\d{1,12}\s*",
        "TM": _TIME,
        "UI": r"[0-9.]{1,64}",
    }.items()
}


class NotEncodable(Exception):
    """Text has characters that the character set lacks."""


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How values are read.

    :ivar strict: text that its VR or the character set does not allow is refused; else it is
        written as it is, without what the character set lacks
    :ivar data_uris: a ``data:`` URI stands for its bytes
    """

    strict: bool = True
    data_uris: bool = True


STRICT = ValueRules()


def refusal(tag: int, vr: str | None = None) -> OrthancError:
    """BAD_PARAMETER_TYPE that names the element."""
    details = f"Bad Parameter type for tag {format_tag(tag)}"
    if vr is not None:
        name = tag_name(tag)
        shown = "" if name == UNKNOWN_NAME else f" ({name})"
        details += f"{shown}: the value does not fit VR {vr}"
    return OrthancError(ErrorCode.BAD_PARAMETER_TYPE, details)


def texts(value: JsonValue) -> Iterator[str]:
    """All texts of a new value, those of items too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for nested in value.values():
            yield from texts(nested)
    elif isinstance(value, Sequence):
        for nested in value:
            yield from texts(nested)


def is_encodable(text: str, charset: CharacterSet) -> bool:
    """Whether nothing of a text is lost."""
    if text.isascii() and charset.keeps_ascii:
        return True
    return charset.decode(charset.encode(text)) == text


def check_value(
    tag: int, value: JsonValue, dictionary: UserDictionary, creator: str | None = None
) -> None:
    """Refuse a value that cannot be one of the element, as far as the dictionary tells its VR.

    :raises OrthancError: BAD_PARAMETER_TYPE that names the element
    """
    vr = dictionary_vr(tag, creator, dictionary=dictionary)
    encoding = ElementEncoding(implicit=False, little_endian=True)
    if isinstance(value, str) and vr == "SQ":
        raise refusal(tag, vr)
    if not isinstance(value, str) and vr == "UN" and isinstance(value, list):
        vr = "SQ"
    encode_value(tag, vr, value, encoding, None, dictionary)


def encode_value(
    tag: int,
    vr: str,
    value: JsonValue,
    encoding: ElementEncoding,
    charset: CharacterSet | None,
    dictionary: UserDictionary,
    rules: ValueRules = STRICT,
) -> bytes:
    """The bytes of a value, padded to an even length.

    :param charset: of the data set; None to check a value without encoding its text
    :raises OrthancError: BAD_PARAMETER_TYPE that names the element if the value does not fit
        its VR; UNKNOWN_DICOM_TAG for an unknown name in an item
    :raises NotEncodable: if the character set lacks a character
    """
    if vr == "SQ":
        return _sequence(tag, value, encoding, charset, dictionary, rules)
    if not isinstance(value, str):
        raise refusal(tag)
    uri = _DATA_URI.match(value) if rules.data_uris else None
    if uri is not None:
        try:
            data = base64.b64decode(value[uri.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise refusal(tag) from None
        return _padded(data, vr)
    if not value:
        return b""
    if vr in _NUMBERS or vr == "AT":
        try:
            return b"".join(
                _number(part.strip(), vr, encoding, dictionary) for part in value.split("\\")
            )
        except (ValueError, OverflowError, struct.error, OrthancError):
            raise refusal(tag, vr) from None
    return _padded(_text(tag, vr, value, charset, rules), vr)


def _text(tag: int, vr: str, value: str, charset: CharacterSet | None, rules: ValueRules) -> bytes:
    if not rules.strict and vr not in _BYTES:
        return charset.encode(value) if charset is not None else b""
    form = _FORMATS.get(vr)
    if form is not None and not all(
        part == "" or form.fullmatch(part) for part in value.rstrip(" \0").split("\\")
    ):
        raise refusal(tag, vr)
    if vr in _BYTES:
        return value.encode("utf-8", "surrogatepass")
    if vr not in ENCODED_VRS:
        try:
            return value.encode("ascii")
        except UnicodeEncodeError:
            raise refusal(tag, vr) from None
    if charset is None:
        return b""
    if not is_encodable(value, charset):
        raise NotEncodable
    return charset.encode(value)


def _padded(data: bytes, vr: str) -> bytes:
    if len(data) % 2 == 0:
        return data
    return data + (b"\0" if vr == "UI" or vr in _BYTES else b" ")


def _number(text: str, vr: str, encoding: ElementEncoding, dictionary: UserDictionary) -> bytes:
    order = "<" if encoding.little_endian else ">"
    if vr == "AT":
        tag = parse_tag(text, dictionary)
        return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    code = _NUMBERS[vr]
    return struct.pack(order + code, float(text) if code in "fd" else int(text))


def _sequence(
    tag: int,
    value: JsonValue,
    encoding: ElementEncoding,
    charset: CharacterSet | None,
    dictionary: UserDictionary,
    rules: ValueRules,
) -> bytes:
    if value == "":
        return b""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise refusal(tag)
    parts: list[bytes] = []
    for item in value:
        elements = sorted(
            (parse_tag(str(name), dictionary), nested) for name, nested in item.items()
        )
        body = b""
        for nested_tag, nested in elements:
            vr = dictionary_vr(nested_tag, dictionary=dictionary)
            if vr == "UN" and isinstance(nested, list):
                vr = "SQ"
            data = encode_value(nested_tag, vr, nested, encoding, charset, dictionary, rules)
            body += encoding.head(nested_tag, vr, len(data)) + data
        parts += (encoding.item_head(len(body)), body)
    return b"".join(parts)
