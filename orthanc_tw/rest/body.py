"""The body of a request, as the file object that ``request.content`` is, over a spool."""

from __future__ import annotations

import io
from typing import BinaryIO

from twisted.web.server import Request

from orthanc_tw.storage.interface import Spool


class SpooledBody:
    """Writable while the body arrives, then readable; discards its spool when it is closed."""

    def __init__(self, spool: Spool) -> None:
        self._spool: Spool | None = spool
        self._reader: BinaryIO | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes received so far."""
        return 0 if self._spool is None else self._spool.size_bytes

    def write(self, data: bytes) -> None:
        """Append received data.

        :raises OrthancError: FULL_STORAGE
        """
        assert self._spool is not None
        self._spool.write(data)

    def tell(self) -> int:
        """Position of the reader."""
        return 0 if self._reader is None else self._reader.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the reader."""
        return self._open().seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Read from the reader."""
        return self._open().read(size)

    def take(self) -> Spool:
        """Hand the spool over: from now on the caller discards it, whatever the client does."""
        assert self._spool is not None, "the body was taken or discarded already"
        spool, self._spool = self._spool, None
        self._close_reader()
        return spool

    def close(self) -> None:
        """The request has ended, or its client is gone."""
        self._close_reader()
        if self._spool is not None:
            self._spool.discard()
            self._spool = None

    def _open(self) -> BinaryIO:
        if self._reader is None:
            assert self._spool is not None
            self._reader = self._spool.reader()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class EmptyBody(io.BytesIO):
    """The body of a request that has none."""


def take_spool(request: Request) -> Spool | None:
    """The spool of a request's body, now the caller's to commit or discard; None without body."""
    content = request.content
    return content.take() if isinstance(content, SpooledBody) else None
