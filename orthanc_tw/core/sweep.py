"""The sweep at start: the storage area and the index told apart, slice by slice.

A file without a row is what a killed server left of an ingest: it is removed. A row without
a file cannot happen unless somebody removed files: it is logged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from twisted.logger import Logger

from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.storage.filesystem import FilesystemStorage

_log = Logger()

#: Missing files that are named in the log: of a folder that is not mounted all are missing.
NAMED = 10
#: Greater than any UUID.
_END = "~"


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How many files were removed, and how many rows have no file."""

    removed: int
    missing: int


class Sweep:
    """Compares the two in the order of UUIDs. What is stored and deleted meanwhile is left alone.

    Belongs to one thread at a time.

    :param rows_per_slice: most rows that are read at once; about as many files are looked at
    :param folders_per_slice: most folders that are listed at once
    """

    def __init__(
        self,
        storage: FilesystemStorage,
        index: Index,
        *,
        rows_per_slice: int = 1000,
        folders_per_slice: int = 128,
    ) -> None:
        self._storage = storage
        self._index = index
        self._rows_per_slice = rows_per_slice
        self._folders_per_slice = folders_per_slice
        self._folders = storage.folders()
        # Listed, but not yet compared.
        self._files: list[str] = []
        # Up to where files are listed, and up to where they are compared.
        self._listed = self._compared = ""
        self._removed = self._missing = 0

    @property
    def is_over(self) -> bool:
        """Whether everything is compared."""
        return self._compared == _END

    @property
    def result(self) -> SweepResult:
        """Of what is compared so far."""
        return SweepResult(self._removed, self._missing)

    def next_slice(self) -> None:
        """Compare what comes next. Blocks on the disk for some milliseconds.

        :raises OSError: a folder cannot be read
        :raises OrthancError: of the index; DATABASE_UNAVAILABLE once it is closed
        """
        # Files first: a row that is there afterwards, and whose file is not, has lost it. A
        # deletion takes the row first.
        self._list()
        rows = self._index.read_in_thread(partial(_uuids, self._compared, self._rows_per_slice))
        until = rows[-1] if len(rows) >= self._rows_per_slice else _END
        until = min(until, self._listed)
        place = bisect_right(self._files, until)
        files, self._files = self._files[:place], self._files[place:]
        rows = rows[: bisect_right(rows, until)]
        self._remove(sorted(set(files).difference(rows)))
        self._tell_missing(sorted(set(rows).difference(files)))
        self._compared = until
        if self.is_over and self._missing > NAMED:
            _log.error("{count} files that the index names are not there", count=self._missing)

    def _list(self) -> None:
        for _ in range(self._folders_per_slice):
            if len(self._files) >= self._rows_per_slice:
                return
            folder = next(self._folders, None)
            if folder is None:
                self._listed = _END
                return
            prefix, files = folder
            self._listed = prefix + _END
            self._files += files

    def _remove(self, orphans: Sequence[str]) -> None:
        storage = self._storage
        # One that is gone was deleted by a client since it was listed.
        orphans = [uuid for uuid in orphans if not storage.is_born(uuid) and storage.exists(uuid)]
        if orphans:
            _log.warn("Removing {count} files that the index does not name", count=len(orphans))
            storage.delete(orphans)
            self._removed += len(orphans)

    def _tell_missing(self, missing: Sequence[str]) -> None:
        for uuid in missing:
            if self._storage.is_born(uuid):
                continue
            self._missing += 1
            if self._missing <= NAMED:
                path = self._storage.path(uuid)
                _log.error("The index names a file that is not there: {path}", path=path)


def _uuids(after: str, limit: int, tx: ReadTransaction) -> Sequence[str]:
    return tx.attachment_uuids(after, limit)
