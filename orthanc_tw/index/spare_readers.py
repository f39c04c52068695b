"""Connections for threads that read for themselves, one for each at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

from orthanc_tw.index.read_transaction import SqliteReadTransaction
from orthanc_tw.index.workers import ReadFunction, run_read
from orthanc_tw.model.errors import ErrorCode, OrthancError


class SpareReaders:
    """As many connections as there are threads that read at once; they are kept. Thread-safe.

    :param open_connection: opens one more
    """

    def __init__(
        self, open_connection: Callable[[], sqlite3.Connection], *, trigrams: bool
    ) -> None:
        self._open_connection = open_connection
        self._trigrams = trigrams
        self._lock = threading.Lock()
        self._idle: list[tuple[sqlite3.Connection, SqliteReadTransaction]] = []
        self._is_closed = False

    def run(self, function: ReadFunction) -> object:
        """Run a function over a snapshot, in the calling thread.

        :raises OrthancError: DATABASE_UNAVAILABLE once closed; errors of SQLite
        """
        with self._lock:
            if self._is_closed:
                raise OrthancError(ErrorCode.DATABASE_UNAVAILABLE, "the index is closed")
            reader = self._idle.pop() if self._idle else None
        if reader is None:
            connection = self._open_connection()
            reader = connection, SqliteReadTransaction(connection, trigrams=self._trigrams)
        try:
            return run_read(*reader, function)
        finally:
            self._give_back(reader)

    def _give_back(self, reader: tuple[sqlite3.Connection, SqliteReadTransaction]) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(reader)
                return
        reader[0].close()

    def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()
