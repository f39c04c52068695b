"""The threads of the index: one that writes, a few that read.

Both take work from a queue and hand results over by ``call_from_thread``
(``reactor.callFromThread``), by which Deferreds fire in the reactor thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from orthanc_tw.index.gateway import ReadTransaction
from orthanc_tw.index.group import GroupWriter, WriteFunction, translate
from orthanc_tw.index.read_transaction import SqliteReadTransaction

CallFromThread = Callable[..., object]
ReadFunction = Callable[[ReadTransaction], object]
Ended = Callable[[Any], object]
_Write = tuple[WriteFunction, Ended]
_Read = tuple[ReadFunction, Ended]


def _fire(ends: list[Ended], results: list[object]) -> None:
    for ended, result in zip(ends, results, strict=True):
        if isinstance(result, Deferred):
            error = TypeError("a function of the index must not return a Deferred")
            ended(Failure(error))
        else:
            # A Failure is an error to a Deferred; one that was cancelled swallows this.
            ended(result)


def run_read(
    connection: sqlite3.Connection,
    transaction: SqliteReadTransaction,
    function: ReadFunction,
) -> object:
    """Run a function over a snapshot, in this thread. SQLite's errors become `OrthancError`."""
    try:
        connection.execute("BEGIN")
        try:
            return function(transaction)
        finally:
            transaction.ended()
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise translate(error) from error


def run_one(transaction: SqliteReadTransaction, function: ReadFunction) -> object:
    """Run a function of one statement, in this thread.

    That is a snapshot by itself; each statement more is a turn at the interpreter lock.
    """
    try:
        return function(transaction)
    except sqlite3.Error as error:
        raise translate(error) from error
    finally:
        transaction.ended()


class Writer:
    """The one thread that writes: all that waits goes into one transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        call_from_thread: CallFromThread,
        on_end: Callable[[], None],
        maximum_group: int,
    ) -> None:
        self._connection = connection
        self._group = GroupWriter(connection)
        self._call_from_thread = call_from_thread
        self._on_end = on_end
        self._maximum_group = maximum_group
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="index-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, function: WriteFunction, ended: Ended) -> None:
        """Queue a function; ``ended`` gets its result or a Failure. Any thread."""
        self._queue.put((function, ended))

    def stop(self) -> None:
        """Finish what is queued, check-point, close, call ``on_end``. Reactor thread."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread, once ``on_end`` was called."""
        self._thread.join()

    def _take(self) -> tuple[list[_Write], bool]:
        """Block for one, then take what else is there; and whether to go on afterwards."""
        taken: list[_Write] = []
        item = self._queue.get()
        while item is not None:
            taken.append(item)
            if len(taken) >= self._maximum_group:
                return taken, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return taken, True
        return taken, False

    def _run(self) -> None:
        go_on = True
        while go_on:
            taken, go_on = self._take()
            if taken:
                results = self._group.run([function for function, _ in taken])
                self._call_from_thread(_fire, [ended for _, ended in taken], results)
            # Not to keep results alive while waiting.
            taken = []
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            # The log stays; it is read at the next start.
            pass
        finally:
            self._connection.close()
            self._call_from_thread(self._on_end)


class Readers:
    """A few threads with a connection each, over one queue."""

    def __init__(
        self,
        connections: list[sqlite3.Connection],
        trigrams: bool,
        call_from_thread: CallFromThread,
        on_end: Callable[[], None],
    ) -> None:
        self._call_from_thread = call_from_thread
        self._on_end = on_end
        self._queue: SimpleQueue[_Read | None] = SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._run, args=(connection, trigrams), name="index-reader", daemon=True
            )
            for connection in connections
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, function: ReadFunction) -> Deferred[Any]:
        """Queue a function. Reactor thread."""
        deferred: Deferred[Any] = Deferred()
        self._queue.put((function, deferred.callback))
        return deferred

    def stop(self) -> None:
        """Finish what is queued and close; ``on_end`` is called once a thread. Reactor thread."""
        for _ in self._threads:
            self._queue.put(None)

    def join(self) -> None:
        """Wait for the threads, once all have called ``on_end``."""
        for thread in self._threads:
            thread.join()

    def _run(self, connection: sqlite3.Connection, trigrams: bool) -> None:
        transaction = SqliteReadTransaction(connection, trigrams=trigrams)
        while (item := self._queue.get()) is not None:
            function, ended = item
            try:
                result = run_read(connection, transaction, function)
            except BaseException:
                result = Failure()
            self._call_from_thread(_fire, [ended], [result])
            del item, function, ended, result
        connection.close()
        self._call_from_thread(self._on_end)
