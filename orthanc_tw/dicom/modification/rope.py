"""The bytes of a result before they are written: new ones, and ranges of the source.

So a large value costs nothing until it is copied, and the length of a sequence is known
before its items are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from orthanc_tw.dicom.document import swapped


@dataclass(frozen=True, slots=True)
class FilePiece:
    """All of another file than the source: values that were made anew and are large.

    :ivar unit: size of numbers whose bytes are to be put in the other order, else 1
    """

    file: BinaryIO
    size_bytes: int
    unit: int = 1

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """Its bytes, piece by piece. Blocks on the file.

        :param size_bytes: of a piece, at most; a multiple of ``unit``
        """
        self.file.seek(0)
        while data := self.file.read(size_bytes):
            yield swapped(data, self.unit)


Piece = bytes | tuple[int, int, int] | FilePiece


class Rope:
    """Pieces in order: bytes, ``(offset, length, unit)`` in the source, or another file.

    ``unit`` is the size of numbers whose bytes are to be put in the other order, else 1.

    :ivar size_bytes: of all pieces
    """

    __slots__ = ("_end", "_pieces", "_start", "size_bytes")

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._start = 0
        self._end = -1
        self.size_bytes = 0

    def add(self, data: bytes) -> None:
        """Append bytes."""
        if data:
            self._pieces.append(data)
            self._end = -1
            self.size_bytes += len(data)

    def copy(self, start: int, end: int, unit: int = 1) -> None:
        """Append a range of the source; one that follows the last is merged with it."""
        if end <= start:
            return
        if start == self._end and unit == 1:
            self._pieces[-1] = (self._start, end - self._start, 1)
        else:
            self._pieces.append((start, end - start, unit))
            self._start = start
        self._end = end if unit == 1 else -1
        self.size_bytes += end - start

    def add_file(self, piece: FilePiece) -> None:
        """Append another file."""
        self._pieces.append(piece)
        self._end = -1
        self.size_bytes += piece.size_bytes

    def extend(self, other: Rope) -> None:
        """Append the pieces of another."""
        self._pieces.extend(other._pieces)
        self._end = -1
        self.size_bytes += other.size_bytes

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)
