"""Where the bytes of an archive go: a file that can be rewound, or a buffer to be sent."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

from orthanc_tw.model.errors import ErrorCode, OrthancError


class ArchiveOutput(Protocol):
    """Takes the bytes of an archive in order. For one thread at a time."""

    @property
    def is_seekable(self) -> bool:
        """Whether `patch` may be called."""
        ...

    def write(self, data: Iterable[bytes]) -> None:
        """Append.

        :raises OrthancError: FULL_STORAGE or CANNOT_WRITE_FILE
        """
        ...

    def patch(self, offset: int, data: bytes) -> None:
        """Write again what is at ``offset`` (bytes from the start)."""
        ...

    def sync(self) -> None:
        """Make all that was written durable."""
        ...

    def close(self) -> None:
        """Give up what is held; harmless if it was called before."""
        ...


class FileOutput:
    """A file of this path, kept up to ``offset`` and made if it is not there."""

    is_seekable = True

    def __init__(self, path: str, offset: int = 0) -> None:
        """Raises `OrthancError` as `write` does."""
        self._path = path
        with _as_orthanc_error():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._file: BinaryIO = open(descriptor, "r+b", buffering=256 * 1024)  # noqa: SIM115
            self._file.truncate(offset)
            self._file.seek(offset)

    def write(self, data: Iterable[bytes]) -> None:
        """See `ArchiveOutput`."""
        with _as_orthanc_error():
            self._file.writelines(data)
            # another run may go on from here, even if this process is killed
            self._file.flush()

    def patch(self, offset: int, data: bytes) -> None:
        """See `ArchiveOutput`."""
        with _as_orthanc_error():
            end = self._file.tell()
            self._file.seek(offset)
            self._file.write(data)
            self._file.flush()
            self._file.seek(end)

    def sync(self) -> None:
        """See `ArchiveOutput`."""
        with _as_orthanc_error():
            os.fsync(self._file.fileno())
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def close(self) -> None:
        """See `ArchiveOutput`."""
        with contextlib.suppress(OSError):
            self._file.close()


class BufferOutput:
    """Chunks in memory, until they are taken. Whoever fills it bounds it."""

    is_seekable = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: Iterable[bytes]) -> None:
        """See `ArchiveOutput`."""
        self._chunks.extend(data)

    def take(self) -> list[bytes]:
        """What was written since the last time."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def patch(self, offset: int, data: bytes) -> None:
        """See `ArchiveOutput`."""
        raise NotImplementedError("What was sent cannot be written again")

    def sync(self) -> None:
        """See `ArchiveOutput`: there is nothing that could be made durable."""

    def close(self) -> None:
        """See `ArchiveOutput`."""
        self._chunks = []


def write_file(path: str, chunks: list[bytes]) -> None:
    """Make a file of these chunks, or write it anew, with few calls of the system.

    :raises OrthancError: FULL_STORAGE or CANNOT_WRITE_FILE
    """
    with _as_orthanc_error():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(b"".join(chunks))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _as_orthanc_error() -> Iterator[None]:
    """Turn an OSError of what is written here into FULL_STORAGE or CANNOT_WRITE_FILE."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OrthancError(ErrorCode.FULL_STORAGE, "No space left for the archive") from error
        raise OrthancError(
            ErrorCode.CANNOT_WRITE_FILE, f"Cannot write the archive: {error.strerror}"
        ) from error
