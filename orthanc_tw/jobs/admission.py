"""``LimitJobs``: how many jobs may be pending before a submission has to wait for a place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed


class Admission:
    """Hands out places in the queue of pending jobs, first come first served.

    A place is reserved by `admit` until `settle`, when its job is in the queue or has been
    refused. A waiting caller is one Deferred; cancelling that gives its turn away.

    :param limit: how many places there are; 0 is no limit
    :param pending: how many jobs are in the queue now
    """

    def __init__(self, limit: int, pending: Callable[[], int]) -> None:
        self._limit = limit
        self._pending = pending
        self._reserved = 0
        self._waiting: deque[Deferred[None]] = deque()

    def __len__(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    def admit(self) -> Deferred[None]:
        """Fires with a place reserved."""
        if not self._waiting and self._has_room():
            self._reserved += 1
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def settle(self) -> None:
        """Give a reserved place back: its job is counted as pending now, or never will be."""
        self._reserved -= 1
        self.update()

    def update(self) -> None:
        """The queue may have become shorter: let in who fits."""
        while self._waiting and self._has_room():
            self._reserved += 1
            self._waiting.popleft().callback(None)

    def close(self, error: Exception) -> None:
        """Turn away all who wait."""
        while self._waiting:
            self._waiting.popleft().errback(error)

    def _has_room(self) -> bool:
        return self._limit == 0 or self._pending() + self._reserved < self._limit
