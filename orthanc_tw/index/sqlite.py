"""`SqliteIndex`: the database of a server. The reactor thread owns it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from orthanc_tw.index.connection import IndexSettings, check_library, connect, has_trigrams
from orthanc_tw.index.gateway import ReadTransaction, WriteTransaction
from orthanc_tw.index.lock import DirectoryLock
from orthanc_tw.index.migrations import Schema, load_schema, prepare
from orthanc_tw.index.read_transaction import SqliteReadTransaction
from orthanc_tw.index.spare_readers import SpareReaders
from orthanc_tw.index.workers import CallFromThread, Readers, Writer, run_one, run_read
from orthanc_tw.model.errors import ErrorCode, OrthancError

T = TypeVar("T")

#: Not Orthanc's ``index``: both may live in one folder.
FILE_NAME = "index-tw.db"


class SqliteIndex:
    """See `orthanc_tw.index.gateway.Index`. Made by `open_index`.

    :ivar database_uuid: made when the database was created
    """

    def __init__(
        self,
        path: str,
        settings: IndexSettings,
        lock: DirectoryLock,
        call_from_thread: CallFromThread,
    ) -> None:
        self._lock = lock
        self._closed: list[Deferred[None]] | None = None
        self._is_ended = False
        opened: list[sqlite3.Connection] = []
        try:
            for number in range(settings.readers + 2):
                # One by one: what was opened must be closed if the next fails.
                opened.append(connect(path, settings, writer=number == 0))  # noqa: PERF401
            self._connection = opened[1]
            trigrams = has_trigrams(self._connection)
            self._transaction = SqliteReadTransaction(self._connection, trigrams=trigrams)
            (self.database_uuid,) = self._connection.execute(
                "SELECT database_uuid FROM database_info"
            ).fetchone()
            self._writer = Writer(
                opened[0], call_from_thread, self._writer_ended, settings.maximum_group
            )
        except BaseException:
            for connection in opened:
                connection.close()
            raise
        self._readers = Readers(opened[2:], trigrams, call_from_thread, self._reader_ended)
        self._readers_left = settings.readers
        self._spare = SpareReaders(lambda: connect(path, settings), trigrams=trigrams)
        self._writer.start()
        self._readers.start()

    def write(self, fn: Callable[[WriteTransaction], T]) -> Deferred[T]:
        """Run ``fn`` on the writer thread; fires after the commit, or fails with what it raised.

        Errors of SQLite come as `OrthancError`. Cancelling only forgets the result.
        """
        if self._closed is not None:
            return fail(_closed_error())
        deferred: Deferred[T] = Deferred()
        self._writer.put(fn, deferred.callback)
        return deferred

    def submit(
        self, fn: Callable[[WriteTransaction], T], ended: Callable[[T | Failure], object]
    ) -> None:
        """As `write`, from any thread; ``ended`` is called in the reactor thread.

        :raises OrthancError: DATABASE_UNAVAILABLE if it is closed
        """
        if self._closed is not None:
            raise _closed_error()
        self._writer.put(fn, ended)

    def read(self, fn: Callable[[ReadTransaction], T]) -> Deferred[T]:
        """Run ``fn`` on a reader thread, over a snapshot of what is committed."""
        if self._closed is not None:
            return fail(_closed_error())
        return cast("Deferred[T]", self._readers.put(fn))

    def read_now(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run a point look-up in this thread, over a snapshot of what is committed."""
        if self._closed is not None:
            raise _closed_error()
        return cast(
            T,
            run_read(self._connection, self._transaction, fn),
        )

    def read_in_thread(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run ``fn`` in the calling thread, over a snapshot of what is committed. Any thread."""
        return cast(T, self._spare.run(fn))

    def read_one(self, fn: Callable[[ReadTransaction], T]) -> T:
        """As `read_now`, for a function of one statement."""
        if self._closed is not None:
            raise _closed_error()
        return cast(T, run_one(self._transaction, fn))

    def close(self) -> Deferred[None]:
        """Finish what is queued, check-point, close every connection, let go of the lock."""
        deferred: Deferred[None] = Deferred()
        if self._is_ended:
            deferred.callback(None)
        elif self._closed is not None:
            self._closed.append(deferred)
        else:
            self._closed = [deferred]
            self._connection.close()
            self._spare.close()
            self._readers.stop()
        return deferred

    def _reader_ended(self) -> None:
        self._readers_left -= 1
        if not self._readers_left:
            # The writer ends last, or its check-point would find readers in its way.
            self._readers.join()
            self._writer.stop()

    def _writer_ended(self) -> None:
        self._writer.join()
        self._lock.release()
        self._is_ended = True
        waiting, self._closed = self._closed or [], []
        for deferred in waiting:
            deferred.callback(None)


def _closed_error() -> OrthancError:
    return OrthancError(ErrorCode.DATABASE_UNAVAILABLE, "the index is closed")


def open_index(
    settings: IndexSettings,
    *,
    call_from_thread: CallFromThread,
    new_uuid: Callable[[], str],
    schema: Schema | None = None,
) -> SqliteIndex:
    """Lock, create or upgrade, and open the database. Blocks on the disk; once, at start.

    :param call_from_thread: ``reactor.callFromThread``
    :param new_uuid: gives the UUID of a database that is created
    :raises OrthancError: with one line of details; INCOMPATIBLE_DATABASE_VERSION for a file of
        another version or program, DATABASE_UNAVAILABLE if another server uses it,
        SQLITE_CANNOT_OPEN if it cannot be read or written
    """
    check_library()
    if settings.readers < 1:
        raise ValueError("an index needs at least one reader thread")
    path = os.path.join(settings.directory, FILE_NAME)
    try:
        lock = DirectoryLock(path + ".lock")
    except OSError as error:
        raise OrthancError(ErrorCode.SQLITE_CANNOT_OPEN, f"{path}: {error.strerror}") from error
    try:
        prepare(path, schema or load_schema(), new_uuid)
        return SqliteIndex(path, settings, lock, call_from_thread)
    except (sqlite3.Error, OSError) as error:
        lock.release()
        raise OrthancError(ErrorCode.SQLITE_CANNOT_OPEN, f"{path}: {error}") from error
    except BaseException:
        lock.release()
        raise
