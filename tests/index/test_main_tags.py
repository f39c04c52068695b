"""`replace_main_tags` and `oldest_instance`, over both indexes."""

from __future__ import annotations

from collections.abc import Mapping

from orthanc_tw.index.gateway import FindQuery, MetadataValue, TagConstraint
from orthanc_tw.index.normalize import normalize
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import OverwriteInstances

from .support import (
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

SIGNATURE, SEQUENCES, REMOTE_AET, USER = 15, 16, 3, 1024


class MainTagsTests(IndexCase):
    """What the two operations promise."""

    def replace(
        self, path: str, tags: Mapping[str, str], metadata: Mapping[int, str | None] | None = None
    ) -> bool:
        """Replace, and commit."""
        row = self.row(path)
        return self.write(lambda tx: tx.replace_main_tags(row.internal_id, tags, metadata or {}))

    def find(
        self, level: ResourceType, tag: str, value: str, *, wildcard: bool = False
    ) -> list[str]:
        """Public identifiers of what matches, as queries do."""
        constraint = TagConstraint(
            tag,
            level,
            False,
            values=() if wildcard else (normalize(value),),
            wildcard=normalize(value) if wildcard else None,
        )
        query = FindQuery(level, constraints=(constraint,))
        return [row.public_id for row in self.read(lambda tx: tx.find(query))]

    def test_what_is_matched(self) -> None:
        """The new values are found, by equality and by wildcards; the old ones are not."""
        self.store("p/s/e/i")
        self.store("q/t/f/j")
        changed = self.replace("p", {"0010,0020": "p", "0010,0010": "Müller^Ada", "0010,0040": "F"})
        self.assertTrue(changed)
        patient = [public_id("p")]
        self.assertEqual(self.find(PATIENT, "0010,0010", "muller^ada"), patient)
        self.assertEqual(self.find(PATIENT, "0010,0010", "*ller*", wildcard=True), patient)
        self.assertEqual(self.find(PATIENT, "0010,0040", "f"), patient)
        self.assertEqual(self.find(PATIENT, "0010,0010", "p^name"), [])
        self.assertEqual(self.find(PATIENT, "0010,0010", "*p^nam*", wildcard=True), [])
        self.assertEqual(self.find(PATIENT, "0010,0010", "q^name"), [public_id("q")])

    def test_every_level(self) -> None:
        """Each level keeps its identifier and takes new tags; the others stay as they are."""
        for path in ("p", "p/s", "p/s/e", "p/s/e/i"):
            self.store("p/s/e/i", overwrite=OverwriteInstances.ALWAYS)
            row = self.row(path)
            tag, uid = {
                PATIENT: ("0010,0020", "p"),
                STUDY: ("0020,000d", "s"),
                SERIES: ("0020,000e", "e"),
                INSTANCE: ("0008,0018", "i"),
            }[row.level]
            self.replace(path, {tag: uid, "0008,1111": "new"})
            self.assertEqual(self.find(row.level, "0008,1111", "NEW"), [row.public_id])
            found = self.read(lambda tx, tag=tag, uid=uid: tx.lookup_identifier(tag, uid))
            self.assertEqual(list(found), [row])

    def test_tag_that_goes(self) -> None:
        """A tag that is not in the file any more is not matched any more."""
        self.store("p/s/e/i", tags={STUDY: {"0008,0050": "A1"}})
        self.assertEqual(self.find(STUDY, "0008,0050", "A1"), [public_id("p/s")])
        self.replace("p/s", {"0020,000d": "s"})
        self.assertEqual(self.find(STUDY, "0008,0050", "A1"), [])
        self.assertEqual(self.read(lambda tx: tx.lookup_identifier("0008,0050", "A1")), [])

    def test_metadata(self) -> None:
        """Named metadata are replaced or removed, others keep value and revision."""
        self.store("p/s/e/i")
        study = self.row("p/s").internal_id
        self.write(lambda tx: tx.set_metadata(study, USER, "mine", 4))
        self.write(lambda tx: tx.set_metadata(study, SEQUENCES, "{}", 0))
        before = self.read(lambda tx: tx.metadata(study))
        tags = {"0020,000d": "s", "0008,0050": ""}
        changes = {SIGNATURE: "new", SEQUENCES: None, REMOTE_AET: None}
        self.assertTrue(self.replace("p/s", tags, changes))
        after = dict(self.read(lambda tx: tx.metadata(study)))
        expected = {**before, SIGNATURE: MetadataValue("new", 0)}
        del expected[SEQUENCES]
        self.assertEqual(after, expected)
        self.assertEqual(after[USER], MetadataValue("mine", 4))

    def test_all_else_stays(self) -> None:
        """Labels, attachments, statistics, changes and stability are not touched."""
        self.store("p/s/e/i")
        row = self.row("p/s")
        self.write(lambda tx: tx.add_label(row.internal_id, "label"))
        self.write(lambda tx: tx.put_attachment(row.internal_id, attachment("x", kind=1024)))

        def everything() -> list[object]:
            return self.read(
                lambda tx: [
                    tx.labels(row.internal_id),
                    tx.attachments(row.internal_id),
                    tx.statistics(),
                    tx.resource_statistics(row),
                    tx.metadata(row.internal_id),
                    tx.last_change_seq(),
                ]
            )

        before = everything()
        self.assertTrue(self.replace("p/s", {"0020,000d": "s"}))
        self.assertEqual(everything(), before)

    def test_nothing_to_do(self) -> None:
        """What is as it was, or gone, is not written."""
        self.store("p/s/e/i")
        tags = {"0020,000d": "s", "0008,0050": ""}
        self.assertFalse(self.replace("p/s", tags, {SIGNATURE: "sig2", SEQUENCES: None}))
        gone = self.write(lambda tx: tx.replace_main_tags(4711, tags, {SIGNATURE: "x"}))
        self.assertFalse(gone)

    def test_rolled_back(self) -> None:
        """A write that fails afterwards leaves tags and matching as they were."""
        self.store("p/s/e/i")
        patient = self.row("p").internal_id

        def write(tx: object) -> None:
            tx.replace_main_tags(patient, {"0010,0010": "OTHER"}, {})  # type: ignore[attr-defined]
            raise RuntimeError("no")

        self.assertIsInstance(self.error(self.index.write(write)), RuntimeError)
        self.assertEqual(self.find(PATIENT, "0010,0010", "*OTHER*", wildcard=True), [])
        self.assertEqual(
            self.find(PATIENT, "0010,0010", "*p^nam*", wildcard=True), [public_id("p")]
        )

    def test_oldest_instance(self) -> None:
        """The one stored first, of any level; what is overwritten is young again."""
        for path in ("p/s/e/z", "p/s/e/a", "p/s/f/b", "p/t/g/c"):
            self.store(path)

        def oldest(path: str) -> str | None:
            row = self.row(path)
            found = self.read(lambda tx: tx.oldest_instance(row))
            return found and found.public_id

        for path in ("p", "p/s", "p/s/e", "p/s/e/z"):
            self.assertEqual(oldest(path), public_id("p/s/e/z"))
        self.assertEqual(oldest("p/s/f"), public_id("p/s/f/b"))
        self.assertEqual(oldest("p/t"), public_id("p/t/g/c"))
        self.store("p/s/e/z", overwrite=OverwriteInstances.ALWAYS)
        self.assertEqual(oldest("p"), public_id("p/s/e/a"))
        patient = self.row("p")
        self.write(lambda tx: tx.delete_resource(patient, ""))
        self.assertIsNone(self.read(lambda tx: tx.oldest_instance(patient)))


class MemoryMainTagsTests(MainTagsTests, MemoryCase):
    """In memory."""


class SqliteMainTagsTests(MainTagsTests, SqliteCase):
    """On disk."""


del MainTagsTests
