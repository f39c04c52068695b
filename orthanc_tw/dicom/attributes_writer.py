"""`orthanc_tw.dicom.attributes.Attributes` as the bytes of a data set (PS3.5 sections 6 and 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from orthanc_tw.dicom.attributes import SPECIFIC_CHARACTER_SET, Attribute, Attributes
from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.uids import transfer_syntax
from orthanc_tw.dicom.values import TEXT_VRS
from orthanc_tw.model.errors import ErrorCode, OrthancError

_INTEGERS = {"SL": "i", "SS": "h", "UL": "I", "US": "H", "SV": "q", "UV": "Q"}
_FLOATS = {"FD": "d", "FL": "f"}
_LONG_VRS = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)
# VRs whose text SpecificCharacterSet does not touch (PS3.5 6.1.2.2)
_ASCII_VRS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
_MAX_SHORT_BYTES = 0xFFFE
_ITEM = 0xFFFEE000


def encode_attributes(attributes: Attributes, syntax: str, encoding: Encoding) -> bytes:
    """Encode a data set without meta information, its elements in ascending order.

    SpecificCharacterSet is written for ``encoding``, whatever ``attributes`` say of it.
    Characters that the encoding lacks are left out: see `encoding_for`.

    :param syntax: UID of a transfer syntax that is neither deflated nor encapsulated
    :raises OrthancError: INTERNAL_ERROR for another transfer syntax
    """
    known = transfer_syntax(syntax)
    if known is None or known.is_deflated or known.is_encapsulated:
        raise OrthancError(ErrorCode.INTERNAL_ERROR, f"No data set can be encoded in {syntax}")
    term = encoding.specific_character_set
    attributes = {tag: a for tag, a in attributes.items() if tag != SPECIFIC_CHARACTER_SET}
    if term:
        attributes[SPECIFIC_CHARACTER_SET] = Attribute("CS", term)
    order = "<" if known.is_little_endian else ">"
    return _Writer(known.is_explicit, order, charsets_of(term, encoding)).dataset(attributes)


def encoding_for(attributes: Attributes, candidates: Iterable[Encoding]) -> Encoding:
    """The first of some encodings that has all characters of a data set, else UTF-8."""
    texts = "".join(_texts(attributes))
    for encoding in candidates:
        try:
            texts.encode(encoding.codec)
        except UnicodeError:
            continue
        return encoding
    return Encoding.UTF8


def _texts(attributes: Attributes) -> Iterable[str]:
    for attribute in attributes.values():
        yield attribute.text
        for item in attribute.items or ():
            yield from _texts(item)


class _Writer:
    def __init__(self, explicit: bool, order: str, charset: CharacterSet) -> None:
        self._explicit = explicit
        self._order = order
        self._charset = charset

    def dataset(self, attributes: Attributes) -> bytes:
        return b"".join(self._element(tag, attributes[tag]) for tag in sorted(attributes))

    def _element(self, tag: int, attribute: Attribute) -> bytes:
        vr = attribute.vr
        value = self._value(tag, attribute)
        head = struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        if not self._explicit:
            return head + struct.pack(self._order + "I", len(value)) + value
        if vr not in _LONG_VRS and len(value) > _MAX_SHORT_BYTES:
            vr = "UN"  # PS3.5 6.2.2
        letters = vr.encode("ascii")
        if vr in _LONG_VRS:
            return head + letters + struct.pack(self._order + "HI", 0, len(value)) + value
        return head + letters + struct.pack(self._order + "H", len(value)) + value

    def _value(self, tag: int, attribute: Attribute) -> bytes:
        vr, text = attribute.vr, attribute.text
        if vr == "SQ":
            return b"".join(map(self._item, attribute.items or ()))
        if not text:
            return b""
        if vr in TEXT_VRS:
            if vr in _ASCII_VRS:
                raw = text.encode("ascii", "ignore")
            else:
                # a code extension ends with its component: each value is encoded by itself
                raw = b"\\".join(self._charset.encode(part) for part in text.split("\\"))
            return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
        try:
            return b"".join(self._number(vr, part) for part in text.split("\\"))
        except (ValueError, OverflowError, struct.error):
            return b""

    def _item(self, item: Attributes) -> bytes:
        content = self.dataset(item)
        return struct.pack(self._order + "HHI", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content

    def _number(self, vr: str, text: str) -> bytes:
        if vr in _INTEGERS:
            return struct.pack(self._order + _INTEGERS[vr], int(text))
        if vr in _FLOATS:
            return struct.pack(self._order + _FLOATS[vr], float(text))
        if vr == "AT":
            tag = int(text.replace(",", ""), 16)
            return struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        return b""
