"""A piece of a file in memory, moved along while the file is parsed.

A seek and a read for each element cost more than all else that parsing does.
"""

from __future__ import annotations

from typing import BinaryIO

from orthanc_tw.model.errors import ErrorCode, OrthancError

_WINDOW_BYTES = 8 * 1024
# Tag, VR, two reserved bytes and a length of 32 bits (PS3.5 section 7.1.2)
HEAD_BYTES = 12


class Window:
    """Some KiB of a file. Blocks on the file; for one thread at a time.

    :ivar data: bytes of the file from ``base`` on
    :ivar base: offset of ``data`` in the file, in bytes
    :ivar last_head: offsets from ``base`` to here have their `HEAD_BYTES` in ``data``, or
        all that the file has of them
    """

    __slots__ = ("_file", "_size", "base", "data", "last_head")

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size = size_bytes
        self.base = 0
        self.data = b""
        self.last_head = -1

    def move(self, position: int, needed_bytes: int = HEAD_BYTES) -> None:
        """Have at least ``needed_bytes`` from ``position`` on, or up to the end of the file.

        :raises OrthancError: BAD_FILE_FORMAT if the file is shorter than it was
        """
        wanted = min(max(needed_bytes, _WINDOW_BYTES), self._size - position)
        self._file.seek(position)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The file was cut while it was read")
        self.base = position
        self.data = data
        end = position + wanted
        self.last_head = self._size if end == self._size else end - HEAD_BYTES

    def read(self, position: int, length: int) -> bytes:
        """Some bytes, less where the file ends."""
        start = position - self.base
        if start < 0 or start + length > len(self.data):
            if position >= self._size:
                return b""
            self.move(position, length)
            start = 0
        return self.data[start : start + length]
