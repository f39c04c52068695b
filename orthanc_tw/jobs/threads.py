"""The functions that one run of a job has in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.model.errors import OrthancError

_log = Logger()


class ThreadGroup:
    """The functions that one run has in threads: a run is over when none is left.

    Cancelling the Deferred of a function does not stop its thread, which might still write
    to the job's folder; `drained` fires when the last has returned. Reactor thread.

    :param limit: how many run at a time, the others wait; 0 is no limit
    """

    def __init__(self, in_thread: Callable[..., Deferred[Any]], limit: int = 0) -> None:
        self._in_thread = in_thread
        self._limit = limit
        self._outstanding = 0
        self._waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._gates: list[Deferred[None]] = []

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Run a blocking function in a thread; Deferred of its result."""
        outer: Deferred[Any] = Deferred()
        self._waiting.append((partial(function, *args, **kwargs), outer))
        self._start()
        return outer

    def _start(self) -> None:
        while self._waiting and (not self._limit or self._outstanding < self._limit):
            function, outer = self._waiting.popleft()
            if outer.called:  # cancelled while it waited
                continue
            self._outstanding += 1
            maybeDeferred(self._in_thread, function).addBoth(self._returned, outer)

    def _returned(self, result: object, outer: Deferred[Any]) -> None:
        self._outstanding -= 1
        if not outer.called:
            outer.callback(result)
        elif isinstance(result, Failure) and not result.check(OrthancError):
            _log.failure("A cancelled step of a job failed in its thread", result)
        self._start()
        if self._outstanding == 0:
            gates, self._gates = self._gates, []
            for gate in gates:
                gate.callback(None)

    def drained(self) -> Deferred[None] | None:
        """The run is over: what waits for a thread is not begun.

        None if no thread is at work, or what fires when the last has returned.
        """
        waiting, self._waiting = self._waiting, deque()
        for _, outer in waiting:
            if not outer.called:
                outer.errback(CancelledError())
        if self._outstanding == 0:
            return None
        gate: Deferred[None] = Deferred()
        self._gates.append(gate)
        return gate
