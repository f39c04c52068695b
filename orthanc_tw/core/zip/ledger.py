"""The book of a ZIP file that is being written: offsets, entries, the central directory.

It makes the bytes, and whoever holds it puts them where they go, in the order in which
they were asked for: a file, or a response that cannot be rewound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orthanc_tw.core.zip.records import MAX_32, Entry, end_of_central_directory

_DIRECTORY_CHUNK_BYTES = 64 * 1024
# Deflate makes what cannot be compressed larger, by less than this
_DEFLATE_MARGIN_BYTES = 16 * 1024 * 1024


class ZipLedger:
    """Entries so far and the offset of the next byte. For one thread at a time.

    :ivar offset: bytes handed out so far
    :ivar entries: the members that are complete
    """

    def __init__(self, dos_time: int) -> None:
        self._dos_time = dos_time
        self.offset = 0
        self.entries: list[Entry] = []

    def resume(self, entries: Sequence[Entry], offset: int) -> None:
        """Go on behind members that were written by an earlier run."""
        self.entries = list(entries)
        self.offset = offset

    def add(self, name: bytes, method: int, crc: int, size: int, data: Sequence[bytes]) -> bytes:
        """Record a member whose data is at hand; the answer goes before ``data``."""
        compressed = sum(map(len, data))
        entry = Entry(
            name,
            method,
            crc,
            size,
            compressed,
            self._dos_time,
            self.offset,
            is_large=size >= MAX_32 or compressed >= MAX_32,
        )
        header = entry.local_header()
        self.offset += len(header) + compressed
        self.entries.append(entry)
        return header

    def begin(self, name: bytes, method: int, expected_size: int, *, seekable: bool) -> Entry:
        """Start a member whose data comes in parts: its ``local_header()`` goes first.

        :param expected_size: in bytes, what makes it ZIP64 or not
        :param seekable: the header will be written again by `end`; otherwise a descriptor
            follows the data
        """
        return Entry(
            name,
            method,
            0,
            0,
            0,
            self._dos_time,
            self.offset,
            has_descriptor=not seekable,
            is_large=expected_size >= MAX_32 - _DEFLATE_MARGIN_BYTES,
        )

    def end(self, begun: Entry, crc: int, size: int, compressed_size: int) -> Entry:
        """Record a member that was begun; write its ``descriptor()``, or its header again.

        :raises ValueError: if it grew beyond what its header can tell
        """
        if not begun.is_large and max(size, compressed_size) >= MAX_32:
            raise ValueError("A member is larger than it was said to be")
        entry = replace(begun, crc=crc, size=size, compressed_size=compressed_size)
        self.offset += len(entry.local_header()) + compressed_size
        if entry.has_descriptor:
            self.offset += len(entry.descriptor())
        self.entries.append(entry)
        return entry

    def finish(self) -> Iterator[bytes]:
        """The central directory and what ends the file, in chunks."""
        start, length = self.offset, 0
        chunk = bytearray()
        for entry in self.entries:
            chunk += entry.central_header()
            if len(chunk) >= _DIRECTORY_CHUNK_BYTES:
                length += len(chunk)
                self.offset += len(chunk)
                yield bytes(chunk)
                chunk.clear()
        length += len(chunk)
        chunk += end_of_central_directory(len(self.entries), length, start)
        self.offset += len(chunk)
        yield bytes(chunk)
