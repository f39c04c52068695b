"""`MemoryIndex`: the real index over ``:memory:``, run in the calling thread.

The same SQL and the same group commit as `orthanc_tw.index.sqlite.SqliteIndex`; only the
threads are not there, so every Deferred has fired when it is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from orthanc_tw.index.connection import IndexSettings, connect, has_trigrams
from orthanc_tw.index.gateway import ReadTransaction, WriteTransaction
from orthanc_tw.index.group import GroupWriter
from orthanc_tw.index.migrations import create_schema, load_schema
from orthanc_tw.index.read_transaction import SqliteReadTransaction
from orthanc_tw.index.workers import run_one, run_read
from orthanc_tw.model.errors import ErrorCode, OrthancError

T = TypeVar("T")


class MemoryIndex:
    """See `orthanc_tw.index.gateway.Index`."""

    def __init__(self, database_uuid: str = "00000000-0000-4000-8000-000000000000") -> None:
        self.database_uuid = database_uuid
        self._connection = connect(":memory:", IndexSettings(directory=""), writer=True)
        create_schema(self._connection, load_schema(), database_uuid)
        self._group = GroupWriter(self._connection)
        self._transaction = SqliteReadTransaction(
            self._connection, trigrams=has_trigrams(self._connection)
        )
        self._is_closed = False

    def write(self, fn: Callable[[WriteTransaction], T]) -> Deferred[T]:
        """Run ``fn`` and commit; the Deferred has fired."""
        if self._is_closed:
            return fail(_closed_error())
        (result,) = self._group.run([fn])
        if isinstance(result, Failure):
            return fail(result)
        return succeed(cast(T, result))

    def submit(
        self, fn: Callable[[WriteTransaction], T], ended: Callable[[T | Failure], object]
    ) -> None:
        """Run ``fn`` and commit; ``ended`` was called."""
        self.write(fn).addBoth(ended)

    def read(self, fn: Callable[[ReadTransaction], T]) -> Deferred[T]:
        """Run ``fn``; the Deferred has fired."""
        try:
            return succeed(self.read_now(fn))
        except Exception:
            return fail()

    def read_now(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run ``fn``."""
        if self._is_closed:
            raise _closed_error()
        return cast(
            T,
            run_read(self._connection, self._transaction, fn),
        )

    def read_in_thread(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run ``fn``."""
        return self.read_now(fn)

    def read_one(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run ``fn``."""
        if self._is_closed:
            raise _closed_error()
        return cast(T, run_one(self._transaction, fn))

    def close(self) -> Deferred[None]:
        """Forget everything."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()
        return succeed(None)


def _closed_error() -> OrthancError:
    return OrthancError(ErrorCode.DATABASE_UNAVAILABLE, "the index is closed")
