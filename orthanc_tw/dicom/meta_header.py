"""Preamble and file meta information (PS3.10 section 7), and guessing where they are missing."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orthanc_tw.dicom.scan import KNOWN_VRS, Layout
from orthanc_tw.dicom.sniff import has_dicom_prefix
from orthanc_tw.dicom.source import Malformed
from orthanc_tw.dicom.tags import UNKNOWN_NAME, keyword

_LONG = frozenset((b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC", b"UR", b"OF", b"OD", b"OL"))
_TRANSFER_SYNTAX_UID = 0x10
_HEADER = struct.Struct("<H2sH").unpack_from
_LENGTH = struct.Struct("<L").unpack_from


@dataclass(frozen=True, slots=True)
class MetaHeader:
    """What precedes a data set.

    :ivar transfer_syntax: value of (0002,0010), '' if there is none
    :ivar dataset_offset: position of the data set in the file
    :ivar has_prefix: whether preamble and ``DICM`` are there
    :ivar has_meta_header: whether there are elements of group 0002
    """

    transfer_syntax: str
    dataset_offset: int
    has_prefix: bool
    has_meta_header: bool


def read_meta_header(head: bytes) -> MetaHeader:
    """Read it from the first bytes of a file (usually some hundred).

    The group length is not relied on: it is missing or wrong in too many files. Group 0002
    without preamble is understood as well.

    :raises Malformed: if an element of group 0002 is cut off
    """
    has_prefix = has_dicom_prefix(head)
    start = position = 132 if has_prefix else 0
    transfer_syntax = ""
    while head[position : position + 2] == b"\x02\x00":
        if position + 12 > len(head):
            raise Malformed("the meta header is cut off")
        element, vr, length = _HEADER(head, position + 2)
        position += 8
        if vr in _LONG:
            length = _LENGTH(head, position)[0]
            position += 4
        elif vr not in KNOWN_VRS:
            raise Malformed(f"the meta header has the VR {vr!r}")
        if position + length > len(head):
            raise Malformed("the meta header is cut off or too long")
        if element == _TRANSFER_SYNTAX_UID:
            value = head[position : position + length]
            transfer_syntax = value.decode("ascii", "replace").strip(" \0")
        position += length
    return MetaHeader(transfer_syntax, position, has_prefix, position > start)


def guess_layout(first: bytes) -> Layout:
    """Layout of a data set by its first element (6 bytes): VR there or not, byte order.

    A VR in its place means explicit VR. The byte order is the one in which the tag is known to
    the dictionary; if that says nothing, the one with the smaller group.
    """
    if len(first) < 6:
        return Layout(is_explicit=False, is_little_endian=True)
    is_explicit = first[4:6] in KNOWN_VRS
    little = _tag(first, "<")
    big = _tag(first, ">")
    little_known = keyword(little) != UNKNOWN_NAME
    big_known = keyword(big) != UNKNOWN_NAME
    if little_known == big_known:
        is_little_endian = not (little >> 16 > 0xFF and big >> 16 <= 0xFF)
    else:
        is_little_endian = little_known
    return Layout(is_explicit, is_little_endian)


def _tag(first: bytes, order: str) -> int:
    group, element = struct.unpack_from(order + "HH", first)
    return int(group) << 16 | int(element)
