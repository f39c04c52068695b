"""A response that a job streams a ZIP into, with back-pressure. Reactor thread.

The headers are sent with the first bytes, so a job that fails before has an error body. A
response that was begun and is not finished ends with a cut connection (`Executor.fail`),
since chunks that end well would make a valid-looking file.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.streaming import set_filename


@implementer(IPushProducer)
class ArchiveResponse:
    """The `StreamTarget` of one request.

    :ivar is_lost: the client has gone
    """

    def __init__(self, request: Request, filename: str) -> None:
        self._request = request
        self._filename = filename
        self._is_claimed = False
        self._is_started = False
        self._is_paused = False
        self._waiting: Deferred[None] | None = None
        self.is_lost = False

    def claim(self) -> bool:
        """See `StreamTarget`."""
        claimed, self._is_claimed = self._is_claimed, True
        return not claimed

    def write(self, chunks: list[bytes]) -> None:
        """Send; see `StreamTarget`."""
        if self.is_lost:
            raise _gone()
        if not chunks:
            return
        if not self._is_started:
            self._is_started = True
            self._request.setHeader(b"content-type", b"application/zip")
            set_filename(self._request, self._filename)
            self._request.registerProducer(self, True)
        self._request.write(b"".join(chunks))

    def drained(self) -> Deferred[None]:
        """See `StreamTarget`; one at a time."""
        if self.is_lost:
            return fail(_gone())
        if not self._is_paused:
            return succeed(None)
        self._waiting = Deferred(self._forget)
        return self._waiting

    def finish(self) -> None:
        """End a response that is whole."""
        if not self.is_lost:
            self._request.unregisterProducer()
            self._request.finish()

    def lose(self) -> None:
        """The client has gone: what waits or is written from now on fails."""
        self.is_lost = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(_gone())

    def pauseProducing(self) -> None:
        """See `IPushProducer`."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See `IPushProducer`."""
        self._is_paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """See `IPushProducer`."""
        self.lose()

    def _forget(self, _cancelled: Deferred[None]) -> None:
        self._waiting = None


def _gone() -> OrthancError:
    return OrthancError(ErrorCode.NETWORK_PROTOCOL, "The client has gone before the end")
