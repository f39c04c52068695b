"""Databases of former versions, as they were: they open, are upgraded, and answer the same."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from orthanc_tw.index import searches
from orthanc_tw.index.connection import has_trigrams, library_has_trigrams
from orthanc_tw.index.gateway import (
    ExpandParts,
    Export,
    FindQuery,
    ReadTransaction,
    ResourceRow,
    StorageLimits,
    TagConstraint,
)
from orthanc_tw.index.migrations import VERSION, load_schema, prepare
from orthanc_tw.index.sqlite import FILE_NAME, SqliteIndex
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.index.support import PATIENT, SERIES, STUDY, SqliteCase, instance, public_id

SCHEMAS = Path(__file__).parent / "schema"


def script(name: str) -> str:
    """SQL of a former version."""
    return (SCHEMAS / name).read_text("utf-8")


def make_version_1(path: str) -> None:
    """The file that a server with version 1 left behind."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(script("sqlite-v1.sql"))
        connection.executescript(script("sqlite-v1-data.sql"))
        if library_has_trigrams():
            connection.executescript(script("sqlite-v1-trigrams.sql"))
            connection.executescript(script("sqlite-v1-data-trigrams.sql"))
    finally:
        connection.close()


def tables(path: str) -> dict[str, str]:
    """Statements that made the tables, without their comments and how they are laid out."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {
            # ADD COLUMN leaves its comma where the comment of the last column ended.
            name: re.sub(r" ?([,()]) ?", r"\1", " ".join(re.sub(r"--[^\n]*", "", sql).split()))
            for name, sql in rows
            if not name.startswith("sqlite_")
        }
    finally:
        connection.close()


class UpgradeTests(SqliteCase):
    """Over a database of version 1."""

    def open(self, **how: object) -> SqliteIndex:
        """Put the old file there first, if there is none."""
        path = os.path.join(self.directory, FILE_NAME)
        if not os.path.exists(path):
            make_version_1(path)
        return super().open(**how)

    def found(self, query: FindQuery) -> list[str]:
        """Public identifiers."""
        return [row.public_id for row in self.read(lambda tx: tx.find(query))]

    def test_counters(self) -> None:
        """Totals are those of before."""
        totals = self.read(lambda tx: tx.statistics())
        self.assertEqual(
            (totals.count_patients, totals.count_studies, totals.count_series),
            (2, 3, 4),
        )
        self.assertEqual((totals.count_instances, totals.disk_size_bytes), (4, 5000))
        self.assertEqual(totals.dicom_disk_size_bytes, 4000)

    def test_record(self) -> None:
        """Tags, metadata, attachments, labels and family of a study."""

        def read(tx: ReadTransaction) -> tuple[object, ...]:
            row = tx.lookup(public_id("p1/s1"))
            assert row is not None
            (record,) = tx.expand([row], ExpandParts(ancestors=frozenset({PATIENT})))
            return (
                record.tags["0008,1030"],
                record.ancestors_tags[PATIENT]["0010,0010"],
                (record.metadata[1024], tx.metadata(row.internal_id)[1024].revision),
                [item.content_type for item in record.attachments],
                list(record.labels),
                sorted(record.children),
            )

        children = sorted([public_id("p1/s1/e1"), public_id("p1/s1/e2")])
        self.assertEqual(
            self.read(read),
            ("Thorax", "SMITH^JOHN", ("mine", 3), [1025], ["urgent"], children),
        )

    def test_find(self) -> None:
        """Wildcards, ranges, labels and lists of identifiers find what they found."""
        smith = TagConstraint("0010,0010", PATIENT, False, wildcard="*SMITH*")
        self.assertEqual(self.found(FindQuery(PATIENT, [smith])), [public_id("p1")])
        later = TagConstraint("0008,0020", STUDY, False, lower="20200601")
        self.assertEqual(
            self.found(FindQuery(STUDY, [later])),
            sorted([public_id("p1/s2"), public_id("p2/s3")]),
        )
        self.assertEqual(self.found(FindQuery(STUDY, labels=["urgent"])), [public_id("p1/s1")])
        modality = TagConstraint("0008,0060", SERIES, False, values=["MR"])
        self.assertEqual(self.found(FindQuery(STUDY, [modality])), [public_id("p1/s1")])

    def test_logs(self) -> None:
        """Changes, protection, properties and jobs are kept, and numbers go on."""
        self.assertEqual(self.read(lambda tx: tx.last_change_seq()), 17)
        self.assertTrue(self.read(lambda tx: tx.is_protected(self.row_id(tx, "p2"))))
        self.assertFalse(self.read(lambda tx: tx.is_protected(self.row_id(tx, "p1"))))
        self.assertEqual(self.read(lambda tx: tx.global_property("a")), "1")
        (job,) = self.read(lambda tx: tx.jobs())
        self.assertEqual((job.kind, job.state, job.sequence), ("Archive", "Success", 1))
        self.store("p3/s4/e5/i6")
        self.assertEqual(self.read(lambda tx: tx.last_change_seq()), 21)

    def row_id(self, tx: ReadTransaction, path: str) -> int:
        """Internal identifier."""
        row = tx.lookup(public_id(path))
        assert isinstance(row, ResourceRow)
        return row.internal_id

    def test_writes(self) -> None:
        """It takes new instances, deletions and exports."""
        new = instance("p1/s1/e1/i9")
        self.write(lambda tx: tx.store_instance(new, StorageLimits()))
        row = self.row("p2")
        self.write(lambda tx: tx.delete_resource(row, "20260102T040507"))
        export = Export(0, ResourceType.STUDY, public_id("p1/s1"), "b", "20260102T040507", "p1")
        self.write(lambda tx: tx.log_export(export))
        self.assertEqual(
            [e.seq for e in self.read(lambda tx: tx.exports(since=0, limit=9)).exports], [1]
        )
        self.assertEqual(self.read(lambda tx: tx.statistics()).count_instances, 4)

    def test_same_tables(self) -> None:
        """What the upgrade leads to is what a new database has, to the column."""
        fresh = os.path.join(self.directory, "fresh.db")
        prepare(fresh, load_schema(), lambda: "u")
        upgraded = os.path.join(self.directory, FILE_NAME)
        self.assertEqual(tables(upgraded), tables(fresh))

    def test_ranks(self) -> None:
        """Pages by number count what was there before the upgrade."""
        self.patch(searches, "SKIPPED", 0)
        for level, count in zip(ResourceType, (2, 3, 4, 4), strict=True):
            whole = self.read(lambda tx, x=level: tx.page(x))
            self.assertEqual(len(whole), count)
            for since in range(count + 1):
                page = self.read(lambda tx, x=level, s=since: tx.page(x, since=s, limit=9))
                self.assertEqual(list(page), list(whole[since:]))

    def test_copy_and_version(self) -> None:
        """The old file is kept beside the new one, whole; the trigram index is there."""
        path = os.path.join(self.directory, FILE_NAME)
        for name, version in ((path, VERSION), (f"{path}.backup-v1", 1)):
            connection = sqlite3.connect(name)
            try:
                (found,) = connection.execute("SELECT schema_version FROM database_info").fetchone()
                self.assertEqual(found, version)
                self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
                self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
                self.assertEqual(has_trigrams(connection), library_has_trigrams())
            finally:
                connection.close()

    def test_unknown_version(self) -> None:
        """A version of the future, and one that no script leads from, are refused untouched."""
        self.close()
        path = os.path.join(self.directory, FILE_NAME)
        for version in (VERSION + 1, 0, -3):
            connection = sqlite3.connect(path)
            with connection:
                connection.execute("UPDATE database_info SET schema_version = ?", (version,))
            connection.close()
            with self.assertRaises(OrthancError) as caught:
                self.open()
            self.assertEqual(caught.exception.code, ErrorCode.INCOMPATIBLE_DATABASE_VERSION)
            connection = sqlite3.connect(path)
            (found,) = connection.execute("SELECT schema_version FROM database_info").fetchone()
            connection.close()
            self.assertEqual(found, version)
