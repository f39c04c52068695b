"""Navigation into files: against the recorded answers, and how values are streamed."""

from __future__ import annotations

import hashlib
import io
import re

import pydicom
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.content import ContentList, ContentValue, content
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.corpus import DATA, TOPIC_ENCODINGS, matches, with_files
from tests.dicom.files import dicom_file, element

ROUTE = re.compile(r"/instances/([^/?]*)/content(?:/([^?]*))?")


class RecordedTests(SynchronousTestCase):
    """The answers of the function are those that were recorded."""

    def test_recorded(self) -> None:
        """All recorded lists, values, absences and errors are the same."""
        compared = 0
        for topic in TOPIC_ENCODINGS:
            for exchange, present in with_files(topic):
                match = ROUTE.fullmatch(exchange["path"])
                if match and match[1] in present:
                    answer = exchange["response"]
                    with open(present[match[1]], "rb") as file:
                        self.compare(file, (match[2] or "").split("/"), answer, exchange["name"])
                    compared += 1
        self.assertEqual(compared, 78)

    def compare(self, file, path, answer, name) -> None:  # type: ignore[no-untyped-def]
        """Compare one answer."""
        if answer["status"] == 500:
            with self.assertRaises(OrthancError) as caught:
                content(file, path)
            self.assertEqual(caught.exception.http_status, 500)
            self.assertEqual(caught.exception.details, answer["json"]["Details"])
            return
        found = content(file, path)
        if answer["status"] == 404:
            self.assertIsNone(found, name)
        elif isinstance(found, ContentList):
            self.assertTrue(matches(answer, found.names), name)
        else:
            assert isinstance(found, ContentValue)
            self.assertEqual(found.content_type, answer["headers"]["content-type"])
            value = b"".join(found.chunks(8))
            self.assertEqual(len(value), found.length)
            self.assertEqual(hashlib.sha256(value).hexdigest(), answer["binary"]["sha256"], name)


class StreamTests(SynchronousTestCase):
    """Where the bytes of a value come from."""

    def value(self, name: str, *path: str) -> tuple[ContentValue, io.BytesIO]:
        """A value of a test file, and that file."""
        file = io.BytesIO((DATA / "test_files" / name).read_bytes())
        found = content(file, path)
        assert isinstance(found, ContentValue)
        return found, file

    def test_range_of_file(self) -> None:
        """Pixel data and fragments are ranges of the file."""
        for name in ("CT_small.dcm", "JPEG2000.dcm"):
            found, file = self.value(name, "7fe0-0010", "0")
            file.seek(found.offset)
            self.assertEqual(file.read(found.length), b"".join(found.chunks()))

    def test_big_endian(self) -> None:
        """Numbers of a big endian file come out in little endian, whatever the chunks."""
        found, _ = self.value("MR_small_bigendian.dcm", "7fe0-0010", "0")
        little = pydicom.dcmread(DATA / "test_files" / "MR_small.dcm").PixelData
        self.assertEqual(b"".join(found.chunks(24)), little)
        rows, _ = self.value("MR_small_bigendian.dcm", "0028-0010")
        self.assertEqual(b"".join(rows.chunks()), b"\x40\x00")

    def test_deflated(self) -> None:
        """A value of a deflated file is read from the inflated data set."""
        found, file = self.value("image_dfl.dcm", "PatientName")
        self.assertEqual(b"".join(found.chunks()), b"^^^^")
        found.document.close()
        self.assertFalse(file.closed)
        self.assertTrue(found.document.file.closed)

    def test_user_dictionary(self) -> None:
        """A path may name an element of option Dictionary."""
        dictionary = UserDictionary((DictionaryEntry(0x00149990, "DA", "MyExpiryDate"),))
        file = io.BytesIO(dicom_file(element(0x00149990, "DA", b"20200101")))
        found = content(file, ["MyExpiryDate"], dictionary)
        assert isinstance(found, ContentValue)
        self.assertEqual(b"".join(found.chunks()), b"20200101")

    def test_no_dicom(self) -> None:
        """What is no DICOM file is a bad file."""
        with self.assertRaises(OrthancError) as caught:
            content(io.BytesIO(b"nope"), [])
        self.assertEqual(caught.exception.code, ErrorCode.BAD_FILE_FORMAT)
