"""The fast scan against pydicom, over all of its test files."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.scan import MAX_VALUE_BYTES
from orthanc_tw.dicom.tags import parse_tag
from orthanc_tw.dicom.values import MAX_TEXT_BYTES
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom.corpus import dicom_files

MAIN_TAGS = MainDicomTags.from_configuration(
    {"Instance": ["Rows", "Columns", "PixelSpacing", "BitsAllocated", "PixelRepresentation"]}
)
TEXT = frozenset(vr.decode() for vr in b"AE AS CS DA DS DT IS LO LT SH ST TM UC UI UR UT".split())


def pydicom_text(raw: RawDataElement, charset: str) -> str | None:
    """Text of a raw element by pydicom alone."""
    element: Any = pydicom.dataelem.convert_raw_data_element(
        raw, encoding=pydicom.charset.convert_encodings([charset])
    )
    found = element.value
    parts = found if isinstance(found, (list, pydicom.multival.MultiValue)) else [found]
    return "\\".join("" if part is None else str(part) for part in parts)


class AgainstPydicom(SynchronousTestCase):
    def check(self, path: Path) -> int:
        """Compare one file; the number of values compared."""
        content = path.read_bytes()
        try:
            summary = read_summary(BytesIO(content), len(content), MAIN_TAGS, Encoding.LATIN1)
        except OrthancError:
            return 0
        dataset: Dataset = pydicom.dcmread(BytesIO(content), force=True)
        charset = dataset.get("SpecificCharacterSet") or "ISO_IR 100"
        count = 0
        for level in ResourceType:
            kept = summary.tags[level]
            for tag in MAIN_TAGS.tags(level):
                name = f"{tag >> 16:04x},{tag & 0xFFFF:04x}"
                if tag not in dataset:
                    self.assertNotIn(name, kept, path)
                    continue
                raw = dataset.get_item(tag)
                if not isinstance(raw, RawDataElement) or raw.VR == "SQ":
                    continue
                value = raw.value or b""
                if len(value) > MAX_TEXT_BYTES:
                    self.assertNotIn(name, kept, path)
                elif isinstance(charset, str) and raw.VR in (*TEXT, "US", "SS", "UL", "SL"):
                    if not value and raw.VR not in TEXT:
                        continue
                    expected = value.decode("latin-1") if raw.VR in TEXT else None
                    if expected is None or not value.isascii():
                        expected = pydicom_text(raw, charset)
                    assert expected is not None
                    padding = " \0"
                    self.assertEqual(
                        kept[name].strip(padding), expected.strip(padding), f"{path} {name}"
                    )
                    count += 1
        return count

    def test_main_tags(self) -> None:
        """Each main DICOM tag is there if and only if pydicom has it, with the same value."""
        count = 0
        files = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in dicom_files():
                compared = self.check(path)
                count += compared
                files += compared > 0
        self.assertGreater(files, 120)
        self.assertGreater(count, 3000)

    def test_limit(self) -> None:
        """Values that the index may keep fit into those that a scan keeps."""
        self.assertGreaterEqual(MAX_VALUE_BYTES, MAX_TEXT_BYTES * 4)
        self.assertEqual(parse_tag("Rows"), 0x00280010)
