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

# How many jobs that are not queued any more the heap may hold besides as many as are.
_STALE = 64


class JobsRegistry:
    """Jobs by id, the queue and the history.

    :param history_size: how many ended jobs are kept
    :param media_archive_size: how many jobs keep their outputs, the most recently used ones
    """

    def __init__(self, history_size: int, media_archive_size: int) -> None:
        self._history_size = history_size
        self._media_archive_size = media_archive_size
        self._entries: dict[str, JobEntry] = {}
        # A job that leaves the queue stays in the heap until it is met there: at the same
        # place, should it come back.
        self._heap: list[tuple[int, int, str]] = []
        self._in_heap: set[str] = set()
        self._queued: set[str] = set()
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
        self._queued.add(entry.job_id)
        if entry.job_id not in self._in_heap:
            self._in_heap.add(entry.job_id)
            heapq.heappush(self._heap, (-entry.priority, entry.order, entry.job_id))

    def dequeue(self, entry: JobEntry) -> None:
        """Take a job out of the queue, wherever it stands in it."""
        self._queued.discard(entry.job_id)
        if len(self._heap) > 2 * len(self._queued) + _STALE:
            self._heap = [item for item in self._heap if item[2] in self._queued]
            self._in_heap = set(self._queued)
            heapq.heapify(self._heap)

    def pop(self) -> JobEntry | None:
        """Take the first job of the queue."""
        while self._heap:
            _, _, job_id = heapq.heappop(self._heap)
            self._in_heap.discard(job_id)
            if job_id in self._queued:
                self._queued.discard(job_id)
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
