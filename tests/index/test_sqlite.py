"""What only the index of a server does: threads, groups, closing, the lock."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from orthanc_tw.index.connection import IndexSettings, connect
from orthanc_tw.index.gateway import FindQuery, StorageLimits, TagConstraint
from orthanc_tw.index.group import GroupWriter
from orthanc_tw.index.migrations import load_schema, prepare
from orthanc_tw.index.sqlite import FILE_NAME, open_index
from orthanc_tw.model.errors import ErrorCode, OrthancError

from .support import PATIENT, IndexCase, SqliteCase, instance, public_id


def store(path: str) -> Any:
    """A write function that stores an instance."""
    new = instance(path)
    return lambda tx: tx.store_instance(new, StorageLimits())


class GroupTests(IndexCase):
    """`GroupWriter`, without threads."""

    def setUp(self) -> None:
        """A database file with a connection that writes and one that sees what is committed."""
        path = os.path.join(self.mktemp(), FILE_NAME)
        os.makedirs(os.path.dirname(path))
        prepare(path, load_schema(), lambda: "u")
        settings = IndexSettings(directory="", busy_timeout_s=0.0)
        self.connection = connect(path, settings, writer=True)
        self.other = connect(path, settings)
        self.addCleanup(self.connection.close)
        self.addCleanup(self.other.close)
        self.writer = GroupWriter(self.connection)

    def patients(self) -> list[str]:
        """Public identifiers that are committed."""
        rows = self.other.execute("SELECT public_id FROM resources WHERE level = 1")
        return sorted(row[0] for row in rows)

    def names(self, pattern: str) -> int:
        """Matches of the trigram index that are committed."""
        row = self.other.execute("SELECT count(*) FROM trigrams WHERE value GLOB ?", (pattern,))
        return int(row.fetchone()[0])

    def test_one_commit(self) -> None:
        """Nothing of a group is seen before its last function ran; then all of it is."""
        seen: list[list[str]] = []
        results = self.writer.run(
            [store("p/s/e/i"), lambda tx: seen.append(self.patients()), store("q/s/e/i")]
        )
        self.assertEqual(seen, [[]])
        self.assertFalse(any(isinstance(result, Failure) for result in results))
        self.assertEqual(self.patients(), sorted([public_id("p"), public_id("q")]))

    def test_one_raises(self) -> None:
        """A function that raises loses its own writes, even in the trigram index."""

        def wrong(tx: Any) -> None:
            store("qqq/s/e/i")(tx)
            tx.find(FindQuery(PATIENT, [TagConstraint("0010,0010", PATIENT, False, ("X",))]))
            raise ZeroDivisionError

        results = self.writer.run([store("ppp/s/e/i"), wrong, store("rrr/s/e/i")])
        self.assertIsInstance(results[1], Failure)
        self.assertEqual(self.patients(), sorted([public_id("ppp"), public_id("rrr")]))
        # Twice each: in the name and in the identifier of the patient.
        self.assertEqual([self.names(f"*{x * 3}*") for x in "PQR"], [2, 0, 2])

    def test_many(self) -> None:
        """In a long group, each failure takes its own writes and no others."""

        def wrong(name: str) -> Any:
            def function(tx: Any) -> None:
                store(f"{name}/s/e/i")(tx)
                raise ZeroDivisionError

            return function

        names = [f"n{n}" for n in range(50)]
        bad = {names[n] for n in (0, 1, 15, 16, 17, 32, 48, 49)}
        results = self.writer.run(
            [wrong(name) if name in bad else store(f"{name}/s/e/i") for name in names]
        )
        failed = {n for n, r in zip(names, results, strict=True) if isinstance(r, Failure)}
        self.assertEqual(failed, bad)
        self.assertEqual(
            self.patients(), sorted(public_id(name) for name in names if name not in bad)
        )

    def test_commit_fails(self) -> None:
        """If the commit fails, everything fails, and the next group works."""
        function = store("p/s/e/i")

        def violate(tx: Any) -> None:
            tx._connection.execute("PRAGMA defer_foreign_keys = ON")
            tx._connection.execute("INSERT INTO labels VALUES (999, 'x')")

        results = self.writer.run([function, violate, store("q/s/e/i")])
        for result in results:
            assert isinstance(result, Failure)
            self.assertIsInstance(result.value, OrthancError)
        self.assertEqual(self.patients(), [])
        self.assertFalse(self.connection.in_transaction)
        self.writer.run([function])
        self.assertEqual(self.patients(), [public_id("p")])
        self.assertEqual(self.names("*P^N*"), 1)

    def test_transaction_lost_in_the_middle(self) -> None:
        """If SQLite gives up the transaction, what was in it before fails as well."""
        results = self.writer.run(
            [
                store("p/s/e/i"),
                lambda tx: tx._connection.execute("ROLLBACK").execute("SELECT * FROM no_such"),  # type: ignore[attr-defined]
                store("q/s/e/i"),
            ]
        )
        self.assertTrue(all(isinstance(result, Failure) for result in results))
        self.assertEqual(self.patients(), [])

    def test_locked(self) -> None:
        """A database that another program holds is an error that says so."""
        self.other.execute("PRAGMA query_only = OFF")
        self.other.execute("BEGIN IMMEDIATE")
        (result,) = self.writer.run([store("p/s/e/i")])
        self.other.execute("ROLLBACK")
        assert isinstance(result, Failure)
        self.assertEqual(getattr(result.value, "code", None), ErrorCode.DATABASE_UNAVAILABLE)


class ThreadTests(SqliteCase):
    def test_threads(self) -> None:
        """Writes run on the one writer thread, reads on readers, read_now in the caller's."""
        name = lambda tx: threading.current_thread().name  # noqa: E731
        self.assertEqual(self.write(name), "index-writer")
        self.assertEqual(self.read(name), "index-reader")
        self.assertEqual(self.index.read_now(name), threading.current_thread().name)

    def test_waiting_writes_share_a_commit(self) -> None:
        """What comes in while the writer is busy is told of together."""
        entered, go_on = threading.Event(), threading.Event()

        def hold(tx: object) -> None:
            entered.set()
            go_on.wait(60)

        first = self.index.write(hold)
        entered.wait(60)
        rest = [self.index.write(store(f"p/s/e/{n}")) for n in range(10)]
        go_on.set()
        self.pump()
        self.assertTrue(first.called)
        self.assertFalse(any(deferred.called for deferred in rest))
        self.pump()
        self.assertTrue(all(deferred.called for deferred in rest))

    def test_read_sees_what_was_written(self) -> None:
        """Once a write has fired, every read sees it, in whatever thread."""
        self.store("p/s/e/i")
        found = self.index.read_now(lambda tx: tx.lookup(public_id("p")))
        self.assertIsNotNone(found)
        self.assertTrue(self.exists("p"))

    def test_snapshot(self) -> None:
        """A read that is running does not see what is committed meanwhile."""
        entered, go_on = threading.Event(), threading.Event()

        def slow(tx: Any) -> tuple[int, int]:
            before = tx.statistics().count_instances
            entered.set()
            go_on.wait(60)
            return before, tx.statistics().count_instances

        reading = self.index.read(slow)
        entered.wait(60)
        self.store("p/s/e/i")
        go_on.set()
        self.assertEqual(self.result(reading), (0, 0))

    def test_errors(self) -> None:
        """What a function raises fails its Deferred; the threads go on."""
        for call in (self.index.write, self.index.read):
            for _ in range(3):
                self.assertIsInstance(self.error(call(lambda tx: 1 / 0)), ZeroDivisionError)
            error = self.error(call(lambda tx: tx._connection.execute("nonsense")))  # type: ignore[union-attr, attr-defined]
            self.assertIsInstance(error, OrthancError)
            self.assertIsInstance(self.error(call(lambda tx: succeed(None))), TypeError)
        with self.assertRaises(ZeroDivisionError):
            self.index.read_now(lambda tx: 1 / 0)
        self.store("p/s/e/i")

    def test_readers_cannot_write(self) -> None:
        """A read function that writes is an error, and changes nothing."""
        error = self.error(
            self.index.read(lambda tx: tx._connection.execute("DELETE FROM counters"))  # type: ignore[attr-defined]
        )
        self.assertIsInstance(error, OrthancError)
        self.assertEqual(self.read(lambda tx: tx.statistics()).count_patients, 0)

    def test_cancel(self) -> None:
        """Cancelling a write forgets its result; it is committed all the same."""
        entered, go_on = threading.Event(), threading.Event()

        def hold(tx: object) -> None:
            entered.set()
            go_on.wait(60)

        first: Deferred[None] = self.index.write(hold)
        entered.wait(60)
        cancelled = self.index.write(store("p/s/e/i"))
        cancelled.addErrback(lambda failure: None)
        cancelled.cancel()
        go_on.set()
        self.wait(first)
        self.write(lambda tx: None)
        self.assertTrue(self.exists("p"))

    def test_submit(self) -> None:
        """From another thread, too; the end is told in the reactor thread, after the commit."""
        ended: list[Any] = []

        def wrong(tx: object) -> None:
            raise ZeroDivisionError

        def work() -> None:
            self.index.submit(store("p/s/e/i"), ended.append)
            self.index.submit(wrong, ended.append)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        while len(ended) < 2:
            self.pump()
        self.assertTrue(ended[0])
        self.assertIsInstance(ended[1].value, ZeroDivisionError)
        self.assertTrue(self.exists("p"))
        self.close()
        with self.assertRaises(OrthancError):
            self.index.submit(wrong, ended.append)
        with self.assertRaises(OrthancError):
            self.index.read_one(lambda tx: tx.lookup(public_id("p")))

    def test_close_finishes_what_is_queued(self) -> None:
        """Writes before the close are durable, and the log is folded into the file."""
        writes = [self.index.write(store(f"p/s/e/{n}")) for n in range(20)]
        closed = self.index.close()
        late = self.index.write(store("q/s/e/i"))
        self.assertEqual(getattr(self.error(late), "code", 0), ErrorCode.DATABASE_UNAVAILABLE)
        with self.assertRaises(OrthancError):
            self.index.read_now(lambda tx: tx.statistics())
        self.result(closed)
        self.assertTrue(all(self.successResultOf(write) for write in writes))
        self.assertNotIn(FILE_NAME + "-wal", os.listdir(self.directory))
        self.result(self.index.close())
        self.index = self.open()
        self.assertEqual(self.read(lambda tx: tx.statistics()).count_instances, 20)

    def test_database_uuid(self) -> None:
        """Made once, the same after a restart."""
        before = self.index.database_uuid  # type: ignore[attr-defined]
        self.reopen()
        self.assertEqual(self.index.database_uuid, before)  # type: ignore[attr-defined]
        self.assertEqual(before, "5c1d7e2a-0000-4000-8000-000000000001")

    def test_second_server(self) -> None:
        """A second start on the same folder is refused in one line, until the first has closed."""
        with self.assertRaises(OrthancError) as caught:
            self.open()
        self.assertEqual(caught.exception.code, ErrorCode.DATABASE_UNAVAILABLE)
        self.assertIn("another server", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.reopen()

    def test_no_such_folder(self) -> None:
        """A folder that is not there is refused in one line."""
        with self.assertRaises(OrthancError) as caught:
            open_index(
                IndexSettings(directory=os.path.join(self.directory, "nope")),
                call_from_thread=lambda *arguments: None,
                new_uuid=lambda: "u",
            )
        self.assertEqual(caught.exception.code, ErrorCode.SQLITE_CANNOT_OPEN)

    def test_durability_settings(self) -> None:
        """The writer's commits reach the disk: write-ahead log, synchronous FULL, foreign keys."""

        def pragmas(tx: Any) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys")
            return [tx._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        self.assertEqual(self.write(pragmas), ["wal", 2, 1])

    def test_nothing_is_left_of_a_deleted_patient(self) -> None:
        """Every table but those of the server's own is empty again."""
        self.store("ppp/s/e/i")
        row = self.row("ppp")
        self.write(lambda tx: tx.add_label(row.internal_id, "x"))
        self.write(lambda tx: tx.delete_resource(row, "20260101T000000"))
        self.close()
        connection = sqlite3.connect(os.path.join(self.directory, FILE_NAME))
        self.addCleanup(connection.close)
        for table in ("resources", "resource_data", "identifiers", "attachments", "labels"):
            self.assertEqual(connection.execute(f"SELECT count(*) FROM {table}").fetchone(), (0,))
        for table in ("changes", "patient_recycling", "trigrams"):
            self.assertEqual(connection.execute(f"SELECT count(*) FROM {table}").fetchone(), (0,))
        self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
