"""The files that ended jobs keep: handed out, removed, and swept when they are too old."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from orthanc_tw.jobs.interface import Output
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.model.jobs import JobState

_log = Logger()

# Longest time between two looks at the age of outputs, seconds.
_SWEEP_INTERVAL_S = 60.0


class OutputKeeper:
    """Outputs of ended jobs. Called in the reactor thread.

    :param age_s: how long they are kept, seconds; 0 is for ever
    :param changed: told of each job that has lost its outputs
    """

    def __init__(
        self,
        registry: JobsRegistry,
        ledger: JobLedger,
        clock: IReactorTime,
        now_s: Callable[[], float],
        age_s: float,
        changed: Callable[[JobEntry], None],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._clock = clock
        self._now_s = now_s
        self._age_s = age_s
        self._changed = changed
        self._sweeping: IDelayedCall | None = None

    def output(self, entry: JobEntry, key: str) -> Output | None:
        """A file that an ended job has left, or None."""
        stored = entry.outputs.get(key)
        if stored is None or entry.state is not JobState.SUCCESS:
            return None
        self._registry.outputs.used(entry)
        return stored.as_output(self._ledger.folders.path(entry.job_id))

    def delete(self, entry: JobEntry, key: str) -> Deferred[bool]:
        """Remove a file that an ended job has left. False if there is none such."""
        if key not in entry.outputs or entry.state is not JobState.SUCCESS:
            return succeed(False)
        dropped = self._ledger.drop_outputs(entry, [key])
        if entry.outputs:
            # The size of what is left counts, and the quota cannot be exceeded by that.
            self._registry.outputs.resized(entry)
        else:
            self._registry.outputs.gone(entry)
        return dropped.addCallback(lambda _: True)

    def start(self) -> None:
        """Begin to look for outputs that are too old."""
        if self._age_s:
            self._sweep()

    def stop(self) -> None:
        """Look no more."""
        if self._sweeping is not None and self._sweeping.active():
            self._sweeping.cancel()

    def _sweep(self) -> None:
        for entry in self._registry.outputs.expired(self._now_s()):
            dropped = self._ledger.drop_outputs(entry, list(entry.outputs))
            dropped.addErrback(
                lambda failure: _log.failure("Old outputs could not be removed", failure)
            )
            self._changed(entry)
        interval_s = min(max(self._age_s / 4, 1.0), _SWEEP_INTERVAL_S)
        self._sweeping = self._clock.callLater(interval_s, self._sweep)
