"""The storage area in a folder, laid out as Orthanc's: ``ab/cd/abcdef01-...``.

A commit creates the file at its final place and makes it durable there: until its row is
in the index nobody knows its UUID, and a file without a row is swept at the next start.
That saves the second journal commit that a rename after the fsync costs (measured on ext4:
3,900 against 2,300 commits of 5 KB a second, 830 against 630 of 512 KB).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.compressed import deflate
from orthanc_tw.storage.interface import Spool, StoredFile
from orthanc_tw.storage.open_stored import open_stored
from orthanc_tw.storage.shelf import Shelf, Shelves
from orthanc_tw.storage.spool import FileSpool, storage_error

Observe = Callable[[str, float], None]

SPOOL_FOLDER = "spool"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_HEX = re.compile(r"[0-9a-f]{2}\Z")
_IOV_MAX = 1024  # of Linux; POSIX promises 16, and `_write_chunks` copes
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class FilesystemStorage:
    """`storage.interface.Storage` in a folder.

    :param folder: ``StorageDirectory``; created if it is not there
    :param sync: ``SyncStorageArea``: whether commits wait for the disk
    :param with_md5: ``StoreMD5ForAttachments``
    :param uuid_source: makes random UUIDs in lower case
    :param observe: ``observe(metric, value)``; called in any thread
    :param timer: monotonic seconds, for the durations
    :raises OrthancError: FILE_STORAGE_CANNOT_WRITE if the folder cannot be made
    """

    def __init__(
        self,
        folder: str,
        *,
        sync: bool,
        with_md5: bool,
        uuid_source: Callable[[], str],
        observe: Observe = lambda name, value: None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._folder = os.path.abspath(folder)
        self._spool_folder = os.path.join(self._folder, SPOOL_FOLDER)
        self._sync = sync
        self._with_md5 = with_md5
        self._uuid_source = uuid_source
        self._observe = observe
        self._timer = timer
        self._shelves = Shelves(self._folder)
        self._born: set[str] | None = set()
        try:
            os.makedirs(self._spool_folder, exist_ok=True)
        except OSError as error:
            raise storage_error(error) from error

    def new_spool(self) -> FileSpool:
        """A new empty spool (reactor thread allowed: it has no file yet)."""
        return FileSpool(self.new_path, with_md5=self._with_md5)

    def new_path(self) -> str:
        """A path in the spool folder that nobody else has (reactor thread allowed)."""
        return f"{self._spool_folder}/{self._uuid_source()}"

    def adopt(self, path: str, size_bytes: int, md5: str) -> FileSpool:
        """The spool of a file that another process has written at a path of `new_path`.

        :raises OrthancError: CANNOT_WRITE_FILE if it is not there
        """
        return FileSpool.adopted(path, size_bytes, md5 if self._with_md5 else "")

    def commit(self, spool: Spool, *, compress: bool = False) -> StoredFile:
        """Make a spool of this storage durable under a new UUID; it is over then.

        Runs in a thread. On an error nothing is left but the spool.

        :raises OrthancError: FULL_STORAGE, FILE_STORAGE_CANNOT_WRITE
        """
        assert isinstance(spool, FileSpool)
        started = self._timer()
        try:
            shelf, uuid = self._shelves.place(self._uuid_source())
        except OSError as error:
            raise storage_error(error) from error
        born = self._born  # read once: the sweep may end meanwhile, in another thread
        if born is not None:
            born.add(uuid)
        path = self.path(uuid)
        try:
            if compress:
                stored, ticket = self._commit_compressed(spool, uuid, shelf)
            else:
                stored, ticket = self._commit_plain(spool, uuid, shelf)
            if self._sync:
                shelf.settle(ticket)
        except BaseException as error:
            self._shelves.leave(shelf)
            with suppress(OSError):
                os.unlink(path)
            if isinstance(error, OSError):
                raise storage_error(error) from error
            raise
        self._observe("orthanc_storage_create_duration_ms", (self._timer() - started) * 1000)
        self._observe("orthanc_storage_written_bytes", stored.stored_size_bytes)
        return stored

    def path(self, uuid: str) -> str:
        """Path of the stored bytes (reactor thread allowed)."""
        return f"{self._folder}/{uuid[:2]}/{uuid[2:4]}/{uuid}"

    def open(self, uuid: str, compression: Compression) -> BinaryIO:
        """Seekable reader of the uncompressed content. Runs in a thread.

        :raises OrthancError: INEXISTENT_FILE, CORRUPTED_FILE
        """
        started = self._timer()
        try:
            return open_stored(self.path(uuid), compression, self._spool_folder)
        finally:
            self._observe("orthanc_storage_read_duration_ms", (self._timer() - started) * 1000)

    def delete(self, uuids: Iterable[str]) -> None:
        """Remove files. Their folders stay: another thread may be about to use them."""
        for uuid in uuids:
            with suppress(FileNotFoundError):
                os.unlink(self.path(uuid))

    def exists(self, uuid: str) -> bool:
        """Whether there is such a file."""
        return os.path.exists(self.path(uuid))

    def uuids(self) -> Iterator[str]:
        """All UUIDs on disk, ascending. Reads one folder of the second level at a time."""
        for _, found in self.folders():
            yield from found

    def folders(self) -> Iterator[tuple[str, list[str]]]:
        """How all UUIDs of a folder of the second level begin, and these; both ascending."""
        for first in _subfolders(self._folder):
            for second in _subfolders(os.path.join(self._folder, first)):
                prefix = first + second
                found: list[str] = []
                with (
                    suppress(FileNotFoundError),
                    os.scandir(os.path.join(self._folder, first, second)) as entries,
                ):
                    found = [entry.name for entry in entries if entry.name.startswith(prefix)]
                yield prefix, sorted(name for name in found if _UUID.match(name))

    def clear_spool(self) -> None:
        """Remove what a killed server left in the spool folder."""
        with os.scandir(self._spool_folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)

    def is_born(self, uuid: str) -> bool:
        """Whether this process made that file while the sweep is not over: its row may follow."""
        born = self._born
        return born is not None and uuid in born

    def end_sweep(self) -> None:
        """The sweep is over: new UUIDs need not be remembered any more."""
        self._born = None

    def _commit_plain(self, spool: FileSpool, uuid: str, shelf: Shelf) -> tuple[StoredFile, int]:
        path = self.path(uuid)
        md5 = spool.md5()
        size = spool.size_bytes
        if spool.is_in_memory:
            fd = os.open(path, _CREATE, 0o644)
            ticket = shelf.entered()
            try:
                _write_chunks(fd, spool.chunks(), size)
                if self._sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            spool.forget()
        else:
            os.rename(spool.path, path)
            ticket = shelf.entered()
            _, fd = spool.release()
            try:
                if self._sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        return StoredFile(uuid, size, md5, size, md5, Compression.NONE), ticket

    def _commit_compressed(
        self, spool: FileSpool, uuid: str, shelf: Shelf
    ) -> tuple[StoredFile, int]:
        size = spool.size_bytes
        with spool.reader() as source, open(self.path(uuid), "xb") as target:
            ticket = shelf.entered()
            stored_size, stored_md5 = deflate(
                source, cast(BinaryIO, target), size, with_md5=self._with_md5
            )
            target.flush()
            if self._sync:
                os.fsync(target.fileno())
        md5 = spool.md5()
        spool.discard()
        compression = Compression.ZLIB_WITH_SIZE
        return StoredFile(uuid, size, md5, stored_size, stored_md5, compression), ticket


def _write_chunks(fd: int, chunks: list[bytes], size: int) -> None:
    written = os.writev(fd, chunks[:_IOV_MAX]) if chunks else 0
    if written < size:  # a short write, or more chunks than one call takes
        rest = memoryview(b"".join(chunks))[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def _subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _HEX.match(entry.name) and entry.is_dir())
