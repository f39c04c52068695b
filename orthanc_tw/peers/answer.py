"""Takes the body of an answer: into memory up to a limit, or piece by piece with back-pressure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss


class AnswerTooLarge(Exception):
    """More than what was allowed for."""


class BodyReader(Protocol):
    """Receives a body. Reactor thread.

    :param maximum_bytes: of a body that is taken into memory
    :param moved: told whenever something has come
    :param consume: takes the pieces instead; the next waits for the Deferred it may return
    :param is_cut: the rest of a body that is too large is left, and no error
    :ivar body: fires with what is in memory when all has come, and every piece is consumed.
        Cancelled, the connection is closed
    """

    def __init__(
        self,
        maximum_bytes: int,
        moved: Callable[[], object],
        consume: Callable[[bytes], Deferred[Any] | None] | None = None,
        *,
        is_cut: bool = False,
    ) -> None:
        self._maximum_bytes = maximum_bytes
        self._moved = moved
        self._consume = consume
        self._is_cut = is_cut
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        # What had been read from the socket already when the consumer asked for a pause.
        self._waiting: list[bytes] = []
        self._consuming: Deferred[Any] | None = None
        self._reason: Failure | None = None
        self.body: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        self._moved()
        if self.body.called:
            return
        if self._consume is not None:
            self._waiting.append(data)
            self._hand_over()
            return
        room = self._maximum_bytes - self._size_bytes
        self._pieces.append(data[:room])
        self._size_bytes += len(data)
        if len(data) > room:
            if self._is_cut:
                self._end(b"".join(self._pieces))
            else:
                self._end(Failure(AnswerTooLarge()))
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`: the body has ended."""
        self._reason = reason
        self._hand_over()

    def _hand_over(self) -> None:
        assert self._consume is not None or not self._waiting
        while self._waiting and self._consuming is None and not self.body.called:
            assert self._consume is not None
            try:
                consuming = self._consume(self._waiting.pop(0))
            except Exception:
                self._failed(Failure())
                return
            if consuming is not None and not consuming.called:
                self._consuming = consuming
                self._transport("pauseProducing")
                consuming.addCallbacks(self._consumed, self._failed)
            elif consuming is not None:
                consuming.addErrback(self._failed)
        if not self._waiting and self._consuming is None and self._reason is not None:
            # PotentialDataLoss: neither length nor chunks; the end is the end of the connection.
            is_done = self._reason.check(ResponseDone, PotentialDataLoss) is not None
            self._end(b"".join(self._pieces) if is_done else self._reason)

    def _consumed(self, _: object) -> None:
        self._consuming = None
        self._moved()
        self._hand_over()
        if self._consuming is None:
            self._transport("resumeProducing")

    def _failed(self, failure: Failure) -> None:
        self._consuming = None
        self._waiting.clear()
        self._end(failure)
        self._hang_up()

    def _end(self, result: bytes | Failure) -> None:
        if not self.body.called:
            self.body.callback(result)

    def _hang_up(self) -> None:
        if self._consuming is not None:
            consuming, self._consuming = self._consuming, None
            consuming.cancel()
        # Paused, it would not learn that the other side is gone.
        self._transport("resumeProducing")
        self._transport("loseConnection")

    def _transport(self, action: str) -> None:
        if self._reason is None and self.transport is not None:
            getattr(self.transport, action)()
