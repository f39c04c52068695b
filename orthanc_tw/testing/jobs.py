"""Fakes to run the jobs engine in memory: a store, and a Cooperator that is pumped by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Cooperator

from orthanc_tw.index.gateway import JobRow


class MemoryJobStore:
    """`orthanc_tw.jobs.store.JobStore` in memory.

    :ivar rows: what would be on the disk
    :ivar held: while True nothing becomes durable; `release` lets it
    :ivar error: if set, what saving fails with
    :ivar saved: every row that was saved, in order
    """

    def __init__(self) -> None:
        self.rows: dict[str, JobRow] = {}
        self.saved: list[JobRow] = []
        self.held = False
        self.error: Exception | None = None
        self._sequence = 0
        self._waiting: list[tuple[Callable[[], None], Deferred[None]]] = []

    def load(self, after: int, limit: int) -> Deferred[Sequence[JobRow]]:
        """See `JobStore`."""
        rows = sorted(self.rows.values(), key=lambda row: row.sequence)
        return succeed([row for row in rows if row.sequence > after][:limit])

    def save(self, row: JobRow) -> Deferred[None]:
        """See `JobStore`."""
        return self._do(lambda: self._put(row))

    def delete(self, job_id: str) -> Deferred[None]:
        """See `JobStore`."""
        return self._do(lambda: self._remove(job_id))

    def flush(self) -> Deferred[None]:
        """See `JobStore`."""
        return self._do(lambda: None)

    def release(self) -> None:
        """Make durable what waits, and all that comes."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for action, done in waiting:
            action()
            done.callback(None)

    def _do(self, action: Callable[[], None]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if self.error is not None:
            done.errback(self.error)
        elif self.held:
            self._waiting.append((action, done))
        else:
            action()
            done.callback(None)
        return done

    def _put(self, row: JobRow) -> None:
        known = self.rows.get(row.job_id)
        if known is None:
            self._sequence += 1
        sequence = self._sequence if known is None else known.sequence
        self.rows[row.job_id] = replace(row, sequence=sequence)
        self.saved.append(row)

    def _remove(self, job_id: str) -> None:
        self.rows.pop(job_id, None)


class _Call:
    """A scheduled call, as much of it as a Cooperator wants."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        """Do not call it."""
        self.function = None


class Pump:
    """A Cooperator whose scheduler is a list: each `turn` does one unit of work of one task.

    :ivar cooperator: the Cooperator
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self.cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True, scheduler=self._schedule
        )

    def turn(self) -> bool:
        """Run what is scheduled now; False if there was nothing."""
        calls, self._calls = self._calls, []
        for call in calls:
            if call.function is not None:
                call.function()
        return bool(calls)

    def run(self, limit: int = 10_000) -> None:
        """Run until nothing is scheduled.

        :raises AssertionError: if that does not happen within ``limit`` turns (a busy loop)
        """
        for _ in range(limit):
            if not self.turn():
                return
        raise AssertionError("the loop never rests")

    def _schedule(self, function: Callable[[], None]) -> IDelayedCall:
        call = _Call(function)
        self._calls.append(call)
        return cast(IDelayedCall, call)
