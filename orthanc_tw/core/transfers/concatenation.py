"""A range of several DICOM files, behind one another, as one thing to read.

Owns the files that had to be inflated: a large one is asked for in many buckets, and is inflated
for the first of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import BinaryIO

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Storage

_READ_BYTES = 256 * 1024
_MAXIMUM_OPEN = 64


class InflatedFiles:
    """Opens stored files; keeps those open that were inflated. All methods: any thread.

    :param capacity_bytes: of inflated files that are kept (they are on disk, without a name)
    """

    def __init__(self, storage: Storage, capacity_bytes: int) -> None:
        self._storage = storage
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[BinaryIO, int]] = OrderedDict()
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0

    def open(self, file: Attachment) -> BinaryIO:
        """A reader of the uncompressed content, for the caller to close or to `give_back`.

        :raises OrthancError: INEXISTENT_FILE, CORRUPTED_FILE
        """
        if file.compression is not Compression.NONE:
            with self._lock:
                kept = self._kept.pop(file.uuid, None)
                if kept is not None:
                    self.hits += 1
                    self.used_bytes -= kept[1]
                    return kept[0]
                self.misses += 1
        return self._storage.open(file.uuid, file.compression)

    def give_back(self, file: Attachment, reader: BinaryIO) -> None:
        """Keep it, or close it."""
        if file.compression is Compression.NONE or file.size_bytes > self._capacity_bytes:
            reader.close()
            return
        with self._lock:
            if file.uuid in self._kept:  # two have inflated it at once
                reader.close()
                return
            self._kept[file.uuid] = reader, file.size_bytes
            self.used_bytes += file.size_bytes
            while self.used_bytes > self._capacity_bytes or len(self._kept) > _MAXIMUM_OPEN:
                _, (oldest, size) = self._kept.popitem(last=False)
                self.used_bytes -= size
                oldest.close()

    def close(self) -> None:
        """Close all that are kept."""
        with self._lock:
            for reader, _ in self._kept.values():
                reader.close()
            self._kept.clear()
            self.used_bytes = 0


class Concatenation:
    """A range of files behind one another. Blocks; one reader at a time.

    :param offset: where it begins, bytes
    :param size_bytes: 0: to the end
    :raises OrthancError: PARAMETER_OUT_OF_RANGE if there are not so many bytes
    """

    def __init__(
        self, opener: InflatedFiles, files: Sequence[Attachment], offset: int, size_bytes: int
    ) -> None:
        self._opener = opener
        total = sum(file.size_bytes for file in files)
        if offset + size_bytes > total:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f"Offset and size: bytes {offset} to {offset + size_bytes} of {total}",
            )
        self.size_bytes = size_bytes or total - offset
        self._left = self.size_bytes
        self._files = list(files)
        self._at = offset
        while self._files and self._at >= self._files[0].size_bytes:
            self._at -= self._files.pop(0).size_bytes
        self._files.reverse()
        self._reader: BinaryIO | None = None
        self._lock = threading.Lock()
        self._is_reading = False
        self._is_closed = False

    def read(self, size: int = _READ_BYTES) -> bytes:
        """The next bytes, b"" at the end; fewer than ``size`` only there.

        :raises OrthancError: INEXISTENT_FILE, CORRUPTED_FILE
        """
        with self._lock:
            if self._is_closed:
                return b""
            self._is_reading = True
        try:
            return self._read(size)
        finally:
            with self._lock:
                self._is_reading = False
                is_closed = self._is_closed
            if is_closed:
                self._let_go()

    def close(self) -> None:
        """Let go of the file that is open; harmless if there is none. Any thread, at any time."""
        with self._lock:
            self._is_closed = True
            if self._is_reading:  # it does so when it has read
                return
        self._let_go()

    def _read(self, size: int) -> bytes:
        parts = []
        wanted = min(size, self._left)
        while wanted:
            file = self._files[-1]
            if self._reader is None:
                self._reader = self._opener.open(file)
                self._reader.seek(self._at)
            data = self._reader.read(min(wanted, file.size_bytes - self._at))
            if not data:
                raise OrthancError(ErrorCode.CORRUPTED_FILE)
            parts.append(data)
            wanted -= len(data)
            self._left -= len(data)
            self._at += len(data)
            if self._at == file.size_bytes:
                self._let_go()
                self._files.pop()
                self._at = 0
                while self._files and not self._files[-1].size_bytes:
                    self._files.pop()
        return b"".join(parts)

    def _let_go(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._opener.give_back(self._files[-1], reader)
