"""Encoding of elements (PS3.5 section 7.1), and of the file meta information (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orthanc_tw.dicom.document import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
# PS3.10 table 7.1-1: who wrote the file. The UID is that of the package that DICOMDIRs name too
_IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.8.498.1"
_IMPLEMENTATION_VERSION_NAME = b"ORTHANC_TW"
_MAX_SHORT = 0xFFFE


@dataclass(frozen=True, slots=True)
class ElementEncoding:
    """How elements are written."""

    implicit: bool
    little_endian: bool

    @classmethod
    def of(cls, transfer_syntax: str) -> ElementEncoding:
        """That of the data set of a transfer syntax."""
        return cls(transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN)

    def head(self, tag: int, vr: str, length: int) -> bytes:
        """Tag, VR and length of an element; ``length`` may be `UNDEFINED`.

        A value that is too long for its VR is written as UN (PS3.5 section 6.2.2 note).
        """
        order = "<" if self.little_endian else ">"
        group, number = tag >> 16, tag & 0xFFFF
        if self.implicit:
            return struct.pack(order + "HHI", group, number, length)
        if vr in LONG_VRS:
            return struct.pack(order + "HH2s2xI", group, number, vr.encode("ascii"), length)
        if length > _MAX_SHORT:
            return struct.pack(order + "HH2s2xI", group, number, b"UN", length)
        return struct.pack(order + "HH2sH", group, number, vr.encode("ascii"), length)

    def item_head(self, length: int) -> bytes:
        """(FFFE,E000) and the length of an item."""
        return struct.pack(("<" if self.little_endian else ">") + "HHI", 0xFFFE, 0xE000, length)


NATIVE_SYNTAXES = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))
"""Transfer syntaxes with pixels as they are, between which elements alone are rewritten."""

_META = ElementEncoding(implicit=False, little_endian=True)


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Preamble, prefix and group 0002. Nothing of the source's is left in them."""
    body = b"".join(
        _META.head(0x00020000 | number, vr, len(value)) + value
        for number, vr, value in (
            (0x01, "OB", b"\0\1"),
            (0x02, "UI", _uid(sop_class_uid)),
            (0x03, "UI", _uid(sop_instance_uid)),
            (0x10, "UI", _uid(transfer_syntax)),
            (0x12, "UI", _uid(_IMPLEMENTATION_CLASS_UID)),
            (0x13, "SH", _IMPLEMENTATION_VERSION_NAME),
        )
    )
    group_length = struct.pack("<I", len(body))
    return bytes(128) + b"DICM" + _META.head(0x00020000, "UL", 4) + group_length + body


def _uid(uid: str) -> bytes:
    encoded = uid.encode("ascii", "replace")
    return encoded + b"\0" * (len(encoded) & 1)
