"""Spool files: what is being received. Small ones stay in memory until they are committed.

A file of its own for every small body would cost the reactor thread three system calls and
win nothing: a spool promises no durability, the commit does.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from orthanc_tw.model.errors import ErrorCode, OrthancError

# Up to this size a spool is kept in memory. Memory for bodies is bounded by it times the
# number of connections.
MEMORY_BYTES = 1024 * 1024

_FULL = (errno.ENOSPC, errno.EDQUOT)


class FileSpool:
    """`storage.interface.Spool`: in memory up to `MEMORY_BYTES`, then a file.

    :param new_path: makes the path of the file, when it is needed
    :param with_md5: whether MD5 is wanted; without it `md5` is ''
    """

    def __init__(self, new_path: Callable[[], str], *, with_md5: bool) -> None:
        self._new_path = new_path
        self._with_md5 = with_md5
        self._chunks: list[bytes] = []
        self._size = 0
        self._hash = None if not with_md5 else hashlib.md5(usedforsecurity=False)
        self._hashed = 0  # chunks in memory that went into the hash already
        self._path: str | None = None
        self._fd = -1
        self._is_gone = False
        self._known_md5: str | None = None

    @classmethod
    def adopted(cls, path: str, size_bytes: int, md5: str) -> FileSpool:
        """The spool of a file that another process has written.

        :raises OrthancError: CANNOT_WRITE_FILE if it is not there
        """
        spool = cls(lambda: path, with_md5=False)
        try:
            spool._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error) from error
        spool._path, spool._size, spool._known_md5 = path, size_bytes, md5
        return spool

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def is_in_memory(self) -> bool:
        """Whether there is no file (yet)."""
        return self._path is None

    @property
    def path(self) -> str:
        """Path of the file (which is made if there is none yet).

        :raises OrthancError: FULL_STORAGE, CANNOT_WRITE_FILE
        """
        if self._path is None:
            self._roll_over()
        assert self._path is not None
        return self._path

    def write(self, data: bytes) -> None:
        """Append.

        :raises OrthancError: FULL_STORAGE, CANNOT_WRITE_FILE
        """
        if not data:
            return
        self._size += len(data)
        if self._path is None:
            self._chunks.append(data)
            if self._size > MEMORY_BYTES:
                self._roll_over()
            return
        if self._hash is not None:
            self._hash.update(data)
        self._write_out(data)

    def md5(self) -> str:
        """Hexadecimal MD5 of all that was written, '' if it is not wanted.

        What is in memory is hashed now: call it in a thread.
        """
        if self._known_md5 is not None:
            return self._known_md5
        if self._hash is None:
            return ""
        while self._hashed < len(self._chunks):
            self._hash.update(self._chunks[self._hashed])
            self._hashed += 1
        return self._hash.hexdigest()

    def chunks(self) -> list[bytes]:
        """What is in memory."""
        return self._chunks

    def reader(self) -> BinaryIO:
        """A new reader at the start.

        :raises OrthancError: INEXISTENT_FILE if the spool was discarded or committed
        """
        if self._is_gone:
            raise OrthancError(ErrorCode.INEXISTENT_FILE)
        if self._path is not None:
            return open(self._path, "rb")
        if len(self._chunks) > 1:
            joined = b"".join(self._chunks)
            if not self._hashed:
                self._chunks = [joined]
            return io.BytesIO(joined)
        return io.BytesIO(self._chunks[0] if self._chunks else b"")

    def discard(self) -> None:
        """Remove the file; harmless when it was committed or discarded."""
        self._is_gone = True
        self._chunks = []
        self._close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            self._path = None

    def release(self) -> tuple[str, int]:
        """Hand over path and open descriptor of the file: the spool is over."""
        assert self._path is not None
        released = self._path, self._fd
        self._path, self._fd, self._is_gone = None, -1, True
        return released

    def forget(self) -> None:
        """What was in memory is elsewhere now: the spool is over."""
        self._chunks = []
        self._is_gone = True

    def _roll_over(self) -> None:
        self.md5()
        path = self._new_path()
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(error) from error
        self._path = path
        chunks, self._chunks, self._hashed = self._chunks, [], 0
        for chunk in chunks:
            self._write_out(chunk)

    def _write_out(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise storage_error(error) from error

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_all(fd: int, data: bytes) -> None:
    """Write everything, in as many calls as it takes."""
    written = os.write(fd, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def storage_error(error: OSError) -> OrthancError:
    """A full disk or quota is FULL_STORAGE (507), anything else FILE_STORAGE_CANNOT_WRITE."""
    if error.errno in _FULL:
        return OrthancError(ErrorCode.FULL_STORAGE)
    return OrthancError(ErrorCode.FILE_STORAGE_CANNOT_WRITE, error.strerror)
