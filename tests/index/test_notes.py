"""What a connection keeps of a state of the database."""

from __future__ import annotations

from typing import Any

from orthanc_tw.index.gateway import ReadTransaction, WriteTransaction
from orthanc_tw.index.notes import Notes
from tests.index.support import SqliteCase


class NotesTests(SqliteCase):
    readers = 1

    def keep(self, key: str, number: int) -> list[int]:
        """What was kept before, and keep something."""

        def read(tx: ReadTransaction) -> list[int]:
            notes = tx.notes(key)
            before = list(notes)
            notes[number] = number
            return before

        return self.read(read)

    def test_kept(self) -> None:
        """Notes are found again by their key, until something is committed."""
        self.store("a/a1/a11/a111")
        self.assertEqual([[], [0], [0, 1]], [self.keep("x", number) for number in range(3)])
        self.assertEqual([], self.keep("y", 0))
        self.store("b/b1/b11/b111")
        self.assertEqual([], self.keep("x", 3))
        self.assertEqual([3], self.keep("x", 4))

    def test_inside_a_write(self) -> None:
        """A connection that writes keeps nothing."""
        self.store("a/a1/a11/a111")

        def write(tx: WriteTransaction) -> dict[int, object]:
            tx.notes("x")[1] = 1
            return tx.notes("x")

        self.assertEqual({}, self.write(write))

    def test_looked_at_once(self) -> None:
        """Whether anything was committed is asked once a transaction."""
        self.store("a/a1/a11/a111")
        statements: list[str] = []

        def read(tx: Any) -> None:
            tx._connection.set_trace_callback(statements.append)
            tx.notes("x")
            tx.notes("y")
            tx._connection.set_trace_callback(None)

        self.read(read)
        self.read(read)
        self.assertEqual(statements, ["PRAGMA data_version"] * 2)

    def test_maximum(self) -> None:
        """Too many notes are forgotten."""

        def read(tx: Any) -> list[int]:
            notes = Notes(tx._connection, maximum=3)
            sizes = []
            for number in range(9):
                found = notes.of(number % 2)
                sizes.append(len(found))
                found[number] = number
            return sizes

        self.assertEqual([0, 0, 1, 1, 0, 0, 1, 1, 0], self.read(read))
