"""What was made of a state of the database, kept until the next commit.

Lists are read far more often than anything is written: users look at the same pages, and viewers
ask for them again and again. Belongs to the thread of its connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from typing import Any


class Notes:
    """Dictionaries that are empty again after each commit of another connection.

    :param maximum: most entries in all of them; when there are more, all are forgotten
    """

    def __init__(self, connection: sqlite3.Connection, maximum: int = 4096) -> None:
        self._connection = connection
        self._maximum = maximum
        self._version = -1
        # Whether the transaction that is under way was looked at.
        self._is_current = False
        self._kept: dict[Hashable, dict[Any, Any]] = {}

    def of(self, key: Hashable) -> dict[Any, Any]:
        """What is kept under a key. Inside a transaction: it is of the state that this one sees.

        A connection that writes keeps nothing: its own changes have no version.
        """
        if self._connection.total_changes:
            return {}
        if not self._is_current:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            self._is_current = True
            if version != self._version:
                self._version = version
                self._kept = {}
        if sum(map(len, self._kept.values())) > self._maximum:
            self._kept = {}
        return self._kept.setdefault(key, {})

    def ended(self) -> None:
        """The transaction is over: the next one may see another state."""
        self._is_current = False
