"""Anonymized files against ``dciodvfy`` of dicom3tools; skipped where it is not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import unittest

from tests.dicom.modification.support import all_files, modification, run

_DCIODVFY = shutil.which("dciodvfy")
_UID = re.compile(r"(?<=UID )[\d.]+|\d+\.[\d.]{9,}")
# These have other errors instead: dciodvfy gives up where the file is cut off, and sees the
# whole of what we close properly
_CUT_OFF = frozenset(("MR_truncated.dcm", "rtplan_truncated.dcm"))
# What Orthanc's anonymization takes away, as recorded (topics 25)
_AS_ORTHANC = {
    "rtplan.dcm": {"RTPlanLabel", "OperatorsName", "RTPlanDate", "RTPlanTime",
                   "TreatmentMachineName"},
    "rtstruct.dcm": {"StructureSetLabel", "OperatorsName"},
    "test-SR.dcm": {"ContentDate", "ContentTime", "ContentSequence", "VerifyingObserverSequence",
                    "ReferencedPerformedProcedureStepSequence"},
}  # fmt: skip


def errors(data: bytes) -> set[str]:
    """Lines of dciodvfy that tell errors, without the UIDs in them."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        ended = subprocess.run(
            [str(_DCIODVFY), file.name], capture_output=True, timeout=60, check=False
        )
    lines = (ended.stdout + ended.stderr).decode("latin-1").splitlines()
    return {_UID.sub("UID", line) for line in lines if line.startswith("Error")}


@unittest.skipIf(_DCIODVFY is None, "dciodvfy (dicom3tools) is not installed")
class DciodvfyTests(unittest.TestCase):
    """All files of pydicom's test data."""

    def new_errors(self, *, conformant: bool | None) -> dict[str, set[str]]:
        """Errors of anonymized files that their sources did not have, by the files' names."""
        body = {} if conformant is None else {"Conformant": conformant}
        plan = modification(body, anonymize=True).named("Anonymized1")
        found: dict[str, set[str]] = {}
        seen: set[bytes] = set()
        for name, data in all_files():
            if name in _CUT_OFF or data in seen:
                continue
            seen.add(data)
            after = errors(run(plan, data)[1])
            new = after - errors(data) if after else after
            if new:
                found[name] = new
        self.assertGreater(len(seen), 150)
        return found

    def test_default(self) -> None:
        """No new errors, but for attributes that Orthanc takes from three files."""
        found = self.new_errors(conformant=None)
        self.assertEqual(set(_AS_ORTHANC), set(found), found)
        for name, lines in found.items():
            attributes = {
                match[1] for line in lines if (match := re.search(r"Element=<(\w+)>", line))
            }
            self.assertEqual(_AS_ORTHANC[name], attributes, lines)

    def test_conformant(self) -> None:
        """No new errors at all."""
        self.assertEqual({}, self.new_errors(conformant=True))
