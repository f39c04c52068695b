"""Queries, retrievals and storage commitment, asked by Orthanc."""

from __future__ import annotations

import unittest
from typing import Any

from pydicom import dcmread

from tests.peers.dicom_peers import (
    ORTHANC,
    TEST_FILES,
    ReferenceOrthanc,
    get_json,
    stored_instances,
    upload,
    wait_until,
)
from tests.peers.query_retrieve import UNLOVED, Case


@unittest.skipUnless(ORTHANC, "peer missing: Orthanc")
class OrthancTests(Case):
    """Orthanc itself as SCU: its REST API drives queries, retrievals, storage commitment."""

    def setUp(self) -> None:
        """Start it; it is the modality "sink" of the server."""
        super().setUp()
        ours = {"ours": ["OURS", "127.0.0.1", self.port]}
        self.orthanc = ReferenceOrthanc("SINK", self.sink_port, ours)
        self.addCleanup(self.orthanc.destroy)
        self.url = f"{self.orthanc.url}/modalities/ours"

    def test_query_retrieve(self) -> None:
        """All studies are found and retrieved by C-MOVE."""
        query = get_json(f"{self.url}/query", {"Level": "Study", "Query": {"PatientID": ""}})
        answers = get_json(f"{self.orthanc.url}{query['Path']}/answers")
        self.assertEqual(len(answers), len(get_json(f"{self.server.url}/studies")))
        get_json(
            f"{self.orthanc.url}{query['Path']}/retrieve",
            {"TargetAet": "SINK", "Synchronous": True, "Permissive": True},
        )
        # It writes data sets anew when it receives them: their bytes are its own.
        arrived = sorted(i.sop_instance_uid for i in stored_instances(self.orthanc.url))
        expected = sorted(
            i.sop_instance_uid
            for i in self.instances
            # Orthanc 1.10.1 takes this one over HTTP, and answers C-STORE with 0xC000.
            if (i.sop_instance_uid, i.transfer_syntax) != UNLOVED
        )
        self.assertEqual(arrived, expected)

    def test_storage_commitment(self) -> None:
        """A study that was sent is committed; one that was not is not."""
        path = TEST_FILES / "CT_small.dcm"
        other = dcmread(path)
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        changed = self.folder / "changed.dcm"
        other.save_as(changed)
        for content, status in ((path, "Success"), (changed, "Failure")):
            public_id = upload(self.orthanc.url, content.read_bytes())["ID"]
            asked = get_json(f"{self.url}/storage-commitment", {"Resources": [public_id]})
            report = wait_until(
                lambda path=asked["Path"]: _ended(get_json(f"{self.orthanc.url}{path}"))
            )
            self.assertEqual(report["Status"], status)


def _ended(report: Any) -> Any:
    return report if report["Status"] != "Pending" else None
