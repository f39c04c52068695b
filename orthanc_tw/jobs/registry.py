"""The jobs in memory: by id, the queue of those pending, and what is kept of those ended.

Owns order and limits (``JobsHistorySize``); changes no state and
touches neither rows nor files: it says what is to be dropped.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Iterator

from orthanc_tw.jobs.quota import OutputsQuota
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.model.jobs import JobState

# How many jobs that are not queued any more the heap may hold besides as many as are.
_STALE = 64
# Up to so many new ids are cheaper to insert than to sort in.
_FEW = 32


class JobsRegistry:
    """Jobs by id, the queue and the history.

    :param history_size: how many ended jobs are kept
    :ivar outputs: the jobs that keep their outputs
    """

    def __init__(self, history_size: int, outputs: OutputsQuota) -> None:
        self._history_size = history_size
        self.outputs = outputs
        self._entries: dict[str, JobEntry] = {}
        # A job that leaves the queue stays in the heap until it is met there: at the same
        # place, should it come back.
        # Sorted, but for those that are new since somebody looked.
        self._ids: list[str] = []
        self._new_ids: list[str] = []
        self._heap: list[tuple[int, int, str]] = []
        self._in_heap: set[str] = set()
        self._queued: set[str] = set()
        self._history: OrderedDict[str, None] = OrderedDict()

    def __iter__(self) -> Iterator[JobEntry]:
        """The jobs in the order of their ids, which is that of Orthanc's lists."""
        return iter([self._entries[job_id] for job_id in self._sorted_ids()])

    def entries(self) -> list[JobEntry]:
        """The jobs in no order, as they are now."""
        return list(self._entries.values())

    def slice(self, after: str | None, count: int, *, descending: bool) -> list[JobEntry]:
        """So many jobs in the order of their ids, after one that may be gone."""
        ids = self._sorted_ids()
        if descending:
            end = len(ids) if after is None else bisect_left(ids, after)
            found = ids[max(end - count, 0) : end][::-1]
        else:
            start = 0 if after is None else bisect_right(ids, after)
            found = ids[start : start + count]
        return [self._entries[job_id] for job_id in found]

    def _sorted_ids(self) -> list[str]:
        if len(self._new_ids) > _FEW:
            self._ids += self._new_ids
            self._ids.sort()
        else:
            for job_id in self._new_ids:
                insort(self._ids, job_id)
        self._new_ids.clear()
        return self._ids

    def get(self, job_id: str) -> JobEntry | None:
        """A job, or None."""
        return self._entries.get(job_id)

    def add(self, entry: JobEntry) -> None:
        """A job that was just submitted or loaded; it is in no queue yet."""
        if entry.job_id not in self._entries:
            self._new_ids.append(entry.job_id)
        self._entries[entry.job_id] = entry

    def remove(self, entry: JobEntry) -> None:
        """Forget a job altogether."""
        self.dequeue(entry)
        self._history.pop(entry.job_id, None)
        self.outputs.gone(entry)
        if self._entries.pop(entry.job_id, None) is not None:
            ids = self._sorted_ids()
            del ids[bisect_left(ids, entry.job_id)]

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
