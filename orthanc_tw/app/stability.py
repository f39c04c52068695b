"""Marks resources as stable once nothing was received for them for ``StableAge`` seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from orthanc_tw.core.utc import utc_text
from orthanc_tw.index.gateway import Index, WriteTransaction

#: How often is looked, seconds; most resources marked in one transaction.
INTERVAL_S = 1.0
LIMIT = 500


class StabilityService(Service):
    """Looks once a second. What is left of a killed server is marked after its start.

    :param stable_age_s: ``StableAge``
    :param clock: for the interval
    :param now_s: the time of day, POSIX seconds
    """

    name = "stability"
    _log = Logger()

    def __init__(
        self,
        index: Index,
        stable_age_s: float,
        clock: IReactorTime,
        now_s: Callable[[], float],
    ) -> None:
        self._index = index
        self._stable_age_s = stable_age_s
        self._now_s = now_s
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._loop.start(INTERVAL_S, now=False)

    def stopService(self) -> Deferred[Any] | None:
        """Look no more; fires when the last look is over."""
        Service.stopService(self)
        if not self._loop.running:
            return None
        ended = self._loop.deferred
        self._loop.stop()
        return ended

    async def _look(self) -> None:
        now_s = self._now_s()
        older_than_s = now_s - self._stable_age_s

        def mark(tx: WriteTransaction) -> int:
            return tx.mark_stable(older_than_s=older_than_s, date=utc_text(now_s), limit=LIMIT)

        while await self._index.write(mark) >= LIMIT:
            pass

    def look(self) -> Deferred[None]:
        """Mark what has become stable. A failure is logged: the next look tries again."""
        looking = Deferred.fromCoroutine(self._look())
        return looking.addErrback(
            lambda failure: self._log.failure("Marking stable resources", failure)
        )
