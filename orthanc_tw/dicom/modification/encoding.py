"""Encoding of elements (PS3.5 section 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orthanc_tw.dicom.document import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
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
