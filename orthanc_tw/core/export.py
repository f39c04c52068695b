"""Copies attachments out of the storage area, into one folder of the server's file system.

What a client names is a relative path below that folder. Its parts are opened one after the
other, relative to the folder before (openat(2)) and never through a symbolic link, so that
nothing outside can be reached, whatever is renamed meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.interface import Storage

InThread = Callable[..., Deferred[Any]]
MAXIMUM_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# What the path is to blame for; the rest is for who runs the server.
_CODES = {
    **dict.fromkeys(
        (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
        ErrorCode.PARAMETER_OUT_OF_RANGE,
    ),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ErrorCode.FULL_STORAGE),
}


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Where exports may go.

    :ivar folder: absolute path of the one folder; None: exports are not allowed
    """

    folder: str | None = None


class Exporter:
    """Writes attachments as files. Reactor thread; the work is done in threads.

    :param new_name: names of temporary files, no two alike
    """

    def __init__(
        self,
        storage: Storage,
        in_thread: InThread,
        settings: ExportSettings,
        new_name: Callable[[], str],
    ) -> None:
        self._storage = storage
        self._in_thread = in_thread
        self._folder = settings.folder
        self._new_name = new_name

    @property
    def is_allowed(self) -> bool:
        """Whether there is a folder to export to."""
        return self._folder is not None

    def export(self, attachment: Attachment, path: str) -> Deferred[None]:
        """Write the uncompressed content durably, in place of a file that is there.

        :param path: relative to the folder, or absolute and below it
        :raises OrthancError: PARAMETER_OUT_OF_RANGE for a path that is not below the folder;
            CANNOT_WRITE_FILE; FULL_STORAGE; INEXISTENT_FILE
        """
        assert self._folder is not None
        parts = relative_parts(path, self._folder)
        return self._in_thread(self._export, attachment, parts)

    def _export(self, attachment: Attachment, parts: Sequence[str]) -> None:
        assert self._folder is not None
        name = f".{self._new_name()}.part"
        try:
            with (
                self._storage.open(attachment.uuid, attachment.compression) as source,
                _opened(self._folder, parts[:-1]) as folder,
            ):
                try:
                    _copy(source, name, folder)
                    os.replace(name, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
                except BaseException:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
                    raise
        except OSError as error:
            code = _CODES.get(error.errno or 0, ErrorCode.CANNOT_WRITE_FILE)
            raise OrthancError(code, f"{'/'.join(parts)}: {error.strerror}") from None


def relative_parts(path: str, folder: str) -> tuple[str, ...]:
    """The parts of a path below a folder.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if it is none
    """
    given = PurePosixPath(path.strip())
    if given.is_absolute():
        with contextlib.suppress(ValueError):
            given = given.relative_to(folder)
    parts = given.parts
    if (
        not parts
        or given.is_absolute()
        or ".." in parts
        or len(parts) > MAXIMUM_DEPTH
        or any("\0" in part for part in parts)
    ):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            "The body must be the path of a file below RestApiExportDirectory",
        )
    return parts


@contextlib.contextmanager
def _opened(root: str, folders: Sequence[str]) -> Iterator[int]:
    """Descriptor of a folder below the root; folders that are not there are made."""
    descriptor = os.open(root, _FOLDER)
    try:
        for name in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=descriptor)
                os.fsync(descriptor)
            below = os.open(name, _FOLDER | _NO_LINK, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _copy(source: BinaryIO, name: str, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | _NO_LINK
    descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    with open(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        os.fsync(descriptor)
