"""Rows in groups."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.jobs.record import JobEntry, to_row
from orthanc_tw.jobs.store import IndexJobStore
from orthanc_tw.model.jobs import JobState


def row(job_id: str, progress: float = 0.0) -> JobRow:
    entry = JobEntry(job_id, "Kind", True, 1, "{}", 0, None, 0.0, JobState.PENDING)
    entry.progress = progress
    return to_row(entry)


class OneTransaction:
    """Enough of an index: a table of jobs, written when the test says so."""

    def __init__(self) -> None:
        self.table: dict[str, JobRow] = {}
        self.writes: list[Callable[[], None]] = []
        self.bad: set[str] = set()

    def write(self, function: Callable[[Any], Any]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()

        def commit() -> None:
            before = dict(self.table)
            result = maybeDeferred(function, self)
            result.addErrback(self._roll_back, before).chainDeferred(done)

        self.writes.append(commit)
        return done

    def _roll_back(self, failure: Any, before: dict[str, JobRow]) -> Any:
        self.table = before
        return failure

    def commit(self) -> None:
        self.writes.pop(0)()

    def put_jobs(self, jobs: Sequence[JobRow]) -> None:
        for job in jobs:
            if job.job_id in self.bad:
                raise ValueError(job.job_id)
            self.table[job.job_id] = job

    def delete_jobs(self, job_ids: Sequence[str]) -> int:
        return sum(self.table.pop(job_id, None) is not None for job_id in job_ids)


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = OneTransaction()
        self.store = IndexJobStore(self.index)  # type: ignore[arg-type]

    def test_one_write_at_a_time(self) -> None:
        """What is saved while a transaction is written waits for the next, all together."""
        first = self.store.save(row("a"))
        others = [self.store.save(row(name)) for name in "bcd"]
        self.assertEqual(len(self.index.writes), 1)
        self.index.commit()
        self.successResultOf(first)
        self.assertEqual(len(self.index.writes), 1)
        for other in others:
            self.assertNoResult(other)
        self.index.commit()
        for other in others:
            self.successResultOf(other)
        self.assertEqual(list(self.index.table), ["a", "b", "c", "d"])
        self.assertEqual(self.index.writes, [])

    def test_last_row_wins(self) -> None:
        """Of several rows of a job that wait, the last is written, and all are answered."""
        self.store.save(row("a"))
        waiting = [self.store.save(row("b", progress)) for progress in (0.1, 0.2, 0.3)]
        self.index.commit()
        self.index.commit()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.index.table["b"].progress, 0.3)

    def test_delete(self) -> None:
        """A deletion replaces the rows that wait before it, and is replaced by those after it."""
        self.store.save(row("a"))
        gone = self.store.save(row("b"))
        self.store.delete("b")
        self.store.delete("a")
        back = self.store.save(row("a", 0.5))
        self.index.commit()
        self.index.commit()
        self.successResultOf(gone)
        self.successResultOf(back)
        self.assertEqual(list(self.index.table), ["a"])
        self.assertEqual(self.index.table["a"].progress, 0.5)

    def test_bad_row(self) -> None:
        """A row that cannot be written fails alone."""
        self.index.bad.add("c")
        self.store.save(row("a"))
        waiting = {name: self.store.save(row(name)) for name in "bcd"}
        self.index.commit()
        while self.index.writes:
            self.index.commit()
        self.successResultOf(waiting["b"])
        self.failureResultOf(waiting["c"], ValueError)
        self.successResultOf(waiting["d"])
        self.assertEqual(list(self.index.table), ["a", "b", "d"])
        self.successResultOf(self.store.flush())

    def test_single_bad_row(self) -> None:
        """The same for one that is written by itself."""
        self.index.bad.add("a")
        saved = self.store.save(row("a"))
        self.index.commit()
        self.failureResultOf(saved, ValueError)
        self.assertEqual(self.index.writes, [])

    def test_answers_do_not_split_groups(self) -> None:
        """What is saved in answer to a transaction goes into the next one with all that waits."""
        for name in "ab":
            self.store.save(row(name)).addCallback(
                lambda _, name=name: (
                    [self.store.save(row(name + suffix)) for suffix in "12"] and None
                )
            )
        self.index.commit()
        self.index.commit()
        self.assertEqual(len(self.index.writes), 1)
        self.index.commit()
        self.assertEqual(sorted(self.index.table), ["a", "a1", "a2", "b", "b1", "b2"])

    def test_flush(self) -> None:
        """Fires when nothing is left to write."""
        self.successResultOf(self.store.flush())
        self.store.save(row("a"))
        self.store.save(row("b"))
        flushed = self.store.flush()
        self.index.commit()
        self.assertNoResult(flushed)
        self.index.commit()
        self.successResultOf(flushed)

    def test_index_that_is_closed(self) -> None:
        """An index that refuses fails the save, not the caller."""

        def write(_: object) -> None:
            raise RuntimeError("closed")

        self.index.write = write  # type: ignore[method-assign, assignment]
        self.failureResultOf(self.store.save(row("a")), RuntimeError)
