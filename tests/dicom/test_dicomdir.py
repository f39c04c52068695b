"""DICOMDIR of media: against the recorded archives, pydicom's reader and edge cases."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.dicomdir import DicomDirectory
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.corpus import DATA, exchanges
from tests.reference.replay import describe_dicomdir


def read_header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def written(directory: DicomDirectory) -> bytes:
    file = io.BytesIO()
    directory.write(file)
    return file.getvalue()


class RecordedTests(SynchronousTestCase):
    """The same instances give the records of the recorded DICOMDIRs."""

    def setUp(self) -> None:
        """Read the headers of all files that the topic uploads."""
        self.by_uid: dict[str, Dataset] = {}
        for exchange in exchanges("20-jobs-archives"):
            if "body_file" in exchange:
                header = read_header(DATA / exchange["body_file"])
                self.by_uid[str(header.SOPInstanceUID)] = header

    def build(self, expected: dict[str, Any], extended: bool) -> bytes:
        """The DICOMDIR of the instances of a recorded one, in the order of their files."""
        directory = DicomDirectory(extended=extended)
        images = [r for r in expected["records"] if r["DirectoryRecordType"] == "IMAGE"]
        for image in sorted(images, key=lambda r: int(r["ReferencedFileID"].split("IM")[-1])):
            header = self.by_uid[image["ReferencedSOPInstanceUIDInFile"]]
            header.file_meta.TransferSyntaxUID = image["ReferencedTransferSyntaxUIDInFile"]
            directory.add(header, image["ReferencedFileID"].split("\\"))
        return written(directory)

    def test_records(self) -> None:
        """Every recorded media, extended or not, of every level, has the same records."""
        compared = 0
        for exchange in exchanges("20-jobs-archives"):
            archive = exchange.get("response", {}).get("binary", {}).get("zip") or {}
            expected = archive.get("contents", {}).get("DICOMDIR")
            if expected is None:
                continue
            extended = any("SeriesDescription" in r for r in expected["records"])
            got = describe_dicomdir(self.build(expected, extended))
            self.assertEqual(got, expected, exchange["name"])
            compared += 1
        self.assertEqual(compared, 33)


class FileTests(SynchronousTestCase):
    """What is written is a file-set that others read."""

    def test_file_set(self) -> None:
        """A reader follows the offsets through several patients, studies and series."""
        directory = DicomDirectory()
        expected = {}
        for number, path in enumerate(
            sorted((DATA / "test_files/dicomdirtests").glob("[79]*/*/*"))
        ):
            header = read_header(path)
            directory.add(header, ("IMAGES", f"IM{number}"))
            expected[str(header.SOPInstanceUID)] = f"IM{number}"
        root = Path(self.mktemp())
        (root / "IMAGES").mkdir(parents=True)
        for name in expected.values():
            (root / "IMAGES" / name).touch()
        (root / "DICOMDIR").write_bytes(written(directory))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file_set = FileSet(root / "DICOMDIR")
        found = {
            str(instance.ReferencedSOPInstanceUIDInFile): Path(instance.path).name
            for instance in file_set
        }
        self.assertEqual(found, expected)
        self.assertEqual(len(file_set.find_values("PatientID")), 2)
        self.assertEqual(file_set.ID, "ORTHANC_MEDIA")

    def test_empty(self) -> None:
        """A directory without instances is a valid file with an empty sequence."""
        dataset = pydicom.dcmread(io.BytesIO(written(DicomDirectory("EMPTY"))))
        self.assertEqual(dataset.FileSetID, "EMPTY")
        self.assertEqual(len(dataset.DirectoryRecordSequence), 0)
        self.assertEqual(dataset[0x00041200].value, 0)
        self.assertEqual(dataset.file_meta.MediaStorageSOPClassUID, "1.2.840.10008.1.3.10")

    def test_rebuilt(self) -> None:
        """The same instances in the same order make the same bytes; others, another UID."""
        files = [DATA / "test_files/CT_small.dcm", DATA / "test_files/MR_small.dcm"]

        def build(count: int) -> bytes:
            directory = DicomDirectory()
            for number, path in enumerate(files[:count]):
                directory.add(read_header(path), ["IMAGES", f"IM{number}"])
            return written(directory)

        def uid(data: bytes) -> str:
            return str(pydicom.dcmread(io.BytesIO(data)).file_meta.MediaStorageSOPInstanceUID)

        self.assertEqual(build(2), build(2))
        self.assertNotEqual(uid(build(1)), uid(build(2)))
        self.assertTrue(pydicom.uid.UID(uid(build(2))).is_valid)

    def test_character_set(self) -> None:
        """Names in Japanese stay as they were encoded, with their character set."""
        directory = DicomDirectory()
        header = read_header(DATA / "charset_files/chrH32.dcm")
        directory.add(header, ["IMAGES", "IM0"])
        records = pydicom.dcmread(io.BytesIO(written(directory))).DirectoryRecordSequence
        self.assertEqual(records[0].PatientName, header.PatientName)
        self.assertEqual(records[0].SpecificCharacterSet, header.SpecificCharacterSet)

    def test_decoded_header(self) -> None:
        """Values that were already decoded, or assigned, are encoded again."""
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.SpecificCharacterSet = "ISO_IR 192"
        header.PatientName = "Łukasz^Ę"
        header.PatientID = "1"
        header.InstanceNumber = 7
        directory = DicomDirectory()
        directory.add(header, ["A"])
        records = pydicom.dcmread(io.BytesIO(written(directory))).DirectoryRecordSequence
        self.assertEqual(records[0].PatientName, "Łukasz^Ę")
        self.assertEqual(records[3].InstanceNumber, 7)

    def test_without_meta_header(self) -> None:
        """An instance without meta information is referred to by what its dataset says."""
        header = read_header(DATA / "test_files/rtstruct.dcm")
        directory = DicomDirectory()
        directory.add(header, ["A"])
        image = pydicom.dcmread(io.BytesIO(written(directory))).DirectoryRecordSequence[3]
        self.assertEqual(image.ReferencedSOPClassUIDInFile, header.SOPClassUID)
        self.assertEqual(image.ReferencedSOPInstanceUIDInFile, header.SOPInstanceUID)
        self.assertEqual(image.ReferencedTransferSyntaxUIDInFile, "1.2.840.10008.1.2")

    def test_file_id(self) -> None:
        """A path that PS3.10 does not allow is refused."""
        header = read_header(DATA / "test_files/CT_small.dcm")
        for wrong in ([], ["images"], ["IMAGES", "IM12345678"], ["A"] * 9, ["A\\B"], [""]):
            with self.assertRaises(ValueError):
                DicomDirectory().add(header, wrong)

    def test_malformed_value(self) -> None:
        """An element that cannot be read counts as absent; the rest is written."""
        data = (DATA / "test_files" / "CT_small.dcm").read_bytes()
        accession = data.index(b"\x08\x00\x50\x00SH")
        broken = data[: accession + 4] + b"S\xff" + data[accession + 6 :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(broken), stop_before_pixels=True)
            directory = DicomDirectory()
            directory.add(header, ["A"])
        records = pydicom.dcmread(io.BytesIO(written(directory))).DirectoryRecordSequence
        self.assertEqual(records[1].AccessionNumber, "")
        self.assertEqual(records[0].PatientName, "CompressedSamples^CT1")

    def test_value_too_long(self) -> None:
        """A value that no element with a short length can hold is a bad file."""
        header = Dataset()
        header.PatientID = "1"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.PatientName = "x" * 70000
        with self.assertRaises(OrthancError) as caught:
            DicomDirectory().add(header, ["A"])
        self.assertEqual(caught.exception.code, ErrorCode.BAD_FILE_FORMAT)
        self.assertIn("0010,0010", caught.exception.details or "")
