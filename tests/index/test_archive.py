"""What an archive is made of, out of both indexes."""

from __future__ import annotations

from typing import Any

from orthanc_tw.index.archive_tree import ArchiveInstance
from orthanc_tw.model.registries import Compression, MetadataType
from tests.index.support import (
    INSTANCE,
    PATIENT,
    SERIES,
    STUDY,
    IndexCase,
    MemoryCase,
    SqliteCase,
    attachment,
    public_id,
)


class ArchiveTests(IndexCase):
    def setUp(self) -> None:
        super().setUp()
        for path in ("p/s/e/1", "p/s/e/2", "p/s/f/3", "p/t/g/4", "q/u/h/5"):
            self.store(path)

    def tree(self, path: str, level: Any = None) -> tuple[list[str], list[str]]:
        """Public identifiers of folders and of instances."""
        found = self.read(lambda tx: tx.archive_tree(public_id(path), level))
        assert found is not None
        return (
            [folder.public_id for folder in found.folders],
            [instance.public_id for instance in found.instances],
        )

    def test_each_level(self) -> None:
        """A resource has those above it and all below, parents first, and nothing else."""
        ids = public_id
        for path, level, folders, instances in (
            ("p/s", STUDY, ["p", "p/s", "p/s/e", "p/s/f"], ["p/s/e/1", "p/s/e/2", "p/s/f/3"]),
            ("p/s/e", SERIES, ["p", "p/s", "p/s/e"], ["p/s/e/1", "p/s/e/2"]),
            ("p/s/e/2", INSTANCE, ["p", "p/s", "p/s/e"], ["p/s/e/2"]),
            ("q", PATIENT, ["q", "q/u", "q/u/h"], ["q/u/h/5"]),
        ):
            for wanted in (level, None):
                found = self.tree(path, wanted)
                self.assertEqual(set(found[0]), {ids(name) for name in folders})
                self.assertEqual(sorted(found[1]), sorted(ids(name) for name in instances))
            tree = self.read(lambda tx, p=path: tx.archive_tree(ids(p), None))
            assert tree is not None
            seen = {None}
            for folder in tree.folders:
                self.assertIn(folder.parent_id, seen)
                seen.add(folder.internal_id)
            for instance in tree.instances:
                self.assertIn(instance.series_internal_id, seen)

    def test_what_is_told(self) -> None:
        """Tags of folders; number, file and transfer syntax of instances, revised or not."""
        row = self.row("p/s/e/1")
        syntax = MetadataType.TRANSFER_SYNTAX
        expected = attachment("p/s/e/1")
        for revision in (0, 3):
            self.write(lambda tx, r=revision: tx.set_metadata(row.internal_id, syntax, "1.2.3", r))
            tree = self.read(lambda tx: tx.archive_tree(public_id("p/s/e/1"), INSTANCE))
            assert tree is not None
            self.assertEqual(
                tree.instances,
                [
                    ArchiveInstance(
                        tree.folders[-1].internal_id,
                        row.internal_id,
                        row.public_id,
                        "1",
                        expected.uuid,
                        Compression.NONE,
                        1000,
                        "1.2.3",
                    )
                ],
            )
        self.assertEqual([folder.level for folder in tree.folders], [PATIENT, STUDY, SERIES])
        self.assertEqual(tree.folders[0].tags["0010,0020"], "p")
        self.assertEqual(tree.folders[2].tags["0008,0060"], "CT")

    def test_other_attachments(self) -> None:
        """Attachments of users count for nothing; an instance without a file is left out."""
        study, instance = self.row("p/s"), self.row("p/s/e/1")
        self.write(lambda tx: tx.put_attachment(study.internal_id, attachment("x", kind=1024)))
        self.write(lambda tx: tx.put_attachment(instance.internal_id, attachment("y", kind=1025)))
        self.assertEqual(len(self.tree("p/s")[1]), 3)
        self.write(lambda tx: tx.delete_attachment(instance.internal_id, 1))
        folders, instances = self.tree("p/s")
        self.assertEqual(len(folders), 4)
        self.assertNotIn(instance.public_id, instances)

    def test_missing(self) -> None:
        """None for what is not there, or is of another level."""
        for path, level in (("x/y", None), ("x/y", STUDY), ("p/s", SERIES)):
            self.assertIsNone(
                self.read(lambda tx, p=path, n=level: tx.archive_tree(public_id(p), n))
            )
        self.assertIsNone(self.read(lambda tx: tx.archive_size(public_id("p/s"), PATIENT)))

    def test_size(self) -> None:
        """Instances and bytes of their DICOM files, by one statement that needs no snapshot."""
        study = self.row("p/s")
        self.write(lambda tx: tx.put_attachment(study.internal_id, attachment("x", kind=1024)))
        for path, level, count in (("p", PATIENT, 4), ("p/s", STUDY, 3), ("p/s/e", SERIES, 2)):
            size = self.index.read_one(lambda tx, p=path, n=level: tx.archive_size(public_id(p), n))
            self.assertEqual(size, (count, 1000 * count))

    def test_in_a_thread(self) -> None:
        """Whoever is in a thread reads there and then."""
        found = self.index.read_in_thread(lambda tx: tx.lookup(public_id("p/s")))
        self.assertEqual(found, self.row("p/s"))


class MemoryArchiveTests(ArchiveTests, MemoryCase):
    pass


class SqliteArchiveTests(ArchiveTests, SqliteCase):
    pass


del ArchiveTests
