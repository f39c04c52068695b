"""Several pieces of work under way at once, over the steps of one job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class SlidingWindow(Generic[T]):
    """Starts work as other work ends, never more than a number at a time. Reactor thread.

    A step lasts until some work has ended, the rest goes on meanwhile. When the job is to stop,
    or has failed, nothing is started any more, and the step lasts until all is at rest.

    :param items: what is to be worked on, in order
    :param start: begins the work on an item; cancelling its Deferred gives it up
    :param ended: takes the result of an item, or its failure; what it raises fails the job
    :param limit: most items that are worked on at a time
    :param per_step: items after which a step is over
    :param is_stopping: whether the job has been asked to stop
    """

    def __init__(
        self,
        items: Iterable[T],
        start: Callable[[T], Deferred[object]],
        ended: Callable[[T, object], None],
        *,
        limit: int,
        per_step: int,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._items = iter(items)
        self._start = start
        self._take = ended
        self._limit = limit
        self._per_step = per_step
        self._is_stopping = is_stopping
        self._under_way: dict[int, Deferred[object]] = {}
        self._next_number = 0
        self._is_exhausted = False
        self._is_filling = False
        self._is_abandoned = False
        self._failure: Failure | None = None
        self._waiting: Deferred[None] | None = None
        self._left = 0

    @property
    def is_done(self) -> bool:
        """Whether all items have been worked on."""
        return self._is_exhausted and not self._under_way

    def step(self) -> Deferred[None]:
        """Go on; fires after ``per_step`` items. Cancelling it gives up all that is under way.

        Fails with the first failure, when nothing is under way any more.
        """
        self._left = self._per_step
        waiting: Deferred[None] = Deferred(lambda _: self.abandon())
        self._waiting = waiting
        self._fill()
        self._look()
        return waiting

    def abandon(self) -> None:
        """Give up all that is under way, start nothing more."""
        self._is_abandoned = True
        self._waiting = None
        for work in list(self._under_way.values()):
            work.cancel()

    @property
    def _is_ending(self) -> bool:
        return self._is_abandoned or self._failure is not None or self._is_stopping()

    def _fill(self) -> None:
        if self._is_filling:
            return
        self._is_filling = True
        try:
            while len(self._under_way) < self._limit and not self._is_ending:
                try:
                    item = next(self._items)
                except StopIteration:
                    self._is_exhausted = True
                    return
                number, self._next_number = self._next_number, self._next_number + 1
                work = self._under_way[number] = self._start(item)
                work.addBoth(self._ended, number, item)
        finally:
            self._is_filling = False

    def _ended(self, result: object, number: int, item: T) -> None:
        del self._under_way[number]
        if not (self._is_abandoned and _is_cancelled(result)):
            try:
                self._take(item, result)
            except Exception:
                self._failure = self._failure or Failure()
        self._left -= 1
        if not self._is_abandoned:
            self._fill()
            self._look()

    def _look(self) -> None:
        waiting = self._waiting
        if waiting is None or self._is_filling:
            return
        if self._is_ending:
            if self._under_way:
                return
        elif self._left > 0 and not self.is_done:
            return
        self._waiting = None
        if self._failure is not None:
            waiting.errback(self._failure)
        else:
            waiting.callback(None)


def _is_cancelled(result: object) -> bool:
    return isinstance(result, Failure) and result.check(CancelledError) is not None
