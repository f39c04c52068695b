"""Every public function of pyorthanc, one by one, against this server."""

from __future__ import annotations

import inspect
import io
import json
import re
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pyorthanc
from pyorthanc import Orthanc
from pyorthanc._orthanc_sdk_enums import ErrorCode
from twisted.trial.unittest import TestCase

from tests.peers.process import OrthancProcess
from tests.ports import free_port

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "dicomdirtests/77654033/CR1/6154"]
STUDY_UID = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
SERIES_UID = "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322"
CREATION = {"Tags": {"PatientID": "new"}, "Content": "data:application/pdf;base64,JVBERi0xLjQK"}
# Functions that cannot succeed, with any server: the status they get.
FAULTY = {
    "post_tools_invalid_ate_tags": 404,  # it asks for /tools/invalid_ate-tags
    "get_tools_generate_uid": 404,  # it asks for /tools/generate-uid_
    "put_patients_id_protected": 400,  # it has no way to send the flag
    "post_tools_execute_script": 403,  # Lua is not run
    "post_instances_id_export": 403,  # it cannot send the path
    "post_jobs_id_resume": 400,  # the job has succeeded already
    "post_jobs_id_resubmit": 400,
    "post_modalities_id_find_worklist": 500,  # the server has no worklists
}
# They take resources away, or leave others behind.
CHANGING = re.compile(
    "delete_(patients|studies|series|instances)_id|post_storage_commitment_id_remove"
    "|.*_(merge|split|modify|anonymize)"
)
LAST = ("post_tools_reset", "post_tools_shutdown")
LEVELS = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
TEXT_BODIES = {
    "post_tools_lookup": "1CT1",
    "put_tools_default_encoding": "Utf8",
    "put_tools_accepted_transfer_syntaxes": '["1.2.840.10008.1.*"]',
    "put_tools_unknown_sop_class_accepted": "1",
    "put_tools_metrics": "1",
}


class PyOrthancTests(TestCase):
    """One server for each test."""

    timeout = 300

    def setUp(self) -> None:
        port = free_port()
        self.server = OrthancProcess(
            StableAge=3600,
            DicomServerEnabled=True,
            DicomPort=port,
            DicomAlwaysAllowGet=True,
            DicomAlwaysAllowMove=True,
            DicomModalitiesInDatabase=True,
        )
        self.modality = {"AET": "ORTHANC", "Host": "127.0.0.1", "Port": port}
        body = json.dumps(self.modality).encode()
        self.server.request("PUT", "/modalities/self", body)
        self.addCleanup(self.server.destroy)
        self.client = Orthanc(self.server.url)
        self.addCleanup(self.client.close)
        self.status = 0
        self.client.event_hooks = {"response": [self._responded]}
        for name in FILES:
            self.client.post_instances((DATA / name).read_bytes())
        self.ids = {level: self.client._get(f"{self.server.url}/{level}") for level in LEVELS}
        study = self.server.json(
            "POST", "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY_UID}}
        )[0]
        self.study = study

    def _responded(self, response: httpx.Response) -> None:
        self.status = response.status_code

    def arguments(self, name: str) -> dict[str, Any]:
        """Something sensible for the parameters of a function."""
        found: dict[str, Any] = {}
        level = next((one for one in LEVELS if f"_{one}_id" in name), None)
        for parameter in list(inspect.signature(getattr(Orthanc, name)).parameters)[1:]:
            if parameter == "id_" and level is not None:
                found["id_"] = self.ids[level][0]
            elif parameter == "id_" and "_peers_" in name:
                found["id_"] = "me"
            elif parameter == "id_" and "_modalities_" in name:
                found["id_"] = "self"
            elif parameter == "id_" and "_queries_" in name:
                found["id_"] = self.new_query(name)
            elif parameter == "id_" and "_storage_commitment_" in name:
                found["id_"] = self.new_commitment()
            elif parameter in ("index", "frame"):
                found[parameter] = "0"
            elif parameter == "id_":
                found["id_"] = self.job_id if "_jobs_" in name else "explorer.js"
            elif parameter == "name":
                found["name"] = "1024"
            elif parameter in ("label", "path", "key"):
                values = {"label": "seen", "path": "0008-0018", "key": "archive"}
                found[parameter] = values[parameter]
            elif parameter == "json":
                found["json"] = self.json_body(name)
            elif parameter == "data":
                found["data"] = TEXT_BODIES.get(name, "default" if "log_level" in name else "text")
            elif parameter == "content":
                found["content"] = b"content"
        if name == "get_instances_id_pdf":
            created = self.server.json("POST", "/tools/create-dicom", CREATION)
            found["id_"] = created["ID"]
        if name == "post_instances" or name.endswith("_store_straight"):
            found["content"] = (DATA / FILES[0]).read_bytes()
        if name.endswith(("s_id_store", "_retrieve")):
            del found["data"]  # it would be the body instead of the JSON
        if name.startswith("get_tools_create_"):
            found["params"] = {"resources": self.study}
        if name == "get_tools_generate_uid":
            found["params"] = {"level": "study"}
        return found

    def json_body(self, name: str) -> dict[str, Any]:
        """The body of a function."""
        if name in ("post_tools_find", "post_tools_count_resources"):
            return {"Level": "Study", "Query": {"PatientID": "1CT1"}}
        if name == "post_tools_create_dicom":
            return CREATION
        if name == "post_tools_bulk_delete":
            return {"Resources": ["nope"]}
        if name == "put_peers_id":
            return {"Url": self.server.url}
        if name == "post_peers_id_store":
            return {"Resources": [self.study]}
        if name.startswith(("post_tools_create_", "post_tools_bulk_")):
            return {"Resources": [self.study]}
        if name in ("put_modalities_id", "post_tools_dicom_echo"):
            return self.modality
        if name.endswith(("_store", "_storage_commitment")):
            return {"Resources": [self.study]}
        if name.endswith(("_id_move", "_id_get")):
            return {"Level": "Study", "Resources": [{"StudyInstanceUID": STUDY_UID}]}
        if name == "post_modalities_id_query":
            return {"Level": "Study", "Query": {"PatientID": "1CT1"}}
        if "_modalities_id_find" in name:
            return {
                "PatientID": "1CT1",
                "StudyInstanceUID": STUDY_UID,
                "SeriesInstanceUID": SERIES_UID,
            }
        if name.endswith(("_modify", "_split")):
            # Not of the patient, who may have other studies: which comes first is chance.
            body: dict[str, Any] = {"Replace": {"StudyDescription": "New"}}
            if name == "post_patients_id_modify":
                body = {"Replace": {"PatientID": "New"}, "Force": True}
            if name.endswith("_split"):
                body["Series"] = self.server.json("GET", f"/studies/{self.ids['studies'][0]}")[
                    "Series"
                ]
            return body
        if name.endswith("_merge"):
            return {"Resources": [self.ids["studies"][1]], "KeepSource": True}
        return {}

    def new_query(self, name: str) -> str:
        """A query with an answer that has something below."""
        level = "Patient" if name.endswith("_query_studies") else "Study"
        level = "Series" if name.endswith("_query_instances") else level
        body = {"Level": level, "Query": {"PatientID": "1CT1"}}
        return str(self.server.json("POST", "/modalities/self/query", body)["ID"])

    def new_commitment(self) -> str:
        """A storage commitment that was reported."""
        path = "/modalities/self/storage-commitment"
        uid = str(self.server.json("POST", path, {"Resources": [self.study]})["ID"])
        while self.server.json("GET", f"/storage-commitment/{uid}")["Status"] == "Pending":
            time.sleep(0.02)
        return uid

    def new_job(self) -> str:
        """A job that has ended, with its archive."""
        body = {"Asynchronous": True}
        job = str(self.server.json("POST", f"/studies/{self.study}/archive", body)["ID"])
        self.server.wait_for_job(job)
        return job

    def test_functions(self) -> None:
        """Each function that stands for a route succeeds."""
        functions = sorted(set(dir(Orthanc)) - set(dir(httpx.Client)))
        functions = [name for name in functions if re.match("(get|post|put|delete)_", name)]
        self.assertGreater(len(functions), 290)
        order = {"put": 0, "post": 1, "get": 2, "delete": 3}
        functions.sort(key=lambda name: order[name.split("_")[0]])
        functions.sort(key=lambda name: bool(CHANGING.fullmatch(name)))
        # Whole resources go last, and the largest of them at the end.
        functions.sort(key=lambda name: bool(re.fullmatch("delete_[a-z]+(_id)?", name)))
        functions.sort(key="delete_modalities_id".__eq__)
        self.job_id = ""
        failed = {}
        called = 0
        for name in functions:
            if name in LAST:
                continue
            called += 1
            if "_jobs_" in name:
                self.job_id = self.new_job()
            if CHANGING.fullmatch(name):
                self.client.post_instances((DATA / FILES[0]).read_bytes())
                for level in LEVELS:
                    self.ids[level] = self.server.json("GET", f"/{level}")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    getattr(self.client, name)(**self.arguments(name))
                status = 200
            except httpx.HTTPError:
                status = self.status
            if status != FAULTY.get(name, 200):
                failed[name] = status
        self.assertEqual(failed, {}, failed)
        self.assertGreater(called, 190)

    def test_reset_and_shutdown(self) -> None:
        """The server restarts, and ends."""
        self.client.post_tools_reset()
        self.server.wait()
        self.assertEqual(self.server.json("GET", "/statistics")["CountInstances"], len(FILES))
        self.client.post_tools_shutdown()
        self.assertEqual(self.server.ended(), 0)

    def test_find(self) -> None:
        """Searches and filters of whole trees."""
        (patient,) = pyorthanc.find_patients(self.client, {"PatientID": "1CT1"})
        self.assertEqual(patient.patient_id, "1CT1")
        (study,) = pyorthanc.find_studies(self.client, {"StudyInstanceUID": STUDY_UID})
        self.assertEqual(study.uid, STUDY_UID)
        series = pyorthanc.find_series(self.client, {"Modality": "CT"})
        self.assertEqual([one.modality for one in series], ["CT"])
        self.assertEqual(len(pyorthanc.find_instances(self.client)), len(FILES))
        found = pyorthanc.query_orthanc(self.client, "Study", {"PatientID": "1CT1"})
        self.assertEqual(len(found), 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trees = pyorthanc.find(
                self.client, series_filter=lambda series: series.modality == "MR"
            )
        self.assertEqual(len(pyorthanc.trim_patients(trees)), 1)

    def test_upload(self) -> None:
        """Files, folders, data sets."""
        self.server.json("POST", "/tools/find", {"Level": "Study", "Query": {}})
        path = DATA / FILES[0]
        (instance,) = pyorthanc.upload(self.client, path)
        self.assertEqual(instance.get_dicom_file_content(), path.read_bytes())
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x.dcm").write_bytes(path.read_bytes())
            pyorthanc.upload(self.client, folder, recursive=True, check_before_upload=True)
        dataset = pydicom.dcmread(path)
        self.assertEqual(pyorthanc.util.to_orthanc_instance_id_from_ds(dataset), instance.id_)
        pyorthanc.upload(self.client, dataset)

    def test_resources(self) -> None:
        """Properties and methods of patients, studies, series and instances."""
        (patient,) = pyorthanc.find_patients(self.client, {"PatientID": "1CT1"})
        study = patient.studies[0]
        series = study.series[0]
        instance = series.instances[0]
        missing = []
        for resource in (patient, study, series, instance):
            for name, kind in inspect.getmembers(type(resource)):
                if isinstance(kind, property) and not name.startswith("_"):
                    try:
                        getattr(resource, name)
                    except pyorthanc.errors.TagDoesNotExistError:
                        pass  # the file has no such tag
                    except Exception as error:
                        missing.append(f"{type(resource).__name__}.{name}: {error!r}")
            resource.add_label("seen")
            self.assertEqual(resource.labels, ["seen"])
            resource.remove_label("seen")
            self.assertEqual(resource.labels, [])
            resource.get_main_information()
            target = io.BytesIO()
            resource.download(target)
            self.assertTrue(target.getvalue())
        self.assertEqual(missing, [])
        for resource in (patient, study, series):
            self.assertEqual(len(zipfile.ZipFile(io.BytesIO(resource.get_zip())).namelist()), 1)
            resource.get_shared_tags()
        self.assertIn("0010,0010", patient.get_patient_module())
        self.assertEqual(instance.get_content_by_tag("0020-0013").strip(), "1")
        self.assertEqual(instance.get_pydicom().PatientID, "1CT1")
        study.remove_empty_series()
        series.remove_empty_instances()
        patient.remove_empty_studies()
        patient.protected = True
        self.assertTrue(patient.protected)
        patient.protected = False
        self.assertFalse(patient.protected)

    def test_retrieve(self) -> None:
        """Files on the disk of the client."""
        patients = pyorthanc.find_patients(self.client, {"PatientID": "1CT1"})
        with tempfile.TemporaryDirectory() as folder:
            pyorthanc.retrieve_and_write_patients(patients, folder)
            (file,) = [path for path in Path(folder).rglob("*") if path.is_file()]
            self.assertEqual(file.read_bytes(), (DATA / FILES[0]).read_bytes())

    def test_job(self) -> None:
        """What the client knows of a job."""
        job = pyorthanc.Job(self.new_job(), self.client)
        job.wait_until_completion()
        self.assertEqual((job.type, job.progress, job.error), ("Archive", 100, ErrorCode.SUCCESS))
        for name in ("state", "content", "priority", "creation_time", "completion_time"):
            self.assertIsNotNone(getattr(job, name), name)
        for name in ("timestamp", "effective_runtime", "error_details"):
            self.assertIsNotNone(getattr(job, name), name)
        self.assertEqual(job.get_information()["Type"], "Archive")
