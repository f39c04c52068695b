"""One server a database: an advisory lock on a file beside it.

``flock`` and not a file with a process number: the kernel drops it when a server is
killed, and process numbers repeat between containers.
"""

from __future__ import annotations

import fcntl
import os

from orthanc_tw.model.errors import ErrorCode, OrthancError


class DirectoryLock:
    """Held from construction to `release`."""

    def __init__(self, path: str) -> None:
        """:raises OrthancError: DATABASE_UNAVAILABLE if another process holds it"""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            self._descriptor = -1
            raise OrthancError(
                ErrorCode.DATABASE_UNAVAILABLE,
                f"another server is using this database (lock file: {path})",
            ) from error

    def release(self) -> None:
        """Let go; harmless if done already. The file stays, for removing it would be a race."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
