"""The body of a request, sent from a file: read in threads, only as fast as the peer takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

READ_BYTES = 256 * 1024
InThread = Callable[..., Deferred[Any]]


@dataclass(frozen=True, slots=True)
class FileBody:
    """A body that is in a file.

    :ivar open: opens it, at the first byte of the body; called in a thread, once a request. The
        file is closed by whoever sends it
    :ivar size_bytes: how much of it is sent
    """

    open: Callable[[], BinaryIO]
    size_bytes: int


@implementer(IBodyProducer)
class FileProducer:
    """Sends a `FileBody`. Reactor thread.

    :param moved: told whenever bytes have gone to the connection
    """

    def __init__(self, body: FileBody, in_thread: InThread, moved: Callable[[], object]) -> None:
        self.length = body.size_bytes
        self._body = body
        self._in_thread = in_thread
        self._moved = moved
        self._is_stopped = False
        self._paused: Deferred[None] | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Fires when all is handed over; never if it is stopped (the interface asks for that)."""
        done: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            if not self._is_stopped:
                done.callback(result)

        Deferred.fromCoroutine(self._produce(consumer)).addBoth(ended)
        return done

    def stopProducing(self) -> None:
        """The connection is gone, or the request was cancelled."""
        self._is_stopped = True
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """The peer does not take it as fast as it is read."""
        if self._paused is None:
            self._paused = Deferred()

    def resumeProducing(self) -> None:
        """It takes more."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.callback(None)

    async def _produce(self, consumer: Any) -> None:
        # One hand-over to a thread for a file that is small, which most are.
        file, data = await self._in_thread(_opened, self._body.open, self.length)
        try:
            left = self.length
            while data and not self._is_stopped:
                left -= len(data)
                consumer.write(data)
                self._moved()
                if self._paused is not None:
                    await self._paused
                if not left or self._is_stopped:
                    break
                data = await self._in_thread(file.read, min(left, READ_BYTES))
        finally:
            file.close()


def _opened(open_file: Callable[[], BinaryIO], size_bytes: int) -> tuple[BinaryIO, bytes]:
    file = open_file()
    try:
        return file, file.read(min(size_bytes, READ_BYTES))
    except BaseException:
        file.close()
        raise
