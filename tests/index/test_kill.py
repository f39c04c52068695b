"""A server that is killed while it writes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

from .support import INSTANCE, SqliteCase, public_id

PROGRAM = """
import itertools, queue, sys
from orthanc_tw.index.connection import IndexSettings
from orthanc_tw.index.gateway import StorageLimits
from orthanc_tw.index.sqlite import open_index
from tests.index.support import instance

calls = queue.Queue()
index = open_index(
    IndexSettings(directory=sys.argv[1]),
    call_from_thread=lambda function, *arguments: calls.put((function, arguments)),
    new_uuid=lambda: "u",
)
numbers = itertools.count()

def store():
    number = next(numbers)
    path = f"p{number % 7}/s{number % 14}/e{number % 28}/{number}"
    new = instance(path)
    index.write(lambda tx: tx.store_instance(new, StorageLimits())).addCallback(told, path)
    if number % 5 == 4:
        index.write(remove)

def remove(tx):
    for row in tx.page(1, limit=1, since=3):
        tx.delete_resource(row, "")

def told(outcome, path):
    print(path, flush=True)
    store()

for _ in range(8):
    store()
while True:
    function, arguments = calls.get()
    function(*arguments)
"""


class KillTests(SqliteCase):
    def test_killed_while_writing(self) -> None:
        """After SIGKILL the file is sound, the totals are right, and the next start writes on."""
        self.close()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for lines in (40, 80, 120):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, os.path.abspath(self.directory)],
                stdout=subprocess.PIPE,
                env=environment,
                cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
            )
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            process.wait()
            process.stdout.close()
            self.assertTrue(all(told), "the server ended by itself")
            self.index = self.open()
            self.store("last/s/e/i")
            self.assertTrue(self.exists("last"))
            self.check_totals()
            self.close()
            self.check_file()

    def check_totals(self) -> None:
        """Counters agree with the rows."""
        statistics = self.read(lambda tx: tx.statistics())
        rows = self.read(lambda tx: tx.page(INSTANCE))
        self.assertEqual(statistics.count_instances, len(rows))
        self.assertEqual(statistics.disk_size_bytes, 1000 * len(rows))
        self.assertIn(public_id("last/s/e/i"), [row.public_id for row in rows])

    def check_file(self) -> None:
        """What SQLite itself says of the file, and the totals kept in the rows."""
        path = os.path.join(self.directory, "index-tw.db")
        connection = sqlite3.connect(path)
        self.addCleanup(connection.close)
        for check, expected in (
            ("PRAGMA integrity_check", [("ok",)]),
            ("PRAGMA foreign_key_check", []),
            ("SELECT count(*) FROM resources r WHERE level < 4 AND NOT EXISTS"
             " (SELECT 1 FROM resources c WHERE c.parent_id = r.internal_id)", [(0,)]),
            ("SELECT count(*) FROM resources r WHERE level = 3 AND count_instances <>"
             " (SELECT count(*) FROM resources c WHERE c.parent_id = r.internal_id)", [(0,)]),
        ):  # fmt: skip
            self.assertEqual(connection.execute(check).fetchall(), expected, check)


class AcknowledgedTests(SqliteCase):
    def test_what_was_told_is_there(self) -> None:
        """Whatever was acknowledged before SIGKILL is there after it."""
        self.close()
        program = PROGRAM.replace("if number % 5 == 4", "if False")
        process = subprocess.Popen(
            [sys.executable, "-c", program, os.path.abspath(self.directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        )
        assert process.stdout is not None
        told = [process.stdout.readline().decode().strip() for _ in range(150)]
        process.kill()
        process.wait()
        process.stdout.close()
        self.assertTrue(all(told), "the server ended by itself")
        self.index = self.open()
        for path in told:
            self.assertTrue(self.exists(path), path)
