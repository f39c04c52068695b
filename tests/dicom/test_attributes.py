"""Data sets of queries from bytes to text and back."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.attributes import Attribute, Attributes, parse_attributes
from orthanc_tw.dicom.attributes_writer import encode_attributes, encoding_for
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.model.errors import ErrorCode, OrthancError

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def written(dataset: Dataset, syntax: str) -> bytes:
    """A data set as pydicom encodes it."""
    file = DicomBytesIO()
    file.is_implicit_VR = syntax == IMPLICIT
    file.is_little_endian = syntax != BIG
    write_dataset(file, dataset)
    return file.getvalue()


def read(content: bytes, syntax: str) -> Dataset:
    """A data set as pydicom reads it."""
    return read_dataset(BytesIO(content), syntax == IMPLICIT, syntax != BIG, len(content))


class Parsing(SynchronousTestCase):
    """`parse_attributes`."""

    def test_every_syntax(self) -> None:
        """Text, numbers, sequences and empty values are read in the three syntaxes of queries."""
        dataset = Dataset()
        dataset.QueryRetrieveLevel = "STUDY"
        dataset.PatientName = "Doe^*"
        dataset.StudyInstanceUID = ["1.2.3", "4.5.66"]
        dataset.Rows = 128
        dataset.PatientID = ""
        step = Dataset()
        step.Modality = "CT"
        dataset.ScheduledProcedureStepSequence = [step]
        for syntax in (IMPLICIT, EXPLICIT, BIG):
            found = parse_attributes(written(dataset, syntax), syntax, Encoding.LATIN1)
            self.assertEqual(
                found,
                {
                    0x00080052: Attribute("CS", "STUDY"),
                    0x00100010: Attribute("PN", "Doe^*"),
                    0x00100020: Attribute("LO", ""),
                    0x0020000D: Attribute("UI", "1.2.3\\4.5.66"),
                    0x00280010: Attribute("US", "128"),
                    0x00400100: Attribute("SQ", items=({0x00080060: Attribute("CS", "CT")},)),
                },
            )

    def test_character_set(self) -> None:
        """Text is decoded by SpecificCharacterSet, else by the default encoding."""
        raw = b"\x10\x00\x10\x00PN\x06\x00M\xc3\xbcll "
        head = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192"
        found = parse_attributes(head + raw, EXPLICIT, Encoding.LATIN1)
        self.assertEqual(found[0x00100010].text, "Müll")
        found = parse_attributes(raw, EXPLICIT, Encoding.LATIN1)
        self.assertEqual(found[0x00100010].text, "MÃ¼ll")

    def test_nothing(self) -> None:
        """No bytes are a data set without elements."""
        self.assertEqual(parse_attributes(b"", IMPLICIT, Encoding.ASCII), {})

    def test_too_deep(self) -> None:
        """Sequences nested without end are refused."""
        content = (
            b"\x40\x00\x00\x01SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        ) * 9
        content = content * 1200
        error = self.assertRaises(OrthancError, parse_attributes, content, EXPLICIT, Encoding.ASCII)
        self.assertIs(error.code, ErrorCode.BAD_FILE_FORMAT)


class Writing(SynchronousTestCase):
    """`encode_attributes`."""

    def test_read_by_pydicom(self) -> None:
        """What is written is what pydicom reads, with the character set that was asked for."""
        attributes: Attributes = {
            0x0020000D: Attribute("UI", "1.2.3"),
            0x00080005: Attribute("CS", "ISO_IR 13"),
            0x00100010: Attribute("PN", "Müller^Jörg"),
            0x00280010: Attribute("US", "3\\4"),
            0x00180050: Attribute("DS", "1.5"),
            0x00400100: Attribute("SQ", items=({0x00080060: Attribute("CS", "CT")}, {})),
            0x00280009: Attribute("AT", "0018,1063"),
            0x00189087: Attribute("FD", "2.5"),
            0x00081030: Attribute("LO"),
        }
        for syntax in (IMPLICIT, EXPLICIT, BIG):
            content = encode_attributes(attributes, syntax, Encoding.LATIN1)
            dataset = read(content, syntax)
            self.assertEqual(dataset.SpecificCharacterSet, "ISO_IR 100")
            self.assertEqual(str(dataset.PatientName), "Müller^Jörg")
            self.assertEqual(dataset.StudyInstanceUID, "1.2.3")
            self.assertEqual(dataset.Rows, [3, 4])
            self.assertEqual(dataset.FrameIncrementPointer, 0x00181063)
            self.assertEqual(dataset.DiffusionBValue, 2.5)
            self.assertEqual(dataset.StudyDescription, "")
            self.assertEqual(dataset.ScheduledProcedureStepSequence[0].Modality, "CT")
            self.assertEqual(len(dataset.ScheduledProcedureStepSequence), 2)
            again = parse_attributes(content, syntax, Encoding.ASCII)
            expected = {**attributes, 0x00080005: Attribute("CS", "ISO_IR 100")}
            self.assertEqual(again, expected)

    def test_no_number(self) -> None:
        """A number that is none is written empty, not wrongly."""
        content = encode_attributes({0x00280010: Attribute("US", "many")}, EXPLICIT, Encoding.ASCII)
        self.assertEqual(content, b"\x28\x00\x10\x00US\x00\x00")

    def test_too_long_for_its_vr(self) -> None:
        """A value of 64 KiB and more is UN in explicit VR."""
        content = encode_attributes(
            {0x00104000: Attribute("LT", "x" * 70000)}, EXPLICIT, Encoding.ASCII
        )
        self.assertEqual(content[4:12], b"UN\0\0" + (70000).to_bytes(4, "little"))

    def test_compressed_syntax(self) -> None:
        """Nothing is written in a syntax that identifiers are never sent in."""
        error = self.assertRaises(
            OrthancError, encode_attributes, {}, "1.2.840.10008.1.2.4.50", Encoding.ASCII
        )
        self.assertIs(error.code, ErrorCode.INTERNAL_ERROR)


class Choice(SynchronousTestCase):
    """`encoding_for`."""

    def test_first_that_has_all(self) -> None:
        """The first encoding that has all characters is taken, items included."""
        latin: Attributes = {0x00100010: Attribute("PN", "Müller")}
        self.assertIs(encoding_for(latin, (Encoding.LATIN1, Encoding.UTF8)), Encoding.LATIN1)
        self.assertIs(encoding_for(latin, (Encoding.ASCII, Encoding.GREEK)), Encoding.UTF8)
        inner: Attributes = {
            0x00400100: Attribute("SQ", items=({0x00100010: Attribute("PN", "山")},))
        }
        self.assertIs(encoding_for(inner, (Encoding.LATIN1, Encoding.JAPANESE)), Encoding.JAPANESE)
