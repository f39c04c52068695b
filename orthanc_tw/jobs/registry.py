"""The jobs in memory: by id, the queue of those pending, and what is kept of those ended.

Owns order and limits (``JobsHistorySize``, ``MediaArchiveSize``); changes no state and
touches neither rows nor files: it says what is to be dropped.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterator

from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.model.jobs import JobState


class JobsRegistry:
    """Jobs by id, the queue and the history.

    :param history_size: how many ended jobs are kept
    :param media_archive_size: how many jobs keep their outputs, the most recently used ones
    """

    def __init__(self, history_size: int, media_archive_size: int) -> None:
        self._history_size = history_size
        self._media_archive_size = media_archive_size
        self._entries: dict[str, JobEntry] = {}
        self._heap: list[tuple[int, int, int, str]] = []
        self._queued: dict[str, int] = {}
        self._tickets = 0
        self._history: OrderedDict[str, None] = OrderedDict()
        self._with_outputs: OrderedDict[str, None] = OrderedDict()

    def __iter__(self) -> Iterator[JobEntry]:
        """The jobs in the order of their ids, which is that of Orthanc's lists."""
        return iter([self._entries[job_id] for job_id in sorted(self._entries)])

    def get(self, job_id: str) -> JobEntry | None:
        """A job, or None."""
        return self._entries.get(job_id)

    def add(self, entry: JobEntry) -> None:
        """A job that was just submitted or loaded; it is in no queue yet."""
        self._entries[entry.job_id] = entry

    def remove(self, entry: JobEntry) -> None:
        """Forget a job altogether."""
        self.dequeue(entry)
        self._history.pop(entry.job_id, None)
        self._with_outputs.pop(entry.job_id, None)
        self._entries.pop(entry.job_id, None)

    def counts(self) -> Counter[JobState]:
        """How many jobs there are in each state."""
        return Counter(entry.state for entry in self._entries.values())

    @property
    def pending(self) -> int:
        """How many jobs are in the queue."""
        return len(self._queued)

    def enqueue(self, entry: JobEntry) -> None:
        """Put a pending job at its place: higher priority first, then submitted first."""
        self._tickets += 1
        self._queued[entry.job_id] = self._tickets
        heapq.heappush(self._heap, (-entry.priority, entry.order, self._tickets, entry.job_id))

    def dequeue(self, entry: JobEntry) -> None:
        """Take a job out of the queue, wherever it stands in it."""
        if self._queued.pop(entry.job_id, None) is not None and not self._queued:
            self._heap.clear()

    def pop(self) -> JobEntry | None:
        """Take the first job of the queue."""
        while self._heap:
            _, _, ticket, job_id = heapq.heappop(self._heap)
            # A job that left the queue and came back has an older ticket in the heap.
            if self._queued.get(job_id) == ticket:
                del self._queued[job_id]
                return self._entries[job_id]
        return None

    def ended(self, entry: JobEntry) -> list[JobEntry]:
        """Record the end of a job; returns the jobs that history has no more place for.

        They are forgotten here; their rows, folders and outputs are the caller's to remove.
        """
        self._history[entry.job_id] = None
        self._history.move_to_end(entry.job_id)
        dropped = []
        while len(self._history) > self._history_size:
            oldest = self._entries[next(iter(self._history))]
            self.remove(oldest)
            dropped.append(oldest)
        return dropped

    def resubmitted(self, entry: JobEntry) -> None:
        """A failed job is no longer history."""
        self._history.pop(entry.job_id, None)

    def outputs_kept(self, entry: JobEntry) -> list[JobEntry]:
        """Record that a job has outputs; returns the jobs whose outputs must now go."""
        self._with_outputs[entry.job_id] = None
        self._with_outputs.move_to_end(entry.job_id)
        excess: list[JobEntry] = []
        while len(self._with_outputs) > self._media_archive_size:
            job_id, _ = self._with_outputs.popitem(last=False)
            excess.append(self._entries[job_id])
        return excess

    def outputs_used(self, entry: JobEntry) -> None:
        """Somebody reads an output: it becomes the last to go."""
        if entry.job_id in self._with_outputs:
            self._with_outputs.move_to_end(entry.job_id)

    def outputs_gone(self, entry: JobEntry) -> None:
        """A job has no outputs any more."""
        self._with_outputs.pop(entry.job_id, None)
