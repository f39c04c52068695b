"""The tables are pydicom's, and so are the answers; the package itself is not needed."""

from __future__ import annotations

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path

import pydicom._uid_dict
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import get_entry, tag_for_keyword
from pydicom.uid import UID
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.public_dictionary import entry, tag_of_keyword, uid_entry, uid_name

ROOT = str(Path(__file__).resolve().parents[2])
SCRIPT = """
import sys
import orthanc_tw.tap, orthanc_tw.app.server
print([name for name in ("pydicom", "numpy", "PIL", "requests", "treq") if name in sys.modules])
"""


class PublicDictionaryTests(SynchronousTestCase):
    """Compared with `pydicom.datadict` and `pydicom.uid`."""

    def test_entries(self) -> None:
        """Every element, repeating groups with each digit, and elements that are unknown."""
        tags = set(DicomDictionary)
        numbers = random.Random(1)
        for pattern in RepeatersDictionary:
            for _ in range(20):
                digits = "".join(numbers.choice("0123456789abcdef") for _ in pattern)
                mixed = (d if p == "x" else p for p, d in zip(pattern, digits, strict=True))
                tags.add(int("".join(mixed), 16))
        tags |= {numbers.randrange(1 << 32) for _ in range(2000)}
        tags |= {tag ^ 0x10000 for tag in tags}
        for tag in tags:
            try:
                expected = get_entry(tag)
            except KeyError:
                expected = None
            self.assertEqual(entry(tag), expected, hex(tag))

    def test_keywords(self) -> None:
        """Every keyword, those of repeating groups as the first group."""
        for found in DicomDictionary.values():
            if found[4]:
                self.assertEqual(tag_of_keyword(found[4]), tag_for_keyword(found[4]))
        self.assertEqual(tag_of_keyword("OverlayData"), 0x60003000)
        self.assertIsNone(tag_of_keyword("NoSuchKeyword"))

    def test_uids(self) -> None:
        """Names and types of UIDs."""
        # Afresh: pylibjpeg and pynetdicom add UIDs to the table that is in memory.
        table = runpy.run_path(pydicom._uid_dict.__file__)["UID_dictionary"]
        for uid, found in table.items():
            self.assertEqual(uid_entry(uid), tuple(found[:2]))
            self.assertEqual(uid_name(uid), UID(uid).name or uid)
        self.assertEqual((uid_entry("1.2.3"), uid_name("1.2.3")), (("", ""), "1.2.3"))


class StartTests(SynchronousTestCase):
    """What a server imports before it is asked for anything."""

    def test_large_packages(self) -> None:
        """None of those that only some requests need."""
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
        self.assertEqual(done.stdout.strip(), "[]")
