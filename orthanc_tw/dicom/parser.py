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
from orthanc_tw.dicom.tag_names import dictionary_vr
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.dicom.window import HEAD_BYTES, Window
from orthanc_tw.model.errors import ErrorCode, OrthancError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
# Every instance starts with the SOP Common module, in group 0008; some slack for odd files
_MAX_FIRST_GROUP = 0x0028
_SPECIFIC_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103
_LOOKED_AT = _PIXEL_DATA | {_SPECIFIC_CHARACTER_SET, _PIXEL_REPRESENTATION}
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(b" ")
)
_VRS = _LONG_VRS | _SHORT_VRS
# By whether the file is little endian: VRs by the number that their two letters make
_SHORT_CODES, _LONG_CODES = (
    {
        little: {
            int.from_bytes(vr, "little" if little else "big"): vr.decode("ascii") for vr in vrs
        }
        for little in (True, False)
    }
    for vrs in (_SHORT_VRS, _LONG_VRS)
)
_DELIMITERS = frozenset((_ITEM_END, _SEQUENCE_END))
_META_GROUPS = range(2, 3)
_ALL_GROUPS = range(0xFFFE)  # that of delimiters is looked at


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
    window = Window(file, size_bytes)
    preamble = window.read(0, 132)
    meta = Item()
    start = 132 if preamble[128:] == b"DICM" else 0
    if start or preamble[:2] == b"\2\0":
        parser = _Parser(window, limits, implicit=False, little_endian=True)
        start = parser.parse_meta(meta, start, size_bytes)
    syntax = _transfer_syntax(meta) or _guess(window.read(start, 6))
    temporary = syntax == DEFLATED
    if temporary:
        file = inflate(file, start, limits.max_inflated_bytes)  # type: ignore[assignment]
        size_bytes = file.seek(0, os.SEEK_END)
        window = Window(file, size_bytes)
    dataset = Item(little_endian=syntax != BIG_ENDIAN, implicit=syntax == IMPLICIT)
    document = Document(meta, dataset, syntax, file, temporary)
    parser = _Parser(
        window, limits, implicit=syntax == IMPLICIT, little_endian=dataset.little_endian
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


def _guess(head: bytes) -> str:
    """Transfer syntax of a data set without meta information, by its first 6 bytes."""
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
        self, window: Window, limits: DocumentLimits, *, implicit: bool, little_endian: bool
    ) -> None:
        self._window = window
        self._limits = limits
        self._implicit = implicit
        self._little_endian = little_endian
        order = "<" if little_endian else ">"
        self._length = struct.Struct(order + "I")
        self._item_head = struct.Struct(order + "HHI")
        # In implicit VR a length of 32 bits follows the tag; else VR and a length of 16 bits
        self._explicit_head = struct.Struct(order + "HHHH")
        self._short_vrs = _SHORT_CODES[little_endian]
        self._long_vrs = _LONG_CODES[little_endian]
        self._count = 0
        self.stop_at_pixels = False
        self.dictionary: UserDictionary | None = None

    def parse_meta(self, meta: Item, start: int, size_bytes: int) -> int:
        """Parse group 0002, which ends where another group begins; answers that offset."""
        return self.parse_item(meta, start, size_bytes, 0, _META_GROUPS)

    def parse_item(
        self, item: Item, position: int, end: int, depth: int, groups: range = _ALL_GROUPS
    ) -> int:
        """Parse elements up to ``end``, an item delimiter or a group that is not of ``groups``.

        Answers the offset after them, the delimiter included. It is one long loop since a call
        for each element would double the time that it takes.
        """
        if depth > self._limits.max_depth:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Sequences are nested too deeply")
        window, implicit, elements = self._window, self._implicit, item.elements
        unpack = (self._item_head if implicit else self._explicit_head).unpack_from
        short_vrs, inline_bytes = self._short_vrs, self._limits.inline_bytes
        max_elements = self._limits.max_elements
        first_group, last_group = groups.start, groups.stop - 1
        creators: dict[int, str] = {}
        signed = False
        creator: str | None
        vr: str | None
        while position + 8 <= end:
            if not window.base <= position <= window.last_head:
                window.move(position)
            head = unpack(window.data, position - window.base)
            group, number = head[0], head[1]
            tag = group << 16 | number
            if not first_group <= group <= last_group:
                if groups is _META_GROUPS:
                    return position
                if tag in _DELIMITERS:
                    return position + 8
            self._count += 1
            if self._count > max_elements:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The file has too many elements")
            begin = position
            bad_vr = False
            creator = None
            if group & 1 and not 0x10 <= number <= 0xFF:
                creator = creators.get(group << 8 | number >> 8)
            if implicit:
                vr = dictionary_vr(tag, creator, signed, self.dictionary)
                offset, length = position + 8, head[2]
            else:
                vr = short_vrs.get(head[2])
                if vr is not None:
                    offset, length = position + 8, head[3]
                else:
                    vr, offset, length = self._long_head(position, tag, head[2], creator, signed)
                    bad_vr = offset == position + 8
            if vr == "SQ" or length == _UNDEFINED:
                element = Element(tag, vr, offset, length, creator)
                position = self._nested(item, element, end, depth)
            else:
                position = offset + length
                if position > end:
                    position = max(offset, end)
                    length = position - offset
                value = None
                if length <= inline_bytes:
                    start = offset - window.base
                    value = window.data[start : start + length]
                    if len(value) < length:
                        value = window.read(offset, length)
                element = Element(tag, vr, offset, length, creator, value)
            if tag in elements:
                continue
            elements[tag] = element
            element.start = begin
            if bad_vr:
                element.has_bad_vr = True
            if group & 1:
                if 0x10 <= number <= 0xFF and element.inline is not None:
                    creators[group << 8 | number] = element.inline.decode("latin-1").strip(" \0")
            elif tag not in _LOOKED_AT:
                continue
            elif tag == _SPECIFIC_CHARACTER_SET and element.inline is not None:
                item.specific_character_set = element.inline.decode("latin-1")
            elif tag == _PIXEL_REPRESENTATION and element.inline:
                signed = any(element.inline)
            elif tag in _PIXEL_DATA and depth == 0 and self.stop_at_pixels:
                return end
        return position if groups is _META_GROUPS else max(position, end)

    def _long_head(
        self, position: int, tag: int, code: int, creator: str | None, signed: bool
    ) -> tuple[str, int, int]:
        """VR, offset of the value and length of an element whose length has 32 bits."""
        vr = self._long_vrs.get(code)
        start = position - self._window.base
        data = self._window.data
        if vr is None:
            found = data[start + 4 : start + 6]
            if not (found.isalpha() and found.isupper()):
                # A bad VR: DCMTK reads on as if the element were implicit
                (length,) = self._length.unpack_from(data, start + 4)
                vr = dictionary_vr(tag, creator, signed, self.dictionary)
                return vr, position + 8, length
            # A VR of the future has a length of 32 bits (PS3.5 section 7.1.2)
            vr = found.decode("ascii")
        if start + HEAD_BYTES > len(data):
            return "UN", self._window.base + len(data), 0
        return vr, position + HEAD_BYTES, self._length.unpack_from(data, start + 8)[0]

    def _nested(self, parent: Item, element: Element, end: int, depth: int) -> int:
        """Enter a sequence or an encapsulated value; answers the offset after it."""
        if element.length != _UNDEFINED:
            element.length = max(0, min(element.length, end - element.offset))
            after = element.offset + element.length
            self._items(parent, element, after, depth)
            return after
        if element.vr in ("SQ", "UN"):
            return self._undefined_sequence(parent, element, end, depth)
        element.is_encapsulated = True
        if self.stop_at_pixels and element.tag in _PIXEL_DATA and depth == 0:
            element.length = max(0, end - element.offset)
            return end
        return self._fragments(element, end)

    def _undefined_sequence(self, parent: Item, element: Element, end: int, depth: int) -> int:
        if element.vr == "UN" and not (self._implicit and self._little_endian):
            # Of unknown VR and undefined length: implicit VR little endian (PS3.5 section 6.2.2)
            inner = _Parser(self._window, self._limits, implicit=True, little_endian=True)
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
            tag, length = self._read_item_head(position)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Item expected in a sequence")
            item = Item({}, self._little_endian, parent.specific_character_set, self._implicit)
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
            tag, length = self._read_item_head(position)
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

    def _read_item_head(self, position: int) -> tuple[int, int]:
        window = self._window
        if not window.base <= position <= window.last_head:
            window.move(position)
        group, number, length = self._item_head.unpack_from(window.data, position - window.base)
        return group << 16 | number, length
