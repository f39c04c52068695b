"""Which jobs keep their outputs: by count, size and age, those used last staying longest."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from orthanc_tw.jobs.record import JobEntry


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """Limits of what ended jobs keep on disk; the names in the configuration are in brackets.

    :ivar count: how many jobs keep their outputs (``MediaArchiveSize``)
    :ivar size_bytes: of the outputs of all jobs, 0 for no limit (``JobsOutputsMaximumSize``)
    :ivar age_s: since the end of the job, seconds, 0 for no limit (``JobsOutputsMaximumAge``)
    """

    count: int = 1
    size_bytes: int = 0
    age_s: float = 0.0

    def __post_init__(self) -> None:
        if min(self.count, self.size_bytes, self.age_s) < 0:
            raise ValueError("a limit of outputs must not be negative")


class OutputsQuota:
    """Jobs that have outputs. Says whose outputs must go; removing them is the caller's.

    The job that was used last keeps its outputs whatever their size: somebody waits for them.
    """

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._entries: OrderedDict[str, JobEntry] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Of all outputs that are kept."""
        return self._size_bytes

    def keep(self, entry: JobEntry) -> list[JobEntry]:
        """Record that a job has outputs now; returns the jobs whose outputs must go."""
        self.gone(entry)
        self._entries[entry.job_id] = entry
        size = sum(output.size_bytes for output in entry.outputs.values())
        self._sizes[entry.job_id] = size
        self._size_bytes += size
        excess: list[JobEntry] = []
        while self._is_exceeded():
            excess.append(next(iter(self._entries.values())))
            self.gone(excess[-1])
        return excess

    def _is_exceeded(self) -> bool:
        limits = self._limits
        if len(self._entries) > limits.count:
            return True
        return 0 < limits.size_bytes < self._size_bytes and len(self._entries) > 1

    def resized(self, entry: JobEntry) -> None:
        """A job has less outputs than before."""
        size = sum(output.size_bytes for output in entry.outputs.values())
        self._size_bytes += size - self._sizes[entry.job_id]
        self._sizes[entry.job_id] = size

    def used(self, entry: JobEntry) -> None:
        """Somebody reads an output: it becomes the last to go."""
        if entry.job_id in self._entries:
            self._entries.move_to_end(entry.job_id)

    def gone(self, entry: JobEntry) -> None:
        """A job has no outputs any more."""
        if self._entries.pop(entry.job_id, None) is not None:
            self._size_bytes -= self._sizes.pop(entry.job_id)

    def expired(self, now_s: float) -> list[JobEntry]:
        """The jobs that ended too long before ``now_s``; they are not kept any more."""
        limit = self._limits.age_s
        if not limit:
            return []
        found = [
            entry for entry in self._entries.values() if now_s - (entry.completed_s or 0.0) > limit
        ]
        for entry in found:
            self.gone(entry)
        return found
