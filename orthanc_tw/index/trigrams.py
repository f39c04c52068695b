"""The trigram rows that a group of writes leaves behind.

FTS5 writes a segment at every savepoint that has something pending, so the rows of a whole
transaction are kept here and written just before its commit (or before a `find` inside it).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from orthanc_tw.index.normalize import TRIGRAM_SLOTS, TRIGRAM_STRIDE

_INSERT = "INSERT INTO trigrams (rowid, value) VALUES (?, ?)"
_DELETE = "DELETE FROM trigrams WHERE rowid >= ? AND rowid < ?"


class PendingTrigrams:
    """Operations of one transaction, in order. Used on the thread of the connection alone.

    :ivar enabled: whether the database has the index
    """

    def __init__(self, connection: sqlite3.Connection, *, enabled: bool) -> None:
        self._connection = connection
        self.enabled = enabled
        self._operations: list[tuple[str, tuple[object, ...]]] = []
        self._written = 0

    def add(self, internal_id: int, values: Mapping[str, str]) -> None:
        """Note normalized values (by tag) of a new resource."""
        if self.enabled:
            base = internal_id * TRIGRAM_STRIDE
            self._operations += [
                (_INSERT, (base + TRIGRAM_SLOTS[tag], value))
                for tag, value in values.items()
                if tag in TRIGRAM_SLOTS and len(value) >= 3
            ]

    def remove(self, internal_ids: Iterable[int]) -> None:
        """Note resources that go."""
        if self.enabled:
            self._operations += [
                (_DELETE, (number * TRIGRAM_STRIDE, (number + 1) * TRIGRAM_STRIDE))
                for number in internal_ids
            ]

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
        for sql, parameters in self._operations[self._written :]:
            self._connection.execute(sql, parameters)
        self._written = len(self._operations)

    def clear(self) -> None:
        """The transaction has ended, either way."""
        self._operations.clear()
        self._written = 0
