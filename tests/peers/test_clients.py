from __future__ import annotations

import io
import json
import tempfile
import unittest
import zipfile
from pathlib import Path

import pydicom
from orthanc_api_client import OrthancApiClient
from pyorthanc import Orthanc, find_patients

from tests.peers.process import OrthancProcess

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
STUDY_UID = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
FILES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "dicomdirtests/77654033/CR1/6154"]


class ClientTests(unittest.TestCase):
    """The Python clients of Orthanc's users work with this server."""

    def setUp(self) -> None:
        self.server = OrthancProcess()
        self.addCleanup(self.server.destroy)

    def test_pyorthanc(self) -> None:
        """Pyorthanc uploads, walks from patients to instances, runs and fetches an archive job."""
        client = Orthanc(self.server.url)
        for name in FILES:
            self.assertEqual("Success", client.post_instances((DATA / name).read_bytes())["Status"])
        self.assertEqual(4, len(client.get_patients()))
        (patient,) = find_patients(client, query={"PatientID": "1CT1"})
        instance = patient.studies[0].series[0].instances[0]
        self.assertEqual((DATA / FILES[0]).read_bytes(), instance.get_dicom_file_content())
        self.assertEqual("CompressedSamples^CT1", patient.name)
        study = patient.studies[0]
        answer = client.post_studies_id_archive(study.id_, json={"Asynchronous": True})
        assert isinstance(answer, dict)
        self.assertEqual("Success", self.server.wait_for_job(answer["ID"])["State"])
        content = client.get_jobs_id_key(answer["ID"], "archive")
        self.assertEqual(1, len(zipfile.ZipFile(io.BytesIO(content)).namelist()))  # type: ignore[arg-type]
        self.assertEqual(1, len(zipfile.ZipFile(io.BytesIO(patient.get_zip())).namelist()))

    def test_orthanc_api_client(self) -> None:
        """orthanc-api-client does the same."""
        client = OrthancApiClient(self.server.url)
        self.assertTrue(client.is_alive())
        for name in FILES:
            client.upload_file(str(DATA / name))
        self.assertEqual(4, len(client.patients.get_all_ids()))
        patient_id = client.patients.lookup("1CT1")
        assert patient_id is not None
        # Not client.patients.get(...).studies: it reads an attribute that the client never sets.
        study = client.studies.get(client.studies.lookup(STUDY_UID))
        instance = study.series[0].instances[0]
        self.assertEqual("CT", instance.tags["Modality"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.dcm"
            client.instances.download_instance(instance.orthanc_id, str(path))
            self.assertEqual((DATA / FILES[0]).read_bytes(), path.read_bytes())
            target = Path(folder) / "study.zip"
            client.studies.download_archive(study.orthanc_id, str(target))
            self.assertEqual(1, len(zipfile.ZipFile(target).namelist()))
        job = client.post(
            f"/studies/{study.orthanc_id}/archive", json={"Asynchronous": True}
        ).json()
        client.jobs.get(job["ID"]).wait_completed()
        self.assertEqual("Success", json.loads(client.get(f"/jobs/{job['ID']}").text)["State"])
        client.patients.delete(patient_id)
        self.assertEqual(3, len(client.patients.get_all_ids()))
