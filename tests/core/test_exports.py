"""The log of exports: what is kept of a resource, and when nothing is."""

from __future__ import annotations

from orthanc_tw.core.exports import ExportLog
from orthanc_tw.index.gateway import Export
from orthanc_tw.model.levels import ResourceType
from tests.index.support import MemoryCase, public_id


class ExportLogTests(MemoryCase):
    def setUp(self) -> None:
        """One instance, and a log of it at a fixed time."""
        super().setUp()
        self.store("p/st/se/i")
        self.log_of_exports = ExportLog(self.index, lambda: 1_700_000_000.9, enabled=True)

    def exports(self, since: int = 0, limit: int = 100) -> list[Export]:
        """A page."""
        return list(self.read(lambda tx: tx.exports(since=since, limit=limit)).exports)

    def record(self, path: str, level: ResourceType | None = None) -> bool:
        """Log a resource as sent to ``b``."""
        return self.result(self.log_of_exports.record(public_id(path), "b", level))

    def test_identifiers(self) -> None:
        """Each level is logged with the DICOM identifiers from the patient down to itself."""
        for path in ("p", "p/st", "p/st/se", "p/st/se/i"):
            self.assertTrue(self.record(path))
        identifiers = [
            (e.level, e.patient_id, e.study_instance_uid, e.series_instance_uid, e.sop_instance_uid)
            for e in self.exports()
        ]
        self.assertEqual(
            identifiers,
            [
                (ResourceType.PATIENT, "p", "", "", ""),
                (ResourceType.STUDY, "p", "st", "", ""),
                (ResourceType.SERIES, "p", "st", "se", ""),
                (ResourceType.INSTANCE, "p", "st", "se", "i"),
            ],
        )
        self.assertEqual({e.date for e in self.exports()}, {"20231114T221320"})
        self.assertEqual({e.remote_modality for e in self.exports()}, {"b"})

    def test_unknown(self) -> None:
        """A resource that is not there, or not of that level, is not logged."""
        self.assertFalse(self.record("nobody"))
        self.assertFalse(self.record("p/st", ResourceType.SERIES))
        self.assertEqual(self.exports(), [])

    def test_disabled(self) -> None:
        """Nothing is logged unless LogExportedResources says so."""
        self.log_of_exports = ExportLog(self.index, lambda: 0.0, enabled=False)
        self.assertFalse(self.record("p"))
        self.assertEqual(self.exports(), [])

    def test_outlives_its_resource(self) -> None:
        """The log is of what was done: deleting the resource does not change it."""
        self.record("p/st")
        row = self.row("p")
        self.write(lambda tx: tx.delete_resource(row, "20260102T030405"))
        self.assertEqual([e.public_id for e in self.exports()], [public_id("p/st")])

    def test_numbers_go_on(self) -> None:
        """A number is never given twice, not even after the log was cleared."""
        self.record("p")
        self.record("p")
        self.write(lambda tx: tx.clear_exports())
        self.assertEqual(self.exports(), [])
        self.assertIsNone(self.read(lambda tx: tx.last_export()))
        self.record("p")
        self.assertEqual([e.seq for e in self.exports()], [3])

    def test_pages(self) -> None:
        """Pages end where they should, and say whether more follows."""
        for _ in range(5):
            self.record("p")
        for since, limit, seqs, done in (
            (0, 2, [1, 2], False),
            (2, 3, [3, 4, 5], True),
            (3, 9, [4, 5], True),
            (5, 9, [], True),
        ):

            def page(tx, since=since, limit=limit):  # type: ignore[no-untyped-def]
                return tx.exports(since=since, limit=limit)

            found = self.read(page)
            self.assertEqual(([e.seq for e in found.exports], found.done), (seqs, done))
