"""The sweep at start: the storage area and the index told apart, in slices.

A file without a row is what a killed server left of an ingest: it is removed. A row without
a file cannot happen unless somebody removed files: it is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.storage.filesystem import FilesystemStorage

InThread = Callable[..., Deferred[Any]]

_log = Logger()

#: Missing files that are named in the log: of a folder that is not mounted all are missing.
NAMED = 10


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How many files were removed, and how many rows have no file."""

    removed: int
    missing: int


@inlineCallbacks
def sweep(
    storage: FilesystemStorage, index: Index, in_thread: InThread, *, slice_size: int = 2000
) -> Any:
    """Compare the two; fires with a `SweepResult`. Runs before deletions are possible.

    What is ingested meanwhile is left alone.

    :param in_thread: runs a function in a thread, Deferred of its result
    """
    removed = missing = 0
    on_disk = yield in_thread(_Ahead, storage.uuids())
    after = ""
    while True:
        rows = yield index.read(partial(_uuids, after, slice_size))
        last = len(rows) < slice_size
        files = yield in_thread(on_disk.take_until, None if last else rows[-1])
        orphans = sorted(set(files).difference(rows))
        orphans = [uuid for uuid in orphans if not storage.is_born(uuid)]
        for uuid in sorted(set(rows).difference(files)):
            if storage.is_born(uuid):
                continue
            missing += 1
            if missing <= NAMED:
                path = storage.path(uuid)
                _log.error("The index names a file that is not there: {path}", path=path)
        if orphans:
            _log.warn("Removing {count} files that the index does not name", count=len(orphans))
            yield in_thread(storage.delete, orphans)
            removed += len(orphans)
        if last:
            break
        after = rows[-1]
    storage.end_sweep()
    if missing > NAMED:
        _log.error("{count} files that the index names are not there", count=missing)
    return SweepResult(removed, missing)


def _uuids(after: str, limit: int, tx: ReadTransaction) -> Sequence[str]:
    return tx.attachment_uuids(after, limit)


class _Ahead:
    """An iterator that can be read up to a value."""

    def __init__(self, items: Iterator[str]) -> None:
        self._items = items
        self._next: str | None = next(items, None)

    def take_until(self, last: str | None) -> Sequence[str]:
        """All that are not greater than ``last`` (None: all). Runs in a thread."""
        taken = []
        while self._next is not None and (last is None or self._next <= last):
            taken.append(self._next)
            self._next = next(self._items, None)
        return taken
