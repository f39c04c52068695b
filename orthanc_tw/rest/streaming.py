"""Bodies that are not in memory: files and generated data, with back-pressure.

Everything runs in the reactor thread, reads are done in threads. The Deferreds fire with
None when the request is finished or its client is gone, so that a handler may return them;
they fail if reading fails (the connection is then cut, since the status is sent).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO
from urllib.parse import quote

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.compression import compressed_chunks
from orthanc_tw.rest.errors import set_status
from orthanc_tw.rest.ranges import requested_range
from orthanc_tw.rest.sendfile import SocketSender, plain_transport

InThread = Callable[..., Deferred[Any]]
NextChunk = Callable[[], "bytes | Deferred[bytes]"]

CHUNK_BYTES = 256 * 1024
# Up to this size one read and one write are cheaper than anything else.
SMALL_BYTES = 32 * 1024


class Streamer:
    """Sends bodies.

    :param in_thread: runs a function in a thread, Deferred of its result
    :param compress: ``HttpCompressionEnabled``
    """

    def __init__(self, in_thread: InThread, *, compress: bool = False) -> None:
        self._in_thread = in_thread
        self._compress = compress

    def send_path(
        self,
        request: Request,
        path: str,
        *,
        content_type: bytes,
        filename: str | None = None,
        ranges: bool = False,
    ) -> Deferred[None]:
        """Send a file as it is on disk (an attachment that is not compressed, an archive).

        :param filename: for ``Content-Disposition``
        :param ranges: whether ``Range`` is honoured
        :raises OrthancError: INEXISTENT_FILE; see `requested_range`
        """
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            raise OrthancError(ErrorCode.INEXISTENT_FILE) from None
        size = os.fstat(file.fileno()).st_size
        return self.send_file(
            request, file, size, content_type=content_type, filename=filename, ranges=ranges
        )

    def send_file(
        self,
        request: Request,
        file: BinaryIO | Any,
        size_bytes: int,
        *,
        content_type: bytes,
        filename: str | None = None,
        ranges: bool = False,
        wanted: tuple[int, int] | None = None,
    ) -> Deferred[None]:
        """Send an open file of a known size, and close it in any case.

        :param ranges: whether ``Range`` is honoured, as Orthanc does
        :param wanted: first and last offset (inclusive) of the part to send, otherwise
        """
        part_type = content_type
        try:
            if ranges:
                part_type = b"application/octet-stream"
                wanted = requested_range(request, size_bytes)
        except OrthancError:
            file.close()
            raise
        start, length = 0, size_bytes
        if wanted is None:
            request.setHeader(b"content-type", content_type)
            if filename is not None:
                set_filename(request, filename)
        else:
            start, length = wanted[0], wanted[1] - wanted[0] + 1
            set_status(request, 206)
            request.setHeader(b"content-type", part_type)
            request.setHeader(
                b"content-range", b"bytes %d-%d/%d" % (wanted[0], wanted[1], size_bytes)
            )
        request.setHeader(b"content-length", b"%d" % length)
        if request.method == b"HEAD" or not length:
            file.close()
            request.finish()
            return _fired()
        if length <= SMALL_BYTES:
            with file:
                file.seek(start)
                data = file.read(length)
            request.write(data)
            request.finish()
            return _fired()
        transport = plain_transport(request) if _has_descriptor(file) else None
        if transport is not None:
            request.write(b"")  # the headers
            sender = SocketSender.after_headers(transport, file, start, length)
            if sender is not None:
                sending = sender.run()
                if sending.called and sending.result is None:
                    request.finish()
                    return sending
                return _finished_with(request, sending, sender.stop)
        file.seek(start)
        return self.send_chunks(request, self._reader(file, length), file.close)

    def send_chunks(
        self, request: Request, next_chunk: NextChunk, close: Callable[[], None] = lambda: None
    ) -> Deferred[None]:
        """Send what ``next_chunk`` returns, one chunk at a time, until it returns b"".

        The next chunk is asked for when the client has taken most of those before.

        :param close: called once, when it is over for whatever reason
        """
        if self._compress:
            next_chunk = compressed_chunks(request, next_chunk)
        if request.method == b"HEAD":
            close()
            request.finish()
            return _fired()
        producer = _Chunks(request, next_chunk, close)
        return _finished_with(request, producer.run(), producer.stopProducing)

    def _reader(self, file: BinaryIO, length: int) -> NextChunk:
        left = length

        def next_chunk() -> Deferred[bytes]:
            return self._in_thread(file.read, min(left, CHUNK_BYTES)).addCallback(got)

        def got(data: bytes) -> bytes:
            nonlocal left
            if left and not data:
                # Shorter than its length said: the client must not take it for whole.
                raise OrthancError(ErrorCode.CORRUPTED_FILE)
            left -= len(data)
            return data

        return next_chunk


@implementer(IPushProducer)
class _Chunks:
    """Pumps chunks into a request; a chunk is asked for only while the client takes them."""

    def __init__(self, request: Request, next_chunk: NextChunk, close: Callable[[], None]) -> None:
        self._request = request
        self._next_chunk = next_chunk
        self._close = close
        self._paused = False
        self._waiting = False
        self._over = False
        self._done: Deferred[None] = Deferred()

    def run(self) -> Deferred[None]:
        """Begin; fires when the last chunk is written."""
        self._request.registerProducer(self, True)
        self._pump()
        return self._done

    def pauseProducing(self) -> None:
        """The client is slow."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:
        """The client is gone."""
        if not self._over:
            self._over = True
            self._close()

    def _pump(self) -> None:
        while not (self._paused or self._waiting or self._over):
            self._waiting = True
            pending = maybeDeferred(self._next_chunk)
            pending.addCallbacks(self._got, self._end)
            # A chunk that was there at once goes on in this loop, not on the stack.
            if self._waiting:
                pending.addCallback(lambda _: self._pump())

    def _got(self, data: bytes) -> None:
        self._waiting = False
        if self._over:
            return
        if data:
            self._request.write(data)
        else:
            self._end(None)

    def _end(self, failure: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        self._close()
        self._request.unregisterProducer()
        if failure is None:
            self._done.callback(None)
        else:
            self._done.errback(failure)


def set_filename(request: Request, filename: str) -> None:
    """``Content-Disposition`` as Orthanc writes it, safe for any name.

    What is not ASCII is said a second time as RFC 6266 has it (section 4.3): browsers take
    bare UTF-8 for Latin-1.
    """
    safe = "".join(char if char.isprintable() and char not in '"\\' else "_" for char in filename)
    value = b'filename="' + safe.encode("utf-8", "replace") + b'"'
    if not safe.isascii():
        value += b"; filename*=UTF-8''" + quote(safe, safe="", errors="replace").encode("ascii")
    request.setHeader(b"content-disposition", value)


def _has_descriptor(file: BinaryIO | Any) -> bool:
    try:
        return isinstance(file.fileno(), int)
    except (AttributeError, OSError):
        return False


def _finished_with(
    request: Request, sending: Deferred[None], stop: Callable[[], None]
) -> Deferred[None]:
    """Finish the request after the last byte; stop sending if its client hangs up."""
    done: Deferred[None] = Deferred()

    def hung_up(reason: Failure) -> None:
        stop()
        if not done.called:  # it failed, and that cut the connection
            done.callback(None)

    def sent(result: None) -> None:
        request.finish()
        done.callback(None)

    request.notifyFinish().addErrback(hung_up)
    sending.addCallbacks(sent, done.errback)
    return done


def _fired() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done
