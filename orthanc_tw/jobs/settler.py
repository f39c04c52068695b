"""Outputs of ended jobs on their way to the disk: one turn in a thread for all that wait.

A few turns run at a time, since a file system writes its journal once for all who wait for it
at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from orthanc_tw.jobs.folders import JobFolders, Outputs, Settled
from orthanc_tw.jobs.run import fire

_TURNS = 4

_Waiting = tuple[str, Outputs, "Deferred[Any]"]


class Settler:
    """Makes outputs durable. Called in the reactor thread."""

    def __init__(self, folders: JobFolders, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._folders = folders
        self._in_thread = in_thread
        self._waiting: list[_Waiting] = []
        self._turns = 0
        self._idle: list[Deferred[Any]] = []

    def settle(self, job_id: str, outputs: Outputs) -> Deferred[Any]:
        """Fires with what `JobFolders.settle` returns, or fails with what it raises."""
        done: Deferred[Any] = Deferred()
        self._waiting.append((job_id, outputs, done))
        self._go()
        return done

    def flush(self) -> Deferred[None]:
        """Fires when nothing is on its way, and all who waited were told."""
        if not self._turns:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    def _go(self) -> None:
        if not self._waiting or self._turns == _TURNS:
            return
        batch, self._waiting = self._waiting, []
        self._turns += 1
        work = [(job_id, outputs) for job_id, outputs, _ in batch]
        turn = maybeDeferred(self._in_thread, self._folders.settle_all, work)
        turn.addBoth(self._done, batch)

    def _done(self, results: Sequence[Settled] | Failure, batch: list[_Waiting]) -> None:
        if isinstance(results, Failure):
            results = [results] * len(batch)
        for (_, _, done), result in zip(batch, results, strict=True):
            done.callback(result)
        self._turns -= 1
        self._go()
        if not self._turns:
            fire(self._idle, None)
