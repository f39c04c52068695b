"""Elements that stay: copied byte for byte, or with their head in another encoding."""

from __future__ import annotations

import os
import struct
from typing import Literal

from orthanc_tw.dicom.document import NUMBER_BYTES, Document, Element, Item
from orthanc_tw.dicom.modification.encoding import UNDEFINED, ElementEncoding
from orthanc_tw.dicom.modification.rope import Rope


class Copier:
    """Appends elements of a document to ropes. May read some bytes of the file.

    :param encoding: of the result
    """

    def __init__(self, document: Document, encoding: ElementEncoding) -> None:
        self._document = document
        self._encoding = encoding
        self._end = document.file.seek(0, os.SEEK_END)

    def copy(self, rope: Rope, element: Element) -> None:
        """An element that is encoded as the result is."""
        end = element.offset + element.length
        if end >= self._end and element.items is None and not element.is_encapsulated:
            # Where the file was cut off, the length in the head promises more than there is
            odd = element.length & 1
            rope.add(self._encoding.head(element.tag, element.vr, element.length + odd))
            rope.copy(element.offset, end)
            rope.add(b"\0" * odd)
            return
        rope.copy(element.start, end)
        if element.is_encapsulated:
            rope.add(self._delimiter())

    def reencode(self, rope: Rope, item: Item, element: Element) -> None:
        """An element with its head written anew, and its numbers in the other order if need be.

        :param item: that the element is in
        """
        if element.is_encapsulated:
            rope.add(self._encoding.head(element.tag, "OB", UNDEFINED))
            rope.copy(element.offset, element.offset + element.length)
            rope.add(self._delimiter())
            return
        rope.add(self._encoding.head(element.tag, element.vr, element.length))
        swaps = item.little_endian != self._encoding.little_endian
        unit = NUMBER_BYTES.get(element.vr, 1) if swaps else 1
        rope.copy(element.offset, element.offset + element.length, unit)

    def is_cut(self, sequence: Element) -> bool:
        """Whether a sequence lacks its end since the file does."""
        end = sequence.offset + sequence.length
        if end < self._end:
            return False
        file = self._document.file
        file.seek(sequence.offset - 4)
        order: Literal["little", "big"] = "little" if self._encoding.little_endian else "big"
        declared = int.from_bytes(file.read(4), order)
        if declared != UNDEFINED:
            return declared != sequence.length
        file.seek(end - 8)
        return file.read(8) != self._delimiter()

    def _delimiter(self) -> bytes:
        """(FFFE,E0DD) and its length."""
        order = "<" if self._encoding.little_endian else ">"
        return struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
