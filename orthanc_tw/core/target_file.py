"""The file that a worker process writes for the server."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

from orthanc_tw.storage.spool import storage_error, write_all


class TargetFile(io.RawIOBase):
    """A new file that is hashed while it is written.

    :param path: of the file, which must not be there yet
    :param with_md5: whether MD5 is wanted
    :ivar size_bytes: written so far
    :raises OrthancError: FULL_STORAGE, CANNOT_WRITE_FILE
    """

    def __init__(self, path: str, with_md5: bool) -> None:
        super().__init__()
        self._hash = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self.size_bytes = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(error) from error

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Append."""
        if self._hash is not None:
            self._hash.update(data)
        size = len(data)
        write_all(self._fd, data)
        self.size_bytes += size
        return size

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._fd)
        super().close()

    def md5(self) -> str:
        """Of all that was written, '' if it is not wanted."""
        return "" if self._hash is None else self._hash.hexdigest()
