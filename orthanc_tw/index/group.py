"""One transaction for a group of write functions, with a savepoint each. No threads here."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence

from twisted.python.failure import Failure

from orthanc_tw.index.connection import has_trigrams
from orthanc_tw.index.gateway import WriteTransaction
from orthanc_tw.index.trigrams import PendingTrigrams
from orthanc_tw.index.write_transaction import SqliteWriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError

WriteFunction = Callable[[WriteTransaction], object]

#: Savepoints open at once; SQLite looks at each of them for each page that is written.
_NESTED = 16


def translate(error: BaseException) -> BaseException:
    """An error of SQLite, or of text that it cannot keep, as an `OrthancError`; others as is."""
    if isinstance(error, UnicodeEncodeError):
        return OrthancError(ErrorCode.BAD_REQUEST, "Text that is not valid Unicode")
    if not isinstance(error, sqlite3.Error):
        return error
    code = ErrorCode.DATABASE
    text = str(error)
    if "database or disk is full" in text:
        code = ErrorCode.FULL_STORAGE
    elif "locked" in text or "busy" in text:
        code = ErrorCode.DATABASE_UNAVAILABLE
    translated = OrthancError(code, text)
    translated.__cause__ = error
    return translated


class GroupWriter:
    """Runs groups on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._pending = PendingTrigrams(connection, enabled=has_trigrams(connection))
        self._transaction = SqliteWriteTransaction(connection, self._pending)

    def run(self, functions: Sequence[WriteFunction]) -> list[object]:
        """Results in order, a `Failure` for what raised or was not committed.

        A function that raises loses what it wrote, the others do not notice; if the commit
        fails, all fail. After this, everything that is not a failure is durable.
        """
        execute = self._connection.execute
        results: list[object] = []
        try:
            execute("BEGIN IMMEDIATE")
            for number, function in enumerate(functions):
                # One by one: what ran must be known if the next gives up the transaction.
                results.append(self._run_one(function, number, len(functions)))
            self._pending.flush()
            execute("COMMIT")
        except BaseException as error:
            failure: object = Failure(translate(error))  # type: ignore[no-untyped-call]
            if self._connection.in_transaction:
                # What cannot be rolled back was never committed either.
                with contextlib.suppress(sqlite3.Error):
                    execute("ROLLBACK")
            done = [result if isinstance(result, Failure) else failure for result in results]
            results = done + [failure] * (len(functions) - len(done))
        finally:
            self._pending.clear()
        return results

    def _run_one(self, function: WriteFunction, number: int, total: int) -> object:
        if total == 1:
            # The transaction is its savepoint: what it raises rolls that back.
            return function(self._transaction)
        execute = self._connection.execute
        # Savepoints are left to nest and released a few at a time: a statement less for most.
        name = "one" if number % _NESTED else "several"
        if number and name == "several":
            execute("RELEASE several")
        mark = self._pending.mark()
        execute(f"SAVEPOINT {name}")
        try:
            return function(self._transaction)
        except Exception as error:
            if not self._connection.in_transaction:
                # A full disk or an I/O error made SQLite give up the whole transaction.
                raise
            execute(f"ROLLBACK TO {name}")
            self._pending.roll_back(mark)
            return Failure(translate(error))  # type: ignore[no-untyped-call]
