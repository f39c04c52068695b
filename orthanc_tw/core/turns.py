"""Things that become ready in any order, done in the order in which they were begun."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """Calls functions in the order of their numbers. All methods: any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # what is called may take or skip a turn
        self._taken = 0
        self._next = 0
        self._ready: dict[int, Callable[[], object]] = {}

    def take(self) -> int:
        """The next number; `ready` or `skip` must be called with it some day."""
        with self._lock:
            number = self._taken
            self._taken += 1
            return number

    def ready(self, number: int, function: Callable[[], object]) -> None:
        """Call ``function`` when all before it were called: now, or in another thread.

        It is called once, with a lock held, and must not raise. After `skip` it is called all
        the same, but may be out of order.
        """
        with self._lock:
            if number < self._next:
                function()
            else:
                self._ready[number] = function
                self._advance()

    def skip(self, number: int) -> None:
        """Do not wait for this number any more; harmless if it was ready."""
        with self._lock:
            if number >= self._next:
                self._ready.setdefault(number, _nothing)
                self._advance()

    def _advance(self) -> None:
        while self._next in self._ready:
            function = self._ready.pop(self._next)
            self._next += 1
            function()


def _nothing() -> None:
    return None
