"""Warnings about requested tags (option ``Warnings``)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core import tag_warnings
from orthanc_tw.index.gateway import WriteTransaction
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType
from tests.rest.browsing import Server

ALL = (
    *(tag_warnings.TAGS_READ_FROM_STORAGE, tag_warnings.INCONSISTENT_TAGS),
    *(tag_warnings.NO_SIGNATURE, tag_warnings.LOWER_LEVEL, tag_warnings.META_HEADER),
    tag_warnings.NOT_READ,
)
NAME = "test_files/CT_small.dcm"


class TagWarningsTests(SynchronousTestCase):
    def warned(self, tags: str, enabled: tuple[str, ...] = ALL, **options: str) -> list[str]:
        """What is logged when these tags of a study are asked for."""
        self.server = Server({"Warnings": enabled, **options})
        self.study = self.server.upload(NAME)["ParentStudy"]
        return self.ask(tags)

    def ask(self, tags: str) -> list[str]:
        self.server.warned.clear()
        answer = self.server.ask("GET", f"/studies/{self.study}?requested-tags={tags}")
        self.assertEqual(answer.status, 200)
        return list(self.server.warned)

    def test_indexed(self) -> None:
        """Tags of the index cost nothing, and neither do tags that nobody asks for."""
        self.assertEqual(self.warned("PatientID;StudyDate"), [])
        self.assertEqual(self.ask(""), [])

    def test_storage(self) -> None:
        """Tags that a file is opened for are named, with the resource."""
        (line,) = self.warned("Allergies;PatientID;Rows")
        self.assertTrue(line.startswith(f"{ALL[0]}: Study {self.study}: "), line)
        self.assertIn("Rows (0028,0010)", line)
        self.assertNotIn("PatientID", line)

    def test_not_read(self) -> None:
        """Where files may not be opened, tags are missing from the answer."""
        (line,) = self.warned("Rows", StorageAccessOnFind="Never")
        self.assertTrue(line.startswith(tag_warnings.NOT_READ))

    def test_lower_level_and_meta_header(self) -> None:
        """Tags of series and instances, and of the meta header, are pointed out."""
        lines = self.warned("SeriesDescription;TransferSyntaxUID")
        self.assertEqual([line.partition(":")[0] for line in lines], [ALL[0], ALL[4], ALL[3]])
        self.assertIn("SeriesDescription", lines[2])
        self.assertNotIn("SeriesDescription", lines[1])

    def test_signature(self) -> None:
        """A resource that was stored with other main tags, or that does not say, is named."""
        self.warned("PatientID")

        def write(value: str | None) -> None:
            def change(tx: WriteTransaction) -> None:
                row = tx.lookup(self.study, ResourceType.STUDY)
                assert row is not None
                number = MetadataType.MAIN_DICOM_TAGS_SIGNATURE
                tx.replace_main_tags(row.internal_id, {}, {number: value})

            self.successResultOf(self.server.index.write(change))

        write("0010,0010")
        (line,) = self.ask("PatientID")
        self.assertTrue(line.startswith(tag_warnings.INCONSISTENT_TAGS))
        write(None)
        (line,) = self.ask("PatientID")
        self.assertTrue(line.startswith(tag_warnings.NO_SIGNATURE))

    def test_disabled(self) -> None:
        """What is not wanted is not said."""
        self.assertEqual(self.warned("Rows;TransferSyntaxUID", ()), [])
        (line,) = self.warned("Rows;TransferSyntaxUID", (tag_warnings.META_HEADER,))
        self.assertTrue(line.startswith(tag_warnings.META_HEADER))
