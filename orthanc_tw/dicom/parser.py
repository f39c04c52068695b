"""The parser of `document.Document`: lenient where DCMTK is, strict about limits.

A value that would reach past its container ends with it, as in a truncated file; an element
that comes twice counts once, the first time.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from orthanc_tw.dicom.document import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Document,
    DocumentLimits,
    Element,
    Item,
    inflate,
)
from orthanc_tw.dicom.tag_names import dictionary_vr, is_private_creator
from orthanc_tw.dicom.tags import UserDictionary, is_private
from orthanc_tw.model.errors import ErrorCode, OrthancError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
# Every instance starts with the SOP Common module, in group 0008; some slack for odd files
_MAX_FIRST_GROUP = 0x0028
_SPECIFIC_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(b" ")
)
_VRS = _LONG_VRS | _SHORT_VRS


def read_document(
    file: BinaryIO,
    *,
    stop_at_pixels: bool = False,
    limits: DocumentLimits | None = None,
    dictionary: UserDictionary | None = None,
) -> Document:
    """Parse a DICOM file.

    Blocks on the file: call it in a thread. ``file`` must be seekable, and open as long as
    the answer is used.

    :param stop_at_pixels: end with the pixel data element, without entering it
    :param dictionary: elements that option ``Dictionary`` adds (VRs of implicit VR files)
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM or exceeds a limit
    """
    limits = limits or DocumentLimits()
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    preamble = file.read(132)
    meta = Item()
    start = 132 if preamble[128:] == b"DICM" else 0
    parser = _Parser(file, size_bytes, limits, implicit=False, little_endian=True)
    if start:
        start = parser.parse_meta(meta, start)
    elif preamble[:2] == b"\2\0":
        start = parser.parse_meta(meta, 0)
    syntax = _transfer_syntax(meta) or _guess(file, start)
    temporary = syntax == DEFLATED
    if temporary:
        file = inflate(file, start, limits.max_inflated_bytes)  # type: ignore[assignment]
        size_bytes = file.seek(0, os.SEEK_END)
    dataset = Item(little_endian=syntax != BIG_ENDIAN)
    document = Document(meta, dataset, syntax, file, temporary)
    parser = _Parser(
        file,
        size_bytes,
        limits,
        implicit=syntax == IMPLICIT,
        little_endian=dataset.little_endian,
    )
    parser.stop_at_pixels = stop_at_pixels
    parser.dictionary = dictionary
    try:
        parser.parse_item(dataset, start, size_bytes, 0)
    except BaseException:
        document.close()
        raise
    if not dataset.elements and not meta.elements:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    return document


def _transfer_syntax(meta: Item) -> str:
    element = meta.elements.get(0x00020010)
    return (element.inline or b"").decode("ascii", "replace").strip(" \0") if element else ""


def _guess(file: BinaryIO, start: int) -> str:
    """Transfer syntax of a data set without meta information, by its first element."""
    file.seek(start)
    head = file.read(6)
    # A group number is small: its zero byte comes first in big endian
    big_endian = head[:1] == b"\0"
    group = int.from_bytes(head[:2], "big" if big_endian else "little")
    if not 0 < group <= _MAX_FIRST_GROUP:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    if head[4:6] in _VRS:
        return BIG_ENDIAN if big_endian else EXPLICIT
    return IMPLICIT


class _Parser:
    """One pass over one data set."""

    def __init__(
        self,
        file: BinaryIO,
        size_bytes: int,
        limits: DocumentLimits,
        *,
        implicit: bool,
        little_endian: bool,
    ) -> None:
        self._file = file
        self._size = size_bytes
        self._limits = limits
        self._implicit = implicit
        self._order = "<" if little_endian else ">"
        self._little_endian = little_endian
        self._count = 0
        self.stop_at_pixels = False
        self.dictionary: UserDictionary | None = None

    def parse_meta(self, meta: Item, start: int) -> int:
        """Parse group 0002, which ends where another group begins; answers that offset."""
        position = start
        while position + 8 <= self._size:
            self._file.seek(position)
            if self._file.read(2) != b"\2\0":
                break
            element, position = self._element(meta, position, self._size, 0, {}, False)
            meta.elements.setdefault(element.tag, element)
        return position

    def parse_item(self, item: Item, position: int, end: int, depth: int) -> int:
        """Parse elements up to ``end`` or an item delimiter; answers the offset after it."""
        if depth > self._limits.max_depth:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Sequences are nested too deeply")
        creators: dict[int, str] = {}
        signed = False
        while position + 8 <= end:
            tag = self._tag(position)
            if tag in (_ITEM_END, _SEQUENCE_END):
                return position + 8
            element, position = self._element(item, position, end, depth, creators, signed)
            if element.tag in item.elements:
                continue
            item.elements[element.tag] = element
            if is_private_creator(tag) and element.inline is not None:
                creator = element.inline.decode("latin-1").strip(" \0")
                creators[(tag >> 16) << 8 | tag & 0xFF] = creator
            elif tag == _SPECIFIC_CHARACTER_SET and element.inline is not None:
                item.specific_character_set = element.inline.decode("latin-1")
            elif tag == _PIXEL_REPRESENTATION and element.inline:
                signed = any(element.inline)
            elif tag in _PIXEL_DATA and depth == 0 and self.stop_at_pixels:
                return end
        return max(position, end)

    def _tag(self, position: int) -> int:
        self._file.seek(position)
        group, element = struct.unpack(self._order + "HH", self._file.read(4))
        return int(group << 16 | element)

    def _element(
        self,
        parent: Item,
        position: int,
        end: int,
        depth: int,
        creators: dict[int, str],
        signed: bool,
    ) -> tuple[Element, int]:
        """The element at ``position`` and the offset after it."""
        self._count += 1
        if self._count > self._limits.max_elements:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The file has too many elements")
        tag = self._tag(position)
        creator = None
        if is_private(tag) and not is_private_creator(tag):
            creator = creators.get((tag >> 16) << 8 | (tag & 0xFFFF) >> 8)
        vr, offset, length = self._head(tag, creator, signed)
        element = Element(tag, vr, offset, length, creator)
        if length == _UNDEFINED:
            if vr in ("SQ", "UN"):
                return element, self._undefined_sequence(parent, element, end, depth)
            element.is_encapsulated = True
            if self.stop_at_pixels and tag in _PIXEL_DATA and depth == 0:
                element.length = max(0, end - offset)
                return element, end
            return element, self._fragments(element, end)
        element.length = max(0, min(length, end - offset))
        after = offset + element.length
        if vr == "SQ":
            self._items(parent, element, after, depth)
        elif element.length <= self._limits.inline_bytes:
            self._file.seek(offset)
            element.inline = self._file.read(element.length)
        return element, after

    def _head(self, tag: int, creator: str | None, signed: bool) -> tuple[str, int, int]:
        """VR, offset of the value and length of the element whose tag was just read."""
        start = self._file.tell()
        head = self._file.read(8)
        if self._implicit or head[:2] not in _VRS:
            vr = head[:2]
            if self._implicit or not (vr.isalpha() and vr.isupper()):
                # A bad VR: DCMTK reads on as if the element were implicit
                (length,) = struct.unpack_from(self._order + "I", head)
                vr_found = dictionary_vr(tag, creator, signed, self.dictionary)
                return vr_found, start + 4, length
        elif head[:2] in _SHORT_VRS:
            (length,) = struct.unpack_from(self._order + "H", head, 2)
            return head[:2].decode("ascii"), start + 4, length
        # A VR of the future has a length of 32 bits (PS3.5 section 7.1.2)
        if len(head) < 8:
            return "UN", start + len(head), 0
        (length,) = struct.unpack_from(self._order + "I", head, 4)
        return head[:2].decode("ascii"), start + 8, length

    def _undefined_sequence(self, parent: Item, element: Element, end: int, depth: int) -> int:
        if element.vr == "UN" and not (self._implicit and self._little_endian):
            # Of unknown VR and undefined length: implicit VR little endian (PS3.5 section 6.2.2)
            inner = _Parser(self._file, self._size, self._limits, implicit=True, little_endian=True)
            inner._count = self._count
            inner.dictionary = self.dictionary
            after = inner._items(parent, element, end, depth)
            self._count = inner._count
        else:
            after = self._items(parent, element, end, depth)
        element.vr = "SQ"
        element.length = after - element.offset
        return after

    def _items(self, parent: Item, element: Element, end: int, depth: int) -> int:
        """Items of a sequence up to ``end`` or its delimiter (PS3.5 section 7.5)."""
        element.items = []
        position = element.offset
        while position + 8 <= end:
            tag, length = self._item_head(position)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Item expected in a sequence")
            item = Item({}, self._little_endian, parent.specific_character_set)
            element.items.append(item)
            if length == _UNDEFINED:
                position = self.parse_item(item, position, end, depth + 1)
            else:
                item_end = min(position + length, end)
                self.parse_item(item, position, item_end, depth + 1)
                position = item_end
        return end

    def _fragments(self, element: Element, end: int) -> int:
        """Places of the fragments of an encapsulated value (PS3.5 section A.4)."""
        element.fragments = []
        position = element.offset
        while position + 8 <= end:
            tag, length = self._item_head(position)
            if tag != _ITEM:
                element.length = position - element.offset
                return position + 8
            self._count += 1
            if self._count > self._limits.max_elements:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The file has too many fragments")
            length = min(length, end - position - 8)
            element.fragments.append((position + 8, length))
            position += 8 + length
        element.length = max(0, end - element.offset)
        return end

    def _item_head(self, position: int) -> tuple[int, int]:
        self._file.seek(position)
        group, number, length = struct.unpack(self._order + "HHI", self._file.read(8))
        return group << 16 | number, length
