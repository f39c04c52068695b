"""A storage area in memory, for tests of what is built on `storage.interface`."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Spool, StoredFile


class MemorySpool:
    """`storage.interface.Spool` in memory. ``discarded`` tells whether it was."""

    def __init__(self, owner: MemoryStorage) -> None:
        self._owner = owner
        self._data = bytearray()
        self.discarded = False

    @property
    def path(self) -> str:
        """A real file with what was written so far (kept until the storage is closed)."""
        return self._owner.real_file(bytes(self._data))

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return len(self._data)

    def write(self, data: bytes) -> None:
        """Append; FULL_STORAGE beyond the capacity of the storage."""
        if len(self._data) + len(data) > self._owner.capacity_bytes:
            raise OrthancError(ErrorCode.FULL_STORAGE)
        self._data += data

    def md5(self) -> str:
        """Hexadecimal MD5."""
        return hashlib.md5(self._data, usedforsecurity=False).hexdigest()

    def reader(self) -> BinaryIO:
        """A reader over what was written."""
        return io.BytesIO(bytes(self._data))

    def discard(self) -> None:
        """Forget it."""
        self.discarded = True
        self._owner.spools.discard(self)


class MemoryStorage:
    """`storage.interface.Storage` in memory.

    :ivar files: UUID to stored bytes
    :ivar spools: the spools that were neither committed nor discarded
    :ivar capacity_bytes: a spool beyond it meets a full disk
    :ivar fail_commit: raised by the next commits if it is set
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.spools: set[MemorySpool] = set()
        self.capacity_bytes = 1 << 40
        self.fail_commit: Exception | None = None
        self._count = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def new_spool(self) -> MemorySpool:
        """A new empty spool."""
        spool = MemorySpool(self)
        self.spools.add(spool)
        return spool

    def new_path(self) -> str:
        """The path of a real file that is not there yet."""
        path = self.real_file(b"")
        os.unlink(path)
        return path

    def adopt(self, path: str, size_bytes: int, md5: str) -> MemorySpool:
        """What another process has written there."""
        spool = self.new_spool()
        with open(path, "rb") as file:
            spool.write(file.read())
        return spool

    def commit(self, spool: Spool, *, compress: bool = False) -> StoredFile:
        """Keep the content under a new UUID (they count up: tests can foretell them)."""
        if self.fail_commit is not None:
            raise self.fail_commit
        assert isinstance(spool, MemorySpool)
        assert not spool.discarded
        with spool.reader() as reader:
            data = reader.read()
        self._count += 1
        uuid = f"00000000-0000-4000-8000-{self._count:012x}"
        stored = len(data).to_bytes(8, "little") + zlib.compress(data) if compress else data
        self.files[uuid] = stored
        self.spools.discard(spool)
        return StoredFile(
            uuid=uuid,
            size_bytes=len(data),
            md5=spool.md5(),
            stored_size_bytes=len(stored),
            stored_md5=hashlib.md5(stored, usedforsecurity=False).hexdigest(),
            compression=Compression.ZLIB_WITH_SIZE if compress else Compression.NONE,
        )

    def path(self, uuid: str) -> str:
        """A real file with the stored bytes."""
        return self.real_file(self.files.get(uuid, b""))

    def open(self, uuid: str, compression: Compression) -> BinaryIO:
        """Reader of the uncompressed content."""
        if uuid not in self.files:
            raise OrthancError(ErrorCode.INEXISTENT_FILE)
        data = self.files[uuid]
        return io.BytesIO(data if compression is Compression.NONE else zlib.decompress(data[8:]))

    def delete(self, uuids: Iterable[str]) -> None:
        """Remove files."""
        for uuid in uuids:
            self.files.pop(uuid, None)

    def uuids(self) -> Iterator[str]:
        """All UUIDs, ascending."""
        return iter(sorted(self.files))

    def clear_spool(self) -> None:
        """Forget all spools."""
        self.spools.clear()

    def real_file(self, data: bytes) -> str:
        """Write a file in a temporary folder and return its path."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="memory-storage-")
        with tempfile.NamedTemporaryFile(dir=self._folder.name, delete=False) as file:
            file.write(data)
            return file.name
