"""Where jobs are saved: rows of the index, written in groups.

While one transaction is being written, all that is saved meanwhile is gathered for the next
one, the last row of a job winning: hundreds of small jobs a second share their commits, and
a row is never older than one written before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from orthanc_tw.index.gateway import Index, JobRow, WriteTransaction
from orthanc_tw.jobs.run import fire

Also = Callable[[WriteTransaction], None]


class JobStore(Protocol):
    """Durable rows of jobs. Called in the reactor thread."""

    def load(self, after: int, limit: int) -> Deferred[Sequence[JobRow]]:
        """The saved jobs after a number of submission (``sequence``), in that order."""
        ...

    def save(self, row: JobRow, also: Also | None = None) -> Deferred[None]:
        """Fires once ``row``, or a later one of the same job, is durable.

        :param also: what is written in the same transaction
        """
        ...

    def write(self, also: Also) -> Deferred[None]:
        """Fires once that is durable, of a job that has no row."""
        ...

    def delete(self, job_id: str) -> Deferred[None]:
        """Fires once the job's row is gone."""
        ...

    def flush(self) -> Deferred[None]:
        """Fires once all that was saved or deleted up to now is durable."""
        ...


@dataclass(slots=True)
class _Change:
    """The row to write, or None to delete it, what goes with it, and who waits for that."""

    row: JobRow | None
    also: list[Also] = field(default_factory=list)
    waiting: list[Deferred[Any]] = field(default_factory=list)


def _apply(changes: Mapping[str, _Change]) -> Also:
    rows = [(job_id, change.row) for job_id, change in changes.items()]
    others = [also for change in changes.values() for also in change.also]

    def write(transaction: WriteTransaction) -> None:
        saved = [row for _, row in rows if row is not None]
        deleted = [job_id for job_id, row in rows if row is None]
        if saved:
            transaction.put_jobs(saved)
        if deleted:
            transaction.delete_jobs(deleted)
        for also in others:
            also(transaction)

    return write


class IndexJobStore:
    """`JobStore` on the index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._changes: dict[str, _Change] = {}
        self._writing = False
        self._flushing: list[Deferred[Any]] = []

    def load(self, after: int, limit: int) -> Deferred[Sequence[JobRow]]:
        """See `JobStore`."""
        return self._index.read(lambda transaction: transaction.jobs(after=after, limit=limit))

    def save(self, row: JobRow, also: Also | None = None) -> Deferred[None]:
        """See `JobStore`."""
        return self._change(row.job_id, row, also)

    def write(self, also: Also) -> Deferred[None]:
        """See `JobStore`."""
        return self._index.write(also)

    def delete(self, job_id: str) -> Deferred[None]:
        """See `JobStore`."""
        return self._change(job_id, None)

    def flush(self) -> Deferred[None]:
        """See `JobStore`."""
        if not self._writing:
            return succeed(None)
        flushed: Deferred[None] = Deferred()
        self._flushing.append(flushed)
        return flushed

    def _change(self, job_id: str, row: JobRow | None, also: Also | None = None) -> Deferred[None]:
        change = self._changes.setdefault(job_id, _Change(row))
        change.row = row
        if also is not None:
            change.also.append(also)
        done: Deferred[None] = Deferred()
        change.waiting.append(done)
        self._write()
        return done

    def _write(self) -> None:
        if self._writing or not self._changes:
            return
        self._writing = True
        batch, self._changes = self._changes, {}
        maybeDeferred(self._index.write, _apply(batch)).addCallbacks(
            self._written, self._not_written, callbackArgs=(batch,), errbackArgs=(batch,)
        )

    def _written(self, _: object, batch: dict[str, _Change]) -> None:
        self._finish([(change, None) for change in batch.values()])

    def _not_written(self, failure: Any, batch: dict[str, _Change]) -> None:
        if len(batch) == 1:
            self._finish([(change, failure) for change in batch.values()])
            return
        # One bad row must not fail the others: each once more, in a savepoint of its own.
        outcomes: list[tuple[_Change, Any]] = []

        def collect(result: Any, change: _Change) -> None:
            outcomes.append((change, result))
            if len(outcomes) == len(batch):
                self._finish(outcomes)

        for job_id, change in batch.items():
            maybeDeferred(self._index.write, _apply({job_id: change})).addBoth(collect, change)

    def _finish(self, outcomes: Sequence[tuple[_Change, Any]]) -> None:
        # What is saved in answer to these goes into one more transaction, not one each.
        for change, result in outcomes:
            fire(change.waiting, result)
        self._writing = False
        self._write()
        if not self._writing:
            fire(self._flushing, None)


class IndexLabels:
    """The labels that the index knows: a `ResourceLabels`."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def in_use(self) -> Deferred[Collection[str]]:
        """All labels that any resource has."""
        return self._index.read(lambda tx: tx.all_labels())

    def having(self, public_ids: Sequence[str], labels: Sequence[str]) -> Deferred[Collection[str]]:
        """Those of some resources that have one of the labels, or an ancestor of which has it."""
        return self._index.read(lambda tx: tx.labelled_resources(public_ids, labels))
