r"""Raw values of elements as the text that the REST API shows (PS3.5 6.2).

Text loses its padding as in the reference: it ends at the first NUL, and trailing spaces go
(leading ones too for UIDs). Numbers are decimal, floating point with 17 significant digits;
several are joined by a backslash. Whatever is binary has no text.
"""

from __future__ import annotations

import struct

from orthanc_tw.dicom.charset import CharacterSet
from orthanc_tw.dicom.tags import UserDictionary, vr_of

MAX_TEXT_BYTES = 256

TEXT_VRS = frozenset(
    vr.decode() for vr in b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split()
)
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
        return _text(known, raw, charset) if known in TEXT_VRS else None
    return None


def main_tag_of(text: str | None) -> str | None:
    """The text if the index may keep it: at most `MAX_TEXT_BYTES` of UTF-8."""
    if text is None or (len(text) * 4 > MAX_TEXT_BYTES and _utf8_length(text) > MAX_TEXT_BYTES):
        return None
    return text


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _text(vr: str, raw: bytes, charset: CharacterSet) -> str:
    if b"\0" in raw:
        raw = raw[: raw.index(b"\0")]
    text = charset.decode(raw, is_person_name=vr == "PN")
    return text.strip(" ") if vr == "UI" else text.rstrip(" ")


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
