"""What can be asked of the list of jobs: filters, an order, and where a page begins."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from orthanc_tw.jobs.record import JobEntry

Key = str | float
#: The key of the order and the id of a job: where a page ended.
Position = tuple[Key, str]


class JobOrder(enum.Enum):
    """What jobs are sorted by; those that are equal in it are sorted by id."""

    ID = "id"
    SUBMISSION = "submission"
    COMPLETION = "completion"
    PRIORITY = "priority"
    STATE = "state"
    TYPE = "type"
    PROGRESS = "progress"
    RUNTIME = "runtime"

    def key(self, entry: JobEntry) -> Key:
        """What the order compares: text, or a number. A job that has not ended ends last."""
        return _KEYS[self](entry)

    def position(self, text: str) -> Position:
        """Read what `position_text` wrote.

        :raises ValueError: if it is something else
        """
        if self is JobOrder.ID:
            return "", text
        key, comma, job_id = text.rpartition(",")
        if not comma:
            raise ValueError("no key and id")
        if self in (JobOrder.STATE, JobOrder.TYPE):
            return key, job_id
        number = float(key)
        if math.isnan(number):
            raise ValueError("not a number")
        return number, job_id

    def position_text(self, entry: JobEntry) -> str:
        """Where a page that ends with this job ends."""
        return entry.job_id if self is JobOrder.ID else f"{self.key(entry)},{entry.job_id}"


_KEYS: dict[JobOrder, Callable[[JobEntry], Key]] = {
    JobOrder.ID: lambda entry: "",
    JobOrder.SUBMISSION: lambda entry: entry.created_s,
    JobOrder.COMPLETION: lambda entry: math.inf if entry.completed_s is None else entry.completed_s,
    JobOrder.PRIORITY: lambda entry: entry.priority,
    JobOrder.STATE: lambda entry: entry.state.value,
    JobOrder.TYPE: lambda entry: entry.kind,
    JobOrder.PROGRESS: lambda entry: entry.progress,
    JobOrder.RUNTIME: lambda entry: entry.runtime_s,
}


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs, in which order. Empty filters let everything through.

    :ivar states: names of states, any of which
    :ivar kinds: types of jobs, any of which
    :ivar labels: any of which a resource of the job, or an ancestor of it, must have
    :ivar after: where the page before ended; "" is the start
    :ivar limit: how many at most, 0 for all
    """

    states: Collection[str] = ()
    kinds: Collection[str] = ()
    labels: Collection[str] = ()
    order: JobOrder = JobOrder.ID
    descending: bool = False
    after: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class JobPage:
    """What was found.

    :ivar job_ids: in the order asked for
    :ivar next_after: ``JobQuery.after`` of the next page; None if this is the last
    """

    job_ids: list[str]
    next_after: str | None
