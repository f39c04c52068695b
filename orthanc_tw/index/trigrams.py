"""The trigram rows that a group of writes leaves behind.

FTS5 writes a segment at every savepoint that has something pending, so the rows of a whole
transaction are kept here and written just before its commit (or before a `find` inside it).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import groupby

from orthanc_tw.index.normalize import TRIGRAM_SLOTS, TRIGRAM_STRIDE
from orthanc_tw.index.rows import to_json

_INSERT = """
INSERT INTO trigrams (rowid, value)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
"""
_DELETE = "DELETE FROM trigrams WHERE rowid >= ? AND rowid < ?"


class PendingTrigrams:
    """Operations of one transaction, in order. Used on the thread of the connection alone.

    :ivar enabled: whether the database has the index
    """

    def __init__(self, connection: sqlite3.Connection, *, enabled: bool) -> None:
        self._connection = connection
        self.enabled = enabled
        # A row number with a value to insert; a resource's first row number without, to delete.
        self._operations: list[tuple[int, str | None]] = []
        self._written = 0

    def add(self, internal_id: int, values: Mapping[str, str]) -> None:
        """Note normalized values (by tag) of a new resource."""
        if self.enabled:
            base = internal_id * TRIGRAM_STRIDE
            self._operations += [
                (base + TRIGRAM_SLOTS[tag], value)
                for tag, value in values.items()
                if tag in TRIGRAM_SLOTS and len(value) >= 3
            ]

    def remove(self, internal_ids: Iterable[int]) -> None:
        """Note resources that go."""
        if self.enabled:
            self._operations += [(number * TRIGRAM_STRIDE, None) for number in internal_ids]

    def mark(self) -> tuple[int, int]:
        """Where a savepoint begins; for `roll_back`."""
        return len(self._operations), self._written

    def roll_back(self, mark: tuple[int, int]) -> None:
        """Forget what came after ``mark``; what was written since then is to be written again."""
        noted, written = mark
        del self._operations[noted:]
        self._written = min(self._written, written)

    def flush(self) -> None:
        """Write what is noted and not yet written."""
        waiting = self._operations[self._written :]
        for is_deletion, run in groupby(waiting, key=lambda operation: operation[1] is None):
            if is_deletion:
                for first, _ in run:
                    self._connection.execute(_DELETE, (first, first + TRIGRAM_STRIDE))
            else:
                self._connection.execute(_INSERT, (to_json(list(run)),))
        self._written = len(self._operations)

    def clear(self) -> None:
        """The transaction has ended, either way."""
        self._operations.clear()
        self._written = 0
