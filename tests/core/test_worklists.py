"""Worklists of a folder: matching, answers, and what happens to the files meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.worklists import WorklistAnswers, Worklists, WorklistSettings
from orthanc_tw.dicom.attributes import Attributes, parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.datasets import encode
from tests.rest.browsing import in_thread

EXPLICIT = "1.2.840.10008.1.2.1"


def dataset(**values: Any) -> Dataset:
    """A data set of these keywords."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def query(**values: Any) -> Attributes:
    """A query of these keywords."""
    identifier = encode(dataset(SpecificCharacterSet="ISO_IR 192", **values), EXPLICIT)
    return parse_attributes(identifier.content, EXPLICIT, Encoding.ASCII)


def step(aet: str, modality: str, date: str = "20260101") -> Dataset:
    """An item of the scheduled procedure steps."""
    return dataset(
        ScheduledStationAETitle=aet, Modality=modality, ScheduledProcedureStepStartDate=date
    )


class WorklistTests(SynchronousTestCase):
    """Three items of two stations."""

    def setUp(self) -> None:
        """Write the files."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.write("a", PatientName="Doe^John", steps=[step("CT1", "CT")])
        self.write("b", PatientName="Doe^Jane", steps=[step("MR1", "MR", "20260201")])
        self.write("c", PatientName="Müller", steps=[step("CT1", "CT", "20260301")])

    def write(self, name: str, *, steps: list[Dataset], **values: Any) -> None:
        """Write a worklist file."""
        made = dataset(
            SpecificCharacterSet="ISO_IR 192",
            PatientID=name,
            AccessionNumber=f"A{name}",
            ScheduledProcedureStepSequence=steps,
            **values,
        )
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.save_as(self.folder / f"{name}.wl", enforce_file_format=True)

    def worklists(self, **settings: Any) -> Worklists:
        """Worklists of the folder."""
        options = RuntimeOptions(Encoding.LATIN1, [], [], False)
        return Worklists(WorklistSettings(str(self.folder), **settings), options, in_thread)

    def ask(self, worklists: Worklists | None = None, aet: str = "CT1", **keys: Any) -> list[str]:
        """PatientID of all that a query finds."""
        found = self.found(worklists or self.worklists(), aet, PatientID="", **keys)
        return [answer[0x00100020].text for answer in found.answers]

    def found(self, worklists: Worklists, aet: str, **keys: Any) -> WorklistAnswers:
        """What a query finds."""
        return self.successResultOf(worklists.find(query(**keys), aet))

    def test_matching(self) -> None:
        """Keys match as in any query, those of the scheduled steps too."""
        self.assertEqual(self.ask(), ["a", "b", "c"])
        self.assertEqual(self.ask(PatientName="doe*"), ["a", "b"])
        self.assertEqual(self.ask(PatientName="müller"), ["c"])
        sequence = "ScheduledProcedureStepSequence"
        self.assertEqual(self.ask(**{sequence: [dataset(Modality="MR")]}), ["b"])
        self.assertEqual(self.ask(**{sequence: []}), ["a", "b", "c"])
        self.assertEqual(self.ask(**{sequence: [dataset(Modality="")]}), ["a", "b", "c"])
        dates = dataset(ScheduledProcedureStepStartDate="20260115-20260401", Modality="CT")
        self.assertEqual(self.ask(**{sequence: [dates]}), ["c"])
        self.assertEqual(self.ask(AdmissionID="x"), [])

    def test_steps(self) -> None:
        """One step must match all keys; only such ones are answered."""
        steps = [step("CT1", "CT"), step("MR1", "MR")]
        self.write("d", PatientName="Two", steps=steps)
        sequence = "ScheduledProcedureStepSequence"
        crossed = dataset(ScheduledStationAETitle="CT1", Modality="MR")
        self.assertEqual(self.ask(PatientName="Two", **{sequence: [crossed]}), [])
        keys = {"PatientName": "Two", sequence: [dataset(Modality="MR")]}
        (answer,) = self.found(self.worklists(), "X", **keys).answers
        items = answer[0x00400100].items
        assert items is not None
        self.assertEqual([item[0x00080060].text for item in items], ["MR"])
        self.assertNotIn(0x00400001, items[0])

    def test_answer(self) -> None:
        """An answer has what was asked for: empty if the item has it not, sequences whole if
        nothing of them was named.
        """
        keys = {"PatientName": "Doe^John", "AdmissionID": "", "ScheduledProcedureStepSequence": []}
        (answer,) = self.found(self.worklists(), "X", **keys).answers
        self.assertEqual(sorted(answer), [0x00100010, 0x00380010, 0x00400100])
        self.assertEqual(answer[0x00380010].text, "")
        items = answer[0x00400100].items
        assert items is not None
        self.assertEqual(items[0][0x00400001].text, "CT1")

    def test_filter_issuer(self) -> None:
        """With FilterIssuerAet a station gets its own steps, with or without asking for steps."""
        worklists = self.worklists(filter_issuer_aet=True)
        self.assertEqual(self.ask(worklists), ["a", "c"])
        self.assertEqual(self.ask(worklists, "MR1"), ["b"])
        sequence = "ScheduledProcedureStepSequence"
        other = {sequence: [dataset(ScheduledStationAETitle="MR1", Modality="CT")]}
        self.assertEqual(self.ask(worklists, **other), ["a", "c"])

    def test_limit(self) -> None:
        """LimitAnswers holds answers back, and that is told."""
        found = self.found(self.worklists(limit_answers=2), "X", PatientID="")
        self.assertEqual((len(found.answers), found.is_truncated), (2, True))
        found = self.found(self.worklists(limit_answers=3), "X", PatientID="")
        self.assertEqual((len(found.answers), found.is_truncated), (3, False))

    def test_changes(self) -> None:
        """Files that come, go and change are seen by the next query."""
        worklists = self.worklists()
        self.assertEqual(self.ask(worklists), ["a", "b", "c"])
        (self.folder / "a.wl").unlink()
        self.write("d", PatientName="New", steps=[])
        self.write("b", PatientName="Other^Name", steps=[])
        os.utime(self.folder / "b.wl", (1, 1))
        self.assertEqual(self.ask(worklists, PatientName="*"), ["b", "c", "d"])
        self.assertEqual(self.ask(worklists, PatientName="other*"), ["b"])

    def test_read_once(self) -> None:
        """A file that is what it was is not read again."""
        worklists = self.worklists()
        path = self.folder / "a.wl"
        self.ask(worklists)
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.assertEqual(self.ask(worklists), ["a", "b", "c"])

    def test_bad_files(self) -> None:
        """What is no DICOM, or too large, or has another name, is passed over."""
        (self.folder / "bad.wl").write_bytes(b"nothing")
        (self.folder / "lock.txt").write_bytes(b"nothing")
        self.write("large", PatientName="x" * 3000, steps=[])
        self.assertEqual(self.ask(self.worklists(maximum_file_bytes=2000)), ["a", "b", "c"])

    def test_no_folder(self) -> None:
        """A folder that is not there is an error, not an empty worklist."""
        worklists = self.worklists()
        self.folder.rename(str(self.folder) + "-moved")
        failure = self.failureResultOf(worklists.find(query(PatientID=""), "X"), OrthancError)
        self.assertIs(failure.value.code, ErrorCode.DIRECTORY_EXPECTED)

    def test_two_items(self) -> None:
        """A sequence of a query has one item, by the standard."""
        keys = query(ScheduledProcedureStepSequence=[dataset(Modality="CT"), dataset()])
        failure = self.failureResultOf(self.worklists().find(keys, "X"), OrthancError)
        self.assertIs(failure.value.code, ErrorCode.BAD_REQUEST)
