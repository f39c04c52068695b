"""The body of a request, as the file object that ``request.content`` is, over a spool."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.server import Request

from orthanc_tw.storage.interface import Spool
from orthanc_tw.storage.spool import MEMORY_BYTES

InThread = Callable[..., Deferred[Any]]

# What a spool keeps in memory costs the reactor thread nothing but the copy.
DIRECT_BYTES = MEMORY_BYTES
BATCH_BYTES = 1024 * 1024
HIGH_BYTES = 4 * 1024 * 1024


class SpooledBody:
    """Writable while the body arrives, then readable; discards its spool when it is closed.

    A small body goes into the memory of its spool at once. What comes after `DIRECT_BYTES` is
    hashed and written in a thread, `BATCH_BYTES` at a time, and the client is made to wait
    when the disk cannot follow: a write to a busy disk may take a tenth of a second.

    :param in_thread: runs a function in a thread; None: everything is written at once
    :param flow: paused when `HIGH_BYTES` wait to be written, resumed when they are
    """

    def __init__(
        self, spool: Spool, in_thread: InThread | None = None, flow: IPushProducer | None = None
    ) -> None:
        self._spool: Spool | None = spool
        self._reader: BinaryIO | None = None
        self._in_thread = in_thread
        self._flow = flow
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._received_bytes = 0
        self._writing = False
        self._paused = False
        self._closed = False
        self._flushed: Deferred[None] | None = None
        self._failure: Failure | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes received so far."""
        return self._received_bytes

    def write(self, data: bytes) -> None:
        """Append received data.

        :raises OrthancError: FULL_STORAGE (also of an earlier piece)
        """
        assert self._spool is not None
        self._received_bytes += len(data)
        if self._failure is not None:
            self._failure.raiseException()
        if self._in_thread is None or self._received_bytes <= DIRECT_BYTES:
            self._spool.write(data)
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= BATCH_BYTES and not self._writing:
            self._write_pending()
        if self._pending_bytes > HIGH_BYTES and not self._paused and self._flow is not None:
            self._paused = True
            self._flow.pauseProducing()

    def flush(self) -> Deferred[None] | None:
        """The body has arrived: None if all is written, else a Deferred of that.

        It never fires if the body is closed before; it fails with FULL_STORAGE.
        """
        if self._failure is not None:
            return fail(self._failure)
        if not self._writing and not self._pending:
            return None
        self._flushed = Deferred()
        if not self._writing:
            self._write_pending()
        return self._flushed

    def _write_pending(self) -> None:
        assert self._spool is not None and self._in_thread is not None
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._writing = True
        self._in_thread(self._spool.write, data).addCallbacks(self._written, self._not_written)

    def _written(self, _: None) -> None:
        self._writing = False
        if self._closed:
            self._discard()
            return
        if self._pending and (self._flushed is not None or self._pending_bytes >= BATCH_BYTES):
            self._write_pending()
        elif self._flushed is not None:
            self._flushed.callback(None)
        self._resume()

    def _not_written(self, failure: Failure) -> None:
        self._writing = False
        self._failure = failure
        self._pending.clear()
        if self._closed:
            self._discard()
        elif self._flushed is not None:
            self._flushed.errback(failure)
        # Else the next piece of the body learns of it.
        self._resume()

    def _resume(self) -> None:
        if self._paused and self._flow is not None:
            self._paused = False
            self._flow.resumeProducing()

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
        self._closed = True
        if not self._writing:  # else the thread is still at it
            self._discard()

    def _discard(self) -> None:
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
