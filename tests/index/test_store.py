from __future__ import annotations

from dataclasses import fields

from msgspec import structs

from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    FindQuery,
    Statistics,
    StorageLimits,
    TagConstraint,
)
from orthanc_tw.index.normalize import normalize
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.registries import MetadataType, OverwriteInstances, StoreStatus

from .support import (
    DATE,
    PATIENT,
    SERIES,
    STUDY,
    IndexCase,
    MemoryCase,
    SqliteCase,
    attachment,
    instance,
    public_id,
)


class StoreTests(IndexCase):
    def test_creates_the_four_levels(self) -> None:
        """The first instance creates its parents, linked to each other."""
        outcome = self.store("p/s/e/i")
        self.assertEqual(outcome.status, StoreStatus.SUCCESS)
        self.assertTrue(outcome.is_new_instance)
        row = self.row("p/s/e/i")
        self.assertEqual(row.internal_id, outcome.instance_internal_id)
        ancestors = self.read(lambda tx: tx.ancestors(row))
        self.assertEqual(
            [(a.level, a.public_id) for a in ancestors],
            [
                (SERIES, public_id("p/s/e")),
                (STUDY, public_id("p/s")),
                (PATIENT, public_id("p")),
            ],
        )

    def test_changes_of_a_first_and_a_second_instance(self) -> None:
        """NewInstance comes first, then the created parents from the series up."""
        self.store("p/s/e/i")
        self.store("p/s/f/j")
        self.assertEqual(
            self.log(),
            [
                (1, "NewInstance", public_id("p/s/e/i")),
                (2, "NewSeries", public_id("p/s/e")),
                (3, "NewStudy", public_id("p/s")),
                (4, "NewPatient", public_id("p")),
                (5, "NewInstance", public_id("p/s/f/j")),
                (6, "NewSeries", public_id("p/s/f")),
            ],
        )

    def test_completed_series(self) -> None:
        """The instance that makes the expected number logs CompletedSeries, the next does not."""
        for name in "ijk":
            self.store(f"p/s/e/{name}", expected=2)
        self.assertEqual(
            [kind for _, kind, _ in self.log(since=4)],
            ["NewInstance", "CompletedSeries", "NewInstance"],
        )

    def test_never_overwrite(self) -> None:
        """An instance that is there is not touched, though the file differs."""
        first = self.store("p/s/e/i")
        other = attachment("other")
        again = self.store("p/s/e/i", file=other)
        self.assertEqual(again.status, StoreStatus.ALREADY_STORED)
        self.assertEqual(again.instance_internal_id, first.instance_internal_id)
        self.assertEqual(again.removed, ())
        self.assertEqual(self.read(lambda tx: tx.statistics()).count_instances, 1)
        self.assertEqual(self.read(lambda tx: tx.last_change_seq()), 4)

    def test_always_overwrite_starts_anew(self) -> None:
        """Parents left childless go too: labels, metadata and attachments are lost."""
        self.store("p/s/e/i")
        study, old = self.row("p/s"), self.row("p/s/e/i")
        extra = attachment("extra", kind=1024)
        self.write(lambda tx: tx.add_label(study.internal_id, "lab"))
        self.write(lambda tx: tx.set_metadata(study.internal_id, 1024, "kept?", 0))
        self.write(lambda tx: tx.put_attachment(study.internal_id, extra))
        new = attachment("new", size=500)
        outcome = self.store("p/s/e/i", file=new, overwrite=OverwriteInstances.ALWAYS)
        self.assertEqual(outcome.status, StoreStatus.SUCCESS)
        self.assertFalse(outcome.is_new_instance)
        self.assertEqual(sorted(outcome.removed), sorted([attachment("p/s/e/i").uuid, extra.uuid]))
        study = self.row("p/s")
        self.assertEqual(self.read(lambda tx: tx.labels(study.internal_id)), [])
        self.assertNotIn(1024, self.read(lambda tx: tx.metadata(study.internal_id)))
        self.assertNotEqual(self.row("p/s/e/i").internal_id, old.internal_id)
        self.assertEqual([seq for seq, _, _ in self.log()], [5, 6, 7, 8])
        self.assertEqual(self.read(lambda tx: tx.statistics()).disk_size_bytes, 500)

    def test_always_overwrite_keeps_parents_with_other_children(self) -> None:
        """A study with another series keeps its labels when an instance is replaced."""
        self.store("p/s/e/i")
        self.store("p/s/f/j")
        study = self.row("p/s")
        self.write(lambda tx: tx.add_label(study.internal_id, "lab"))
        self.store("p/s/e/i", file=attachment("new"), overwrite=OverwriteInstances.ALWAYS)
        self.assertEqual(self.row("p/s"), study)
        self.assertEqual(self.read(lambda tx: tx.labels(study.internal_id)), ["lab"])

    def test_overwrite_if_changed(self) -> None:
        """The same MD5 is already stored, another one overwrites."""
        self.store("p/s/e/i")
        how = OverwriteInstances.IF_CHANGED
        same = self.store("p/s/e/i", overwrite=how)
        self.assertEqual(same.status, StoreStatus.ALREADY_STORED)
        other = self.store("p/s/e/i", file=attachment("other"), overwrite=how)
        self.assertEqual(other.status, StoreStatus.SUCCESS)

    def test_overwrite_if_changed_without_md5(self) -> None:
        """Where no MD5 was computed, the sizes are compared."""
        how = OverwriteInstances.IF_CHANGED
        self.store("p/s/e/i", file=_without_md5("a", 10))
        same = self.store("p/s/e/i", file=_without_md5("b", 10), overwrite=how)
        self.assertEqual(same.status, StoreStatus.ALREADY_STORED)
        other = self.store("p/s/e/i", file=_without_md5("b", 11), overwrite=how)
        self.assertEqual(other.status, StoreStatus.SUCCESS)

    def test_counters_follow(self) -> None:
        """Totals and those of each resource follow what is stored, attached and deleted."""
        self.store("p/s/e/i", file=attachment("a", size=100, stored=40))
        self.store("p/s/e/j", file=attachment("b", size=200, stored=80))
        self.store("p/t/f/k", file=attachment("c", size=7))
        study = self.row("p/s")
        self.write(
            lambda tx: tx.put_attachment(study.internal_id, attachment("d", size=1, kind=1024))
        )
        total = self.read(lambda tx: tx.statistics())
        self.assertEqual(_values(total), (1, 2, 2, 3, 128, 308, 127, 307))
        patient = self.row("p")
        self.assertEqual(self.read(lambda tx: tx.resource_statistics(patient)), total)
        self.assertEqual(
            _values(self.read(lambda tx: tx.resource_statistics(study))),
            (1, 1, 1, 2, 121, 301, 120, 300),
        )
        inst = self.row("p/s/e/j")
        self.assertEqual(
            _values(self.read(lambda tx: tx.resource_statistics(inst))),
            (1, 1, 1, 1, 80, 200, 80, 200),
        )
        self.write(lambda tx: tx.delete_resource(inst, DATE))
        self.assertEqual(
            _values(self.read(lambda tx: tx.resource_statistics(study))),
            (1, 1, 1, 1, 41, 101, 40, 100),
        )
        self.write(lambda tx: tx.delete_resource(patient, DATE))
        self.assertEqual(_values(self.read(lambda tx: tx.statistics())), (0,) * 8)

    def test_metadata_of_a_new_instance(self) -> None:
        """Parents have LastUpdate, the instance has not; both what was given."""
        self.store("p/s/e/i")
        study, inst = self.row("p/s").internal_id, self.row("p/s/e/i").internal_id
        last_update = int(MetadataType.LAST_UPDATE)
        of_study = self.read(lambda tx: tx.metadata(study))
        self.assertEqual({n: m.value for n, m in of_study.items()}, {last_update: DATE, 15: "sig2"})
        of_instance = self.read(lambda tx: tx.metadata(inst))
        self.assertEqual({n: m.value for n, m in of_instance.items()}, {15: "sig4"})

    def test_last_update_of_all_ancestors(self) -> None:
        """A new instance sets LastUpdate of its series, study and patient, of no other."""
        self.store("p/s/e/i", date="20260101T000000")
        self.store("p/s/f/j", date="20260101T000001")
        rows = [self.row(path) for path in ("p", "p/s", "p/s/e", "p/s/f")]
        records = self.read(lambda tx: tx.expand(rows, ExpandParts()))
        self.assertEqual([r.last_update[-1] for r in records], ["1", "1", "0", "1"])

    def test_wrong_resources(self) -> None:
        """Anything but one resource of each level is refused, and nothing is written."""
        new = instance("p/s/e/i")
        object.__setattr__(new, "resources", new.resources[:3])
        error = self.error(self.index.write(lambda tx: tx.store_instance(new, StorageLimits())))
        self.assertIsInstance(error, ValueError)
        self.assertFalse(self.exists("p"))

    def test_odd_text(self) -> None:
        """NUL, quotes and planes beyond the first come back as they were; the index finds them."""
        odd = "q\"\\'\0\n\U0001f600é"
        self.store("p/s/e/i", tags={STUDY: {"0008,1030": odd}, PATIENT: {"0010,0010": odd}})
        rows = [self.row("p/s")]
        parts = ExpandParts(ancestors=frozenset({PATIENT}))
        (record,) = self.read(lambda tx: tx.expand(rows, parts))
        self.assertEqual(record.tags["0008,1030"], odd)
        self.assertEqual(record.ancestors_tags[PATIENT]["0010,0010"], odd)
        value = normalize(odd)
        query = FindQuery(STUDY, [TagConstraint("0008,1030", STUDY, False, values=[value])])
        self.assertEqual(self.read(lambda tx: tx.find(query)), rows)

    def test_text_that_is_not_unicode(self) -> None:
        """A lone surrogate is refused with a clear error, and nothing is written."""
        new = instance("p/s/e/i", tags={STUDY: {"0008,1030": "\ud800"}})
        error = self.error(self.index.write(lambda tx: tx.store_instance(new, StorageLimits())))
        self.assertIsInstance(error, OrthancError)
        self.assertFalse(self.exists("p"))


def _values(statistics: Statistics) -> tuple[int, ...]:
    return tuple(getattr(statistics, field.name) for field in fields(statistics))


def _without_md5(name: str, size: int) -> Attachment:
    return structs.replace(attachment(name, size=size), md5="", stored_md5="")


class MemoryStoreTests(StoreTests, MemoryCase):
    pass


class SqliteStoreTests(StoreTests, SqliteCase):
    pass


del StoreTests
