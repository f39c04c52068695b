"""The slots in which jobs run: as many loops of one Cooperator as ``ConcurrentJobs``.

A loop takes the next piece of work and drives it; with none to take it waits on a Deferred
until `Scheduler.wake`. Which work is next, and what comes of it, is the engine's affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Cooperator
from twisted.logger import Logger

from orthanc_tw.jobs.run import Steps

_log = Logger()


class Scheduler:
    """Runs work in ``slots`` loops. Everything is called in the reactor thread.

    :param take: the next piece of work, or None; what it yields never fails
    """

    def __init__(
        self, cooperator: Cooperator, slots: int, take: Callable[[], Steps | None]
    ) -> None:
        self._cooperator = cooperator
        self._slots = slots
        self._take = take
        self._idle: deque[Deferred[None]] = deque()
        self._stopping = False
        self._ended: list[Deferred[Any]] = []

    def start(self) -> None:
        """Begin to take work."""
        self._ended = [
            self._cooperator.cooperate(self._loop()).whenDone() for _ in range(self._slots)
        ]

    def wake(self) -> None:
        """There is one more piece of work: let an idle slot look for it."""
        if self._idle:
            self._idle.popleft().callback(None)

    def stop(self) -> Deferred[None]:
        """Take no more work; fires when what is under way has ended."""
        self._stopping = True
        while self._idle:
            self.wake()
        ended: Deferred[Any] = DeferredList(self._ended, consumeErrors=True)
        return ended.addCallback(lambda _: None)

    def _loop(self) -> Steps:
        while not self._stopping:
            work = self._take()
            if work is None:
                gate: Deferred[None] = Deferred()
                self._idle.append(gate)
                yield gate
                continue
            try:
                yield from work
            except Exception:
                # A slot that ended here would be missing until the server restarts.
                _log.failure("A slot of the jobs engine met an unexpected error")
