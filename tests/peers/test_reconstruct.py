"""The index is read anew from the files, by a server that was started with other options."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import pydicom

from tests.peers.process import OrthancProcess

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
EXTRA = {"Study": ["PatientWeight"], "Patient": ["PatientAge"]}


class ReconstructTests(unittest.TestCase):
    """A restart with ``ExtraMainDicomTags``."""

    def test_new_tags(self) -> None:
        """What was received before shows the new tags and is found by them, once reconstructed."""
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm"):
            status, _, body = server.request("POST", "/instances", (DATA / name).read_bytes())
            self.assertEqual(200, status)
            if name == "CT_small.dcm":
                uploaded = json.loads(body)
        server.stop()
        server.configure(ExtraMainDicomTags=EXTRA, StorageAccessOnFind="Never")
        server.start()
        study, patient = uploaded["ParentStudy"], uploaded["ParentPatient"]

        def shown() -> tuple[object, object]:
            studies = {one["ID"]: one for one in server.json("GET", "/studies?expand")}
            patients = {one["ID"]: one for one in server.json("GET", "/patients?expand")}
            return (
                studies[study]["MainDicomTags"].get("PatientWeight"),
                patients[patient]["MainDicomTags"].get("PatientAge"),
            )

        query = {"Level": "Patient", "Query": {"PatientAge": "000Y"}}
        self.assertEqual((None, None), shown())
        self.assertEqual([], server.json("POST", "/tools/find", query))
        self.assertEqual((200, b""), server.request("POST", "/tools/reconstruct")[::2])
        self.assertEqual(("0.000000", "000Y"), shown())
        self.assertIn(patient, server.json("POST", "/tools/find", query))
