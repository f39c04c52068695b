"""Random access to the bytes of a data set, in windows of bounded size.

Two sources: a plain file, and one that inflates a deflated data set on the way (PS3.5 A.5).
Both raise `Malformed` where the bytes asked for lie beyond the end. Both block on the disk.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Protocol

WINDOW_BYTES = 65536
MAX_INFLATED_BYTES = 64 << 20
MIN_HEADER_BYTES = 12
_JUMP_WINDOW_BYTES = 4096
_KEPT_BEHIND_BYTES = 2 << 20
_COMPRESSED_CHUNK_BYTES = 65536


class Malformed(Exception):
    """The bytes are no DICOM data set. Its message is for the log."""


class Exhausted(Malformed):
    """More would have to be inflated than is allowed."""


class Source(Protocol):
    """Bytes by absolute position, asked for in ascending order (but for `read`, see there)."""

    def window(self, position: int) -> tuple[bytes, int]:
        """Bytes, and the offset of ``position`` in them.

        At least `MIN_HEADER_BYTES` follow the offset unless the end is nearer.

        :raises Malformed: if ``position`` is beyond the end
        """
        ...

    def read(self, position: int, size_bytes: int) -> bytes:
        """Up to ``size_bytes`` from ``position``, at most 1 MiB behind the last window.

        :raises Malformed: if ``position`` is beyond the end
        """
        ...


class FileSource:
    """A seekable file of known size."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        file.seek(0)
        self._start = 0
        self._window = file.read(min(WINDOW_BYTES, size_bytes))

    @property
    def head(self) -> bytes:
        """The first window, until another one is asked for."""
        return self._window

    def window(self, position: int) -> tuple[bytes, int]:
        """See `Source.window`."""
        offset = position - self._start
        window = self._window
        if 0 <= offset <= len(window) - MIN_HEADER_BYTES:
            return window, offset
        if position > self._size_bytes:
            raise Malformed(f"an element ends at {position}, the file at {self._size_bytes}")
        # Far behind the last window there is pixel data more often than header.
        far = offset > len(window) + WINDOW_BYTES
        self._window = self.read(position, _JUMP_WINDOW_BYTES if far else WINDOW_BYTES)
        self._start = position
        return self._window, 0

    def read(self, position: int, size_bytes: int) -> bytes:
        """See `Source.read`."""
        left = self._size_bytes - position
        if left < 0:
            raise Malformed(f"an element starts at {position}, the file ends {-left} before")
        self._file.seek(position)
        return self._file.read(min(size_bytes, left))


class InflatedSource:
    """A deflated data set, inflated only as far as positions are asked for.

    Positions count inflated bytes. What follows the deflate stream is ignored.
    """

    def __init__(
        self, file: BinaryIO, offset: int, max_inflated_bytes: int = MAX_INFLATED_BYTES
    ) -> None:
        file.seek(offset)
        self._file = file
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._kept = bytearray()
        self._start = 0
        self._max_inflated_bytes = max_inflated_bytes

    def window(self, position: int) -> tuple[bytes, int]:
        """See `Source.window`. Raises `Exhausted` beyond ``max_inflated_bytes``."""
        return self.read(position, WINDOW_BYTES), 0

    def read(self, position: int, size_bytes: int) -> bytes:
        """See `Source.read`. Raises `Exhausted` beyond ``max_inflated_bytes``."""
        end = position + size_bytes
        while self._start + len(self._kept) < end and not self._inflater.eof:
            self._inflate()
        offset = position - self._start
        if not 0 <= offset <= len(self._kept):
            raise Malformed(f"an element ends at {position}, beyond the deflated data set")
        return bytes(self._kept[offset : offset + size_bytes])

    def _inflate(self) -> None:
        if self._start + len(self._kept) >= self._max_inflated_bytes:
            raise Exhausted(f"more than {self._max_inflated_bytes} bytes to be inflated")
        compressed = self._inflater.unconsumed_tail or self._file.read(_COMPRESSED_CHUNK_BYTES)
        try:
            # Without input there may still be output; without both the stream is cut off.
            inflated = self._inflater.decompress(compressed, WINDOW_BYTES)
        except zlib.error as error:
            raise Malformed(f"the data set cannot be inflated: {error}") from error
        if not compressed and not inflated:
            raise Malformed("the deflated data set is cut off")
        self._kept += inflated
        surplus = len(self._kept) - _KEPT_BEHIND_BYTES
        if surplus > _KEPT_BEHIND_BYTES:
            del self._kept[:surplus]
            self._start += surplus
