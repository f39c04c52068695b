from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.migrations import Schema, load_schema, prepare
from orthanc_tw.model.errors import ErrorCode, OrthancError


class MigrationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A path in a new folder, and the schema of this version."""
        self.path = os.path.join(self.mktemp(), "index-tw.db")
        os.makedirs(os.path.dirname(self.path))
        # As if this were version 1 and nothing led to it: the scripts are those of the tests.
        self.schema = replace(load_schema(), version=1, upgrades={})

    def prepare(self, schema: Schema | None = None) -> None:
        """As a start does."""
        prepare(self.path, schema or self.schema, lambda: "the-uuid")

    def query(self, sql: str, path: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a statement on the file."""
        connection = sqlite3.connect(path or self.path)
        try:
            with connection:
                return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def files(self) -> list[str]:
        """What is in the folder."""
        return sorted(os.listdir(os.path.dirname(self.path)))

    def refused(self, schema: Schema | None = None) -> str:
        """Details of the refusal, which is one line."""
        with self.assertRaises(OrthancError) as caught:
            self.prepare(schema)
        self.assertEqual(caught.exception.code, ErrorCode.INCOMPATIBLE_DATABASE_VERSION)
        details = caught.exception.details or ""
        self.assertNotIn("\n", details)
        return details

    def later(self, *scripts: str) -> Schema:
        """A schema whose upgrades from version 1 on are these scripts."""
        upgrades = {n: (n + 1, script) for n, script in enumerate(scripts, 1)}
        return replace(self.schema, version=1 + len(scripts), upgrades=upgrades)

    def test_creation(self) -> None:
        """A new file has the version and the UUID, and nothing temporary is left."""
        self.prepare()
        self.assertEqual(self.query("SELECT * FROM database_info"), [(1, "the-uuid")])
        self.assertEqual(self.files(), ["index-tw.db"])

    def test_left_over_of_a_killed_creation(self) -> None:
        """A half-made file from before is replaced."""
        with open(self.path + ".new", "wb") as half:
            half.write(b"half")
        self.prepare()
        self.assertEqual(self.files(), ["index-tw.db"])

    def test_log_of_a_database_that_was_taken_away(self) -> None:
        """A write-ahead log without its database is not replayed into a new one."""
        for ending in ("-wal", "-shm"):
            with open(self.path + ending, "wb") as stale:
                stale.write(b"stale")
        self.prepare()
        self.assertEqual(self.files(), ["index-tw.db"])

    def test_creation_fails(self) -> None:
        """A creation that fails leaves no database."""
        with self.assertRaises(sqlite3.Error):
            self.prepare(replace(self.schema, creation=self.schema.creation + "\nnonsense;"))
        self.assertNotIn("index-tw.db", self.files())

    def test_again(self) -> None:
        """A second start changes nothing."""
        self.prepare()
        self.query("UPDATE database_info SET database_uuid = 'kept'")
        self.prepare()
        self.assertEqual(self.query("SELECT database_uuid FROM database_info"), [("kept",)])

    def test_newer(self) -> None:
        """A newer version is refused and left alone."""
        self.prepare()
        self.query("UPDATE database_info SET schema_version = 7")
        self.assertIn("version 7 is newer", self.refused())
        self.assertEqual(self.query("SELECT schema_version FROM database_info"), [(7,)])

    def test_other_file(self) -> None:
        """Neither another program's database nor another kind of file is touched."""
        self.query("CREATE TABLE GlobalProperties (x)")
        self.assertIn("not an index of orthanc-tw", self.refused())
        with open(self.path, "wb") as text:
            text.write(b"not a database at all" * 100)
        self.assertIn("not an index of orthanc-tw", self.refused())

    def test_upgrade(self) -> None:
        """Scripts run in order, after a copy of the old file was made."""
        self.prepare()
        self.query("INSERT INTO global_properties VALUES ('a', '1')")
        self.prepare(
            self.later(
                "ALTER TABLE labels ADD COLUMN colour TEXT;",
                "UPDATE global_properties SET value = '2'; CREATE TABLE extra (x INTEGER);",
            )
        )
        self.assertEqual(self.query("SELECT schema_version FROM database_info"), [(3,)])
        self.assertEqual(self.query("SELECT colour FROM labels"), [])
        self.assertEqual(self.query("SELECT value FROM global_properties"), [("2",)])
        backup = self.path + ".backup-v1"
        self.assertEqual(self.query("SELECT value FROM global_properties", backup), [("1",)])
        self.assertEqual(self.query("SELECT schema_version FROM database_info", backup), [(1,)])

    def test_upgrade_fails(self) -> None:
        """A script that fails is undone whole; the step before it stays, and can go on later."""
        self.prepare()
        details = self.refused(self.later("CREATE TABLE a (x);", "CREATE TABLE b (x); nonsense;"))
        self.assertIn("the upgrade to version 3 failed", details)
        self.assertEqual(self.query("SELECT schema_version FROM database_info"), [(2,)])
        tables = {name for (name,) in self.query("SELECT name FROM sqlite_master")}
        self.assertIn("a", tables)
        self.assertNotIn("b", tables)
        self.prepare(self.later("CREATE TABLE a (x);", "CREATE TABLE b (x);"))
        self.assertEqual(self.query("SELECT schema_version FROM database_info"), [(3,)])

    def test_no_way(self) -> None:
        """A version that no script leads from is refused before anything is changed."""
        self.prepare()
        details = self.refused(replace(self.schema, version=5, upgrades={1: (2, "SELECT 1;")}))
        self.assertIn("no upgrade leads from version 2 to 5", details)
        self.assertEqual(self.files(), ["index-tw.db"])

    def test_every_column_is_commented(self) -> None:
        """Each column of the schema has its meaning beside it or on the line above."""
        lines = self.schema.creation.splitlines()
        self.prepare()
        tables = self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in tables if not name.startswith(("sqlite_", "trigrams"))}
        for table in names:
            start = next(i for i, line in enumerate(lines) if line == f"CREATE TABLE {table} (")
            for column in self.query(f"PRAGMA table_info({table})"):
                at = next(
                    i for i in range(start, len(lines)) if lines[i].startswith(f"  {column[1]} ")
                )
                commented = "--" in lines[at] or "--" in lines[at - 1]
                grouped = "--" in lines[at - 2] or "--" in lines[at - 3] or "--" in lines[at - 4]
                self.assertTrue(commented or grouped, (table, column[1]))
