"""Sweeps the storage area after the start, beside the requests of clients."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from orthanc_tw.app.base import InThread
from orthanc_tw.core.sweep import Sweep

#: A pause is so many times as long as the slice before it took, which is the longer the more
#: the server has to do; and at most so long, seconds.
PAUSE_RATIO = 20.0
MAXIMUM_PAUSE_S = 0.5


class SweepService(Service):
    """Runs one sweep, a few percent of the time. What is left at a stop is for the next start.

    :param sweep: used in threads, by one at a time
    :param ended: called once it is over, or has failed
    :param clock: for the pauses
    """

    name = "sweep"
    _log = Logger()

    def __init__(
        self, sweep: Sweep, ended: Callable[[], None], in_thread: InThread, clock: IReactorTime
    ) -> None:
        self._sweep = sweep
        self._ended = ended
        self._in_thread = in_thread
        self._clock = clock
        self._sweeping: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin."""
        Service.startService(self)
        self._sweeping = Deferred.fromCoroutine(self._run())

    def stopService(self) -> Deferred[None] | None:
        """Begin no other slice; fires when that under way is over."""
        Service.stopService(self)
        if self._pause is not None:
            self._pause.cancel()
        return self._sweeping

    async def _run(self) -> None:
        try:
            while self.running and not self._sweep.is_over:
                started_s = self._clock.seconds()
                await self._in_thread(self._sweep.next_slice)
                if not self._sweep.is_over:
                    await self._wait(PAUSE_RATIO * (self._clock.seconds() - started_s))
        except Exception:
            self._log.failure("Sweeping the storage area")
        self._ended()

    async def _wait(self, pause_s: float) -> None:
        if not self.running:
            return
        self._pause = deferLater(self._clock, min(pause_s, MAXIMUM_PAUSE_S))
        try:
            await self._pause
        except CancelledError:
            pass  # stopped
        finally:
            self._pause = None
