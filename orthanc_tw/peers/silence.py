"""Ends a request in which nothing has moved for too long. Reactor thread."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred


class Silence:
    """Cancels a Deferred when nothing was told by `moved` for a time.

    :param clock: an `IReactorTime`
    :param timeout_s: seconds, 0 for ever
    :ivar is_over: whether it has cancelled it
    """

    def __init__(self, clock: Any, timeout_s: float) -> None:
        self._clock = clock
        self.timeout_s = timeout_s
        self.is_over = False
        self._call: Any = None
        self._watched: Deferred[Any] | None = None
        if timeout_s:
            self._call = clock.callLater(timeout_s, self._expired)

    def watch(self, deferred: Deferred[Any]) -> None:
        """What is to be cancelled."""
        self._watched = deferred

    def moved(self) -> None:
        """Bytes went, or came."""
        if self._call is not None and self._call.active():
            self._call.reset(self.timeout_s)

    def end(self) -> None:
        """It is over, one way or another."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _expired(self) -> None:
        self.is_over = True
        if self._watched is not None:
            self._watched.cancel()
