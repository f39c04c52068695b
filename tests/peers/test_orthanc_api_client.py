"""Every public function of orthanc-api-client, one by one, against this server.

A ledger notes what was called; in the end nothing may be missing from it but what waits.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orthanc_api_client as api
import pydicom
from orthanc_api_client import ChangeType, InstancesSet, LogLevel, OrthancApiClient
from PIL import Image
from twisted.trial.unittest import TestCase

from tests.peers.process import OrthancProcess
from tests.ports import free_port

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
CT = DATA / "CT_small.dcm"
MR = DATA / "MR_small.dcm"
UIDS = {
    "patients": "1CT1",
    "studies": "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
    "series": "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322",
    "instances": "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
}
GROUPS = ("patients", "studies", "series", "instances", "jobs", "modalities", "peers")
# What cannot be asked of this server, or of any.
LEFT_OUT = {
    "client.upload_files_dicom_web": "DICOMweb is a plugin",
    "client.is_plugin_version_at_least": "there are no plugins to ask for",
    "instances.download_archive": "instances have no archive, in Orthanc either",
    "instances.download_media": "nor media",
    "patients.print_daily_stats": "it raises NotImplementedError",
}
# What jobs inherit of resources, and have not.
OF_RESOURCES = re.compile(
    r"jobs\.(.*label.*|.*attachment.*|.*metadata.*|download_\w+|get_json_statistics|exists|"
    r"print_daily_stats|.*_bulk.*|lookup)"
)


class ApiClientTests(TestCase):
    """One server, one client, whose calls are noted."""

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
        self.addCleanup(self.server.destroy)
        self.client = OrthancApiClient(self.server.url)
        self.addCleanup(self.client.close)
        self.called: set[str] = set()
        self.folder = Path(tempfile.mkdtemp(dir=self.server.folder))
        self.note("client", self.client)
        for group in GROUPS:
            self.note(group, getattr(self.client, group))

    def note(self, group: str, target: Any) -> None:
        """Note which functions of an object are called."""
        for name, _ in inspect.getmembers(type(target), inspect.isfunction):
            if not name.startswith("_"):
                setattr(target, name, self.noted(f"{group}.{name}", getattr(target, name)))

    def noted(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a note."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.called.add(label)
            return function(*args, **kwargs)

        return call

    def test_all(self) -> None:
        """All that is public is called and does what it says."""
        self.check_uploads()
        self.check_server()
        ids = {group: getattr(self.client, group).lookup(UIDS[group]) for group in UIDS}
        for group, public_id in ids.items():
            self.check_resource(group, public_id)
        self.check_family(ids)
        self.check_finding(ids)
        self.check_files(ids)
        self.check_instances_set(ids["studies"])
        self.check_modification(ids)
        self.check_modalities(ids)
        self.check_jobs(ids["studies"])
        self.check_creation(ids["studies"])
        self.check_peers(ids["studies"])
        self.check_deletions(ids)
        public = {
            f"{group}.{name}"
            for group, target in [
                ("client", OrthancApiClient),
                *((group, type(getattr(self.client, group))) for group in GROUPS),
            ]
            for name, _ in inspect.getmembers(target, inspect.isfunction)
            if not name.startswith("_")
        }
        missing = {
            name
            for name in public - self.called - set(LEFT_OUT)
            if not OF_RESOURCES.fullmatch(name)
        }
        self.assertEqual(missing, set())

    def check_uploads(self) -> None:
        """Files, folders, archives; what is no DICOM raises, or is passed over."""
        client = self.client
        self.assertTrue(client.wait_started(5))
        self.assertTrue(client.is_alive())
        (first,) = client.upload_file(str(CT))
        self.assertEqual(client.upload(CT.read_bytes()), [first])
        with self.assertRaises(api.BadFileFormat):
            client.upload(b"no DICOM")
        self.assertEqual(client.upload(b"no DICOM", ignore_errors=True), [])
        folder = self.folder / "upload"
        folder.mkdir()
        (folder / "ct.dcm").write_bytes(CT.read_bytes())
        with zipfile.ZipFile(folder / "mr.zip", "w") as archive:
            archive.write(MR, "mr.dcm")
        self.assertEqual(len(client.upload_folder(str(folder))), 2)
        instances, studies, failed = client.upload_folder_return_details(str(folder))
        self.assertEqual((len(instances), len(studies), len(failed)), (2, 2, 0))

    def check_server(self) -> None:
        """The server as a whole."""
        client = self.client
        self.assertTrue(client.is_orthanc_version_at_least(1, 13))
        self.assertFalse(client.has_loaded_plugin("dicom-web"))
        self.assertEqual(client.get_system()["DicomAet"], "ORTHANC")
        self.assertEqual(client.get_statistics().instances_count, 2)
        self.assertEqual(float(client.get_metrics().get("orthanc_count_instances") or 0), 2)
        self.assertEqual(client.get_all_labels(), [])
        for name in ("has_extended_find", "has_extended_changes", "has_label_support"):
            self.assertTrue(getattr(client.capabilities, name), name)
        self.assertFalse(client.capabilities.has_revision_support)
        client.set_log_level(LogLevel.VERBOSE)
        self.assertEqual(client.get_log_level(), LogLevel.VERBOSE)
        client.set_log_level(LogLevel.DEFAULT)
        with self.assertRaises(api.Forbidden):
            client.execute_lua_script(b"print(1)")
        changes, last, done = client.get_changes(since=0, limit=3)
        self.assertEqual(([one.sequence_id for one in changes], last, done), ([1, 2, 3], 3, False))
        self.assertEqual(changes[0].change_type, ChangeType.NEW_INSTANCE)
        self.assertEqual(len(client.lookup(UIDS["studies"])), 1)
        self.assertEqual(client.lookup(UIDS["studies"], "Patient"), [])
        self.assertEqual(client.get_abs_url("system"), f"{self.server.url}/system")
        self.assertEqual(client.get_json("patients"), client.get("patients").json())
        self.assertEqual(client.get_binary("tools/now")[:2], b"20")

    def check_resource(self, group: str, public_id: str) -> None:
        """What resources of all levels have: labels, metadata, attachments, statistics."""
        resources = getattr(self.client, group)
        self.assertTrue(resources.exists(public_id))
        self.assertFalse(resources.exists("nope"))
        self.assertEqual(len(resources.get_all_ids()), 2)
        self.assertEqual(resources.get_json(public_id)["ID"], public_id)
        self.assertGreater(int(resources.get_json_statistics(public_id)["DiskSize"]), 0)
        self.assertEqual(resources.get(public_id).orthanc_id, public_id)
        if group != "patients":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                today = datetime.date.today()
                resources.print_daily_stats(today, today)
            self.assertIn("Daily", printed.getvalue())
        resources.add_label(public_id, "a")
        resources.add_labels(public_id, ["b", "c"])
        self.assertEqual(resources.get_labels(public_id), ["a", "b", "c"])
        resources.delete_label(public_id, "a")
        resources.delete_labels(public_id, ["b", "c"])
        self.assertEqual(resources.get_labels(public_id), [])
        self.assertFalse(resources.has_metadata(public_id, "1024"))
        self.assertEqual(resources.get_string_metadata(public_id, "1024", "none"), "none")
        resources.set_string_metadata(public_id, "1024", "text")
        self.assertEqual(resources.get_string_metadata(public_id, "1024"), "text")
        value, revision = resources.get_string_metadata_with_revision(public_id, "1024")
        resources.set_binary_metadata(public_id, "1024", b"bytes", match_revision=revision)
        self.assertEqual(resources.get_binary_metadata(public_id, "1024"), b"bytes")
        value, _ = resources.get_binary_metadata_with_revision(public_id, "1024")
        self.assertEqual(value, b"bytes")
        resources.set_attachment(public_id, "1025", "content")
        self.assertEqual(resources.get_attachment(public_id, "1025"), b"content")
        _, revision = resources.get_attachment_with_revision(public_id, "1025")
        resources.set_attachment(public_id, "1025", path=str(CT), match_revision=revision)
        target = self.folder / "attachment"
        resources.download_attachment(public_id, "1025", str(target))
        self.assertEqual(target.read_bytes(), CT.read_bytes())

    def check_creation(self, study: str) -> None:
        """Documents and images become instances, and documents come back."""
        client = self.client
        document, target = self.folder / "a.pdf", self.folder / "b.pdf"
        document.write_bytes(b"%PDF-1.4\n")
        attached = client.studies.attach_pdf(study, str(document), "a letter")
        self.assertEqual(client.studies.get_pdf_instances(study), [attached])
        client.instances.download_pdf(attached, str(target))
        self.assertEqual(target.read_bytes(), document.read_bytes())
        created = [client.create_pdf(str(document), {"PatientID": "new"})]
        image = Image.new("RGB", (8, 8))
        for name in ("png", "jpeg"):
            path = self.folder / f"image.{name}"
            image.save(path)
            create = getattr(client, f"create_instance_from_{name}")
            created.append(create(str(path), {"PatientID": "new"}))
        for instance in (attached, *created):
            client.instances.delete(instance)

    def check_family(self, ids: dict[str, str]) -> None:
        """Parents, children, tags."""
        client = self.client
        patient, study = ids["patients"], ids["studies"]
        series, instance = ids["series"], ids["instances"]
        self.assertEqual(client.patients.get_studies_ids(patient), [study])
        self.assertEqual(client.studies.get_parent_patient_id(study), patient)
        self.assertEqual(client.series.get_parent_study_id(series), study)
        self.assertEqual(client.series.get_parent_patient_id(series), patient)
        self.assertEqual(client.instances.get_parent_series_id(instance), series)
        self.assertEqual(client.instances.get_parent_study_id(instance), study)
        self.assertEqual(client.instances.get_parent_patient_id(instance), patient)
        for group in ("patients", "studies"):
            resources = getattr(client, group)
            self.assertEqual(resources.get_series_ids(ids[group]), [series])
            self.assertEqual(set(resources.get_modalities(ids[group])), {"CT"})
            self.assertEqual(
                resources.get_first_instance_tags(ids[group])["PatientID"], UIDS["patients"]
            )
        for group in ("patients", "studies", "series"):
            resources = getattr(client, group)
            self.assertEqual(resources.get_instances_ids(ids[group]), [instance])
            self.assertEqual(resources.get_first_instance_id(ids[group]), instance)
        for group in UIDS:
            tags = getattr(client, group).get_tags(ids[group])
            self.assertEqual(tags["0010,0020"], UIDS["patients"])
        self.assertEqual(
            [one.orthanc_id for one in client.studies.get_instances(study)], [instance]
        )
        self.assertEqual(client.series.get_ordered_instances_ids(series), [instance])
        self.assertEqual(client.series.get_middle_instance_id(series), instance)
        self.assertIn("ReceptionDate", client.instances.get_metadata(instance))
        self.assertFalse(client.instances.is_pdf(instance))
        self.assertEqual(client.studies.get(study).dicom_id, UIDS["studies"])
        self.assertEqual(client.series.get(series).study.orthanc_id, study)
        self.assertEqual(client.instances.get(instance).series.orthanc_id, series)

    def check_finding(self, ids: dict[str, str]) -> None:
        """Searches at the levels that have them."""
        client = self.client
        (patient,) = client.patients.find({"PatientID": UIDS["patients"]})
        self.assertEqual(patient.orthanc_id, ids["patients"])
        order = [{"Type": "DicomTag", "Key": "StudyDate", "Direction": "ASC"}]
        found = client.studies.find(
            {"PatientID": "*"}, limit=1, since=0, order_by=order, requested_tags=["Modality"]
        )
        self.assertEqual(len(found), 1)

    def check_files(self, ids: dict[str, str]) -> None:
        """Downloads."""
        client = self.client
        self.assertEqual(client.instances.get_file(ids["instances"]), CT.read_bytes())
        target = self.folder / "x.dcm"
        client.instances.download_instance(ids["instances"], str(target))
        self.assertEqual(target.read_bytes(), CT.read_bytes())
        (one,) = client.instances.download_instances([ids["instances"]], str(self.folder))
        self.assertEqual(Path(one.path).read_bytes(), CT.read_bytes())
        preview = client.series.get_preview_file(ids["series"])
        self.assertTrue(preview.startswith(b"\x89PNG"))
        for group in ("patients", "studies", "series"):
            resources = getattr(client, group)
            (one,) = resources.download_instances(ids[group], str(self.folder))
            self.assertEqual(Path(one.path).read_bytes(), CT.read_bytes())
            for name in ("archive", "media"):
                path = self.folder / f"{group}.zip"
                getattr(resources, f"download_{name}")(ids[group], str(path))
                self.assertTrue(zipfile.ZipFile(path).namelist(), name)

    def check_instances_set(self, study: str) -> None:
        """Sets of instances: filtered, processed, downloaded."""
        client = self.client
        chosen = InstancesSet.from_study(client, study_id=study)
        (instance,) = chosen.instances_ids
        (series,) = chosen.series_ids
        for other in (
            InstancesSet.from_series(client, series_id=series),
            InstancesSet.from_instance(client, instance_id=instance),
        ):
            self.assertEqual(other.instances_ids, [instance])
        self.assertEqual(chosen.get_instances_ids(series), [instance])
        seen: list[str] = []
        chosen.process_instances(lambda _, one: seen.append(one))
        self.assertEqual(seen, [instance])
        for name in ("archive", "media"):
            path = self.folder / f"set-{name}.zip"
            getattr(chosen, f"download_{name}")(str(path))
            self.assertTrue(zipfile.ZipFile(path).namelist())
        removed = chosen.filter_instances(lambda _, one: False)
        self.assertEqual((chosen.instances_ids, removed.instances_ids), ([], [instance]))

    def check_modification(self, ids: dict[str, str]) -> None:
        """Modified and anonymized resources of each level; what was made goes again."""
        client = self.client
        new = {"StudyDescription": "new"}
        file = client.instances.modify(ids["instances"], replace_tags={"PatientName": "X"})
        self.assertEqual(pydicom.dcmread(io.BytesIO(file)).PatientName, "X")
        before = set(client.instances.get_all_ids())
        for group in ("series", "studies", "patients"):
            resources = getattr(client, group)
            replaced = {"PatientID": f"new {group}"} if group == "patients" else dict(new)
            made = [
                resources.modify(ids[group], replaced, delete_original=False, force=True),
                resources.anonymize(ids[group], delete_original=False),
            ]
            for public_id in made:
                self.assertTrue(resources.exists(public_id), group)
                resources.delete(public_id)
        for name in ("modify", "anonymize"):
            bulk = getattr(client.studies, f"{name}_bulk")
            _, _, studies, patients = bulk(
                [ids["studies"]], replace_tags=new, delete_original=False
            )
            self.assertEqual((len(studies), len(patients)), (1, 1))
            client.studies.delete(studies[0])
            job = getattr(client.studies, f"{name}_bulk_async")(
                [ids["studies"]], replace_tags=new, delete_original=False
            )
            job.wait_completed()
            (made_id,) = [one["ID"] for one in job.content["Resources"] if one["Type"] == "Study"]
            for group in ("instances", "series", "patients"):
                other = getattr(getattr(client, group), f"{name}_bulk")([])
                self.assertEqual(other, ([], [], [], []))
                getattr(getattr(client, group), f"{name}_bulk_async")([]).wait_completed()
            client.studies.delete(made_id)
        chosen = InstancesSet.from_study(client, study_id=ids["studies"])
        modified = chosen.modify(replace_tags={"InstanceNumber": "9"}, keep_source=True)
        assert modified is not None
        modified.delete()
        other_series = client.series.lookup(str(pydicom.dcmread(MR).SeriesInstanceUID))
        client.studies.merge(ids["studies"], other_series, keep_source=True)
        self.assertEqual(len(client.studies.get_series_ids(ids["studies"])), 2)
        for one in set(client.instances.get_all_ids()) - before:
            client.instances.delete(one)
        self.assertEqual(set(client.instances.get_all_ids()), before)

    def check_modalities(self, ids: dict[str, str]) -> None:
        """The server asks itself, sends to itself and retrieves from itself."""
        modalities = self.client.modalities
        modalities.configure("self", self.modality)
        configuration = {**modalities.get_configuration("self"), "Timeout": 20}
        modalities.configure("other", configuration)
        self.assertEqual(modalities.get_all_ids(), ["other", "self"])
        self.assertEqual(modalities.get_configuration("other")["Timeout"], 20)
        modalities.delete("other")
        self.assertEqual(modalities.get_id_from_aet("ORTHANC"), "self")
        modalities.send("self", ids["studies"])
        modalities.store("self", [ids["series"]], timeout=5)
        job = modalities.send_async("self", ids["studies"], local_aet="CLIENT")
        job.wait_completed()
        self.assertEqual(job.info.status, "Success")
        uid = {group: {"PatientID": UIDS["patients"]} for group in UIDS}
        (study,) = modalities.query_studies("self", uid["studies"])
        self.assertEqual(study.dicom_id, UIDS["studies"])
        (series,) = modalities.query_series("self", {"StudyInstanceUID": UIDS["studies"]})
        self.assertEqual(series.dicom_id, UIDS["series"])
        (instance,) = modalities.query_instances("self", {"SeriesInstanceUID": UIDS["series"]})
        self.assertEqual(instance.dicom_id, UIDS["instances"])
        self.assertEqual(modalities.retrieve_study("self", UIDS["studies"]), ids["studies"])
        for name in ("get", "move"):
            getattr(modalities, f"{name}_study")("self", UIDS["studies"])
            getattr(modalities, f"{name}_study_async")("self", UIDS["studies"]).wait_completed()
            getattr(modalities, f"{name}_series")("self", UIDS["series"], UIDS["studies"])
            getattr(modalities, f"{name}_instance")(
                "self", UIDS["instances"], UIDS["series"], UIDS["studies"]
            )
        with self.assertRaises(api.HttpError):  # it has no worklists
            modalities.find_worklist("self", {"PatientName": "*"})

    def check_jobs(self, study: str) -> None:
        """Jobs are listed, described, steered and forgotten."""
        jobs = self.client.jobs
        answer = self.client.post(f"studies/{study}/archive", json={"Asynchronous": True}).json()
        job = jobs.get(answer["ID"])
        job.wait_completed()
        job.refresh()
        self.assertTrue(job.is_complete())
        self.assertEqual((job.info.status, job.info.type), ("Success", "Archive"))
        self.assertIn(answer["ID"], jobs.get_all_ids())
        self.assertEqual(jobs.get_json(answer["ID"])["ID"], answer["ID"])
        jobs.pause(answer["ID"])
        jobs.cancel(answer["ID"])
        for action in (jobs.resume, jobs.resubmit, jobs.retry):
            with self.assertRaises(api.HttpError):  # it has succeeded
                action(answer["ID"])
        jobs.delete(answer["ID"])
        self.assertNotIn(answer["ID"], jobs.get_all_ids())
        jobs.delete_all()
        self.assertEqual(jobs.get_all_ids(), [])

    def check_peers(self, study: str) -> None:
        """A study is sent to a peer, which is the server itself."""
        self.client.put("peers/me", json={"Url": self.server.url})
        self.client.peers.send("me", study)
        job = self.client.peers.send_async("me", [study])
        job.wait_completed()
        self.assertEqual(
            (job.refresh().info.status, job.info.type), ("Success", "OrthancPeerStore")
        )
        with self.assertRaises(api.ResourceNotFound):
            self.client.peers.send("nobody", study)

    def check_deletions(self, ids: dict[str, str]) -> None:
        """One, several, all."""
        client = self.client
        for group, public_id in ids.items():
            resources = getattr(client, group)
            resources.delete(public_id)
            self.assertFalse(resources.exists(public_id))
            with self.assertRaises(api.ResourceNotFound):
                resources.delete(public_id)
            resources.delete(public_id, ignore_errors=True)
            client.upload_file(str(CT))
            self.assertEqual(len(resources.delete_all()), 2)
            for path in (CT, MR):
                client.upload_file(str(path))
        InstancesSet.from_study(client, study_id=ids["studies"]).delete()
        self.assertEqual(client.get_statistics().instances_count, 1)
        client.delete_all_content()
        self.assertEqual(client.get_statistics().instances_count, 0)
        response = client.put("tools/log-level", data="default")
        self.assertEqual(response.status_code, 200)
        with self.assertRaises(api.ResourceNotFound):
            client.delete("studies/nope")
        client.close()
