"""DICOM JSON: against the recorded answer, pydicom's reader and case by case."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import pydicom
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.dicom_json import CONTENT_TYPE, dicom_json
from orthanc_tw.model.errors import OrthancError
from tests.dicom.corpus import DATA, matches, with_files
from tests.dicom.files import dicom_file, element


def model(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(b"".join(dicom_json(io.BytesIO(data))))
    return value


class DicomJsonTests(SynchronousTestCase):
    """Files as ``application/dicom+json``."""

    def test_recorded(self) -> None:
        """A file asked for as DICOM JSON is as recorded."""
        compared = 0
        for exchange, present in with_files("12-tags"):
            if (exchange.get("headers") or {}).get("Accept") == CONTENT_TYPE:
                data = present[exchange["path"].split("/")[2]].read_bytes()
                self.assertTrue(matches(exchange["response"], model(data)))
                compared += 1
        self.assertEqual(compared, 1)

    def test_read_back(self) -> None:
        """Another reader finds the same values in it, whatever the transfer syntax."""
        for name in ("CT_small", "rtplan", "test-SR", "image_dfl", "MR_small_bigendian"):
            data = (DATA / "test_files" / f"{name}.dcm").read_bytes()
            expected = pydicom.dcmread(io.BytesIO(data))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = pydicom.Dataset.from_json(model(data))
            self.assertEqual(set(got.keys()), set(expected.keys()))
            for found in expected:
                if found.VR in ("OB", "OW", "UN") and name.endswith("bigendian"):
                    continue
                if found.VR != "SQ":
                    self.assertEqual(got[found.tag].value or "", found.value or "", found)
                else:
                    self.assertEqual(len(got[found.tag].value), len(found.value), found)

    def test_big_endian(self) -> None:
        """Binary numbers are in little endian, as those of the same image are."""
        big = model((DATA / "test_files" / "MR_small_bigendian.dcm").read_bytes())
        little = model((DATA / "test_files" / "MR_small.dcm").read_bytes())
        self.assertEqual(big["7FE00010"]["InlineBinary"], little["7FE00010"]["InlineBinary"])

    def test_values(self) -> None:
        """Names have groups, integers are numbers, decimals text; the empty have no value."""
        data = dicom_file(
            element(0x00080008, "CS", b"A\\\\B "),
            element(0x00100010, "PN", b"Yamada^Tarou=X "),
            element(0x00100020, "LO", b""),
            element(0x00101002, "SQ", b""),
            element(0x00180050, "DS", b"5.00"),
            element(0x00200013, "IS", b"7 "),
            element(0x00200011, "IS", b"x "),
            element(0x00204000, "LT", b"a\\b "),
            element(0x00280009, "AT", b"\x04\x30\x0c\x00"),
        )
        self.assertEqual(
            model(data),
            {
                "00080008": {"vr": "CS", "Value": ["A", "", "B"]},
                "00100010": {
                    "vr": "PN",
                    "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "X"}],
                },
                "00100020": {"vr": "LO"},
                "00101002": {"vr": "SQ"},
                "00180050": {"vr": "DS", "Value": ["5.00"]},
                "00200013": {"vr": "IS", "Value": [7]},
                "00200011": {"vr": "IS", "Value": ["x"]},
                "00204000": {"vr": "LT", "Value": ["a\\b"]},
                "00280009": {"vr": "AT", "Value": ["3004000C"]},
            },
        )

    def test_encapsulated(self) -> None:
        """Compressed pixel data is left out."""
        self.assertNotIn("7FE00010", model((DATA / "test_files/JPEG2000.dcm").read_bytes()))

    def test_pieces(self) -> None:
        """No piece is larger than a chunk in base64; errors come before the first one."""
        data = dicom_file(element(0x7FE00010, "OB", bytes(1_000_000)))
        pieces = list(dicom_json(io.BytesIO(data)))
        self.assertLessEqual(max(map(len, pieces)), 64 * 1024)
        with self.assertRaises(OrthancError):
            dicom_json(io.BytesIO(b"nope"))
