"""C-FIND, C-MOVE, C-GET, worklists and storage commitment, asked by other implementations."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import time
import unittest
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.peers.dicom_peers import (
    ORTHANC,
    TEST_FILES,
    Instance,
    ReferenceOrthanc,
    dataset_of,
    dcmtk,
    dicom_server,
    get_json,
    stored_instances,
    upload,
    upload_all,
    wait_until,
)
from tests.peers.process import OrthancProcess, free_port

PETER = "98890234"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"


UNLOVED = ("1.9.999.999.99.9.9999.9999.20030818153516", "1.2.840.10008.1.2.5")


def even(instance: Instance) -> bytes:
    """A data set as it is on the wire: a deflated one is padded (PS3.5 A.5)."""
    return instance.dataset + bytes(len(instance.dataset) % 2)


def identifier(**values: Any) -> Dataset:
    """A data set of these keywords."""
    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def write_worklist(folder: Path, name: str, modality: str) -> None:
    """A worklist file."""
    item = identifier(
        SpecificCharacterSet="ISO_IR 192",
        PatientName=name,
        PatientID=name,
        ScheduledProcedureStepSequence=[identifier(Modality=modality)],
    )
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    item.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    item.save_as(folder / f"{name}.wl", enforce_file_format=True)


class Shared(NamedTuple):
    """A server with every test file, for all tests of this module: it takes a while to fill."""

    server: OrthancProcess
    instances: list[Instance]
    port: int
    sink_port: int
    folder: Path


@cache
def shared() -> Shared:
    """Start it; it is ended with the process, since trial knows no fixtures of classes."""
    folder = Path(tempfile.mkdtemp(prefix="orthanc-tw-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_worklist(folder, "Doe^John", "CT")
    write_worklist(folder, "Roe^Jane", "MR")
    port, sink_port = free_port(), free_port()
    server = dicom_server(
        port,
        DicomModalities={
            "sink": ["SINK", "127.0.0.1", sink_port],
            "nobody": ["NOBODY", "127.0.0.1", free_port()],
        },
        Worklists={"Enable": True, "Database": str(folder)},
    )
    atexit.register(server.destroy)
    upload_all(server.url)
    return Shared(server, list(stored_instances(server.url)), port, sink_port, folder)


class Case(unittest.TestCase):
    """Tests with that server."""

    def setUp(self) -> None:
        """Have it."""
        self.server, self.instances, self.port, self.sink_port, self.folder = shared()

    def studies(self) -> list[str]:
        """UIDs of all studies."""
        return sorted({instance.study_uid for instance in self.instances})


@unittest.skipUnless(dcmtk("findscu"), "peer missing: DCMTK")
class DcmtkTests(Case):
    """DCMTK's tools."""

    def run_tool(self, name: str, *arguments: str) -> str:
        """What a tool prints."""
        path = dcmtk(name)
        assert path is not None
        done = subprocess.run(
            [path, *arguments[:-1], "127.0.0.1", str(self.port), *arguments[-1].split("|")],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            cwd=self.folder,
        )
        return done.stdout + done.stderr

    def test_find(self) -> None:
        """Findscu finds, at every level and in both models."""
        for option, level, count in (
            ("-P", "PATIENT", 1),
            ("-S", "STUDY", 4),
            ("-P", "SERIES", 9),
            ("-S", "IMAGE", 24),
        ):
            keys = f"-k|QueryRetrieveLevel={level}|-k|PatientID={PETER}|-k|PatientName"
            output = self.run_tool("findscu", "-v", option, keys)
            self.assertEqual(output.count("Find Response: "), count, output)
            self.assertIn("Received Final Find Response (Success)", output)

    def test_find_implicit(self) -> None:
        """A peer that knows implicit VR only is answered in it."""
        keys = f"-k|QueryRetrieveLevel=STUDY|-k|PatientID={PETER}|-k|PatientName"
        output = self.run_tool("findscu", "-v", "-xi", "-S", keys)
        self.assertEqual(output.count("(0010,0010) PN [Doe^Peter ]"), 4, output)

    def test_worklist(self) -> None:
        """Findscu finds worklist items by an attribute of a sequence."""
        keys = "-k|PatientName|-k|(0040,0100)[0].Modality=MR"
        output = self.run_tool("findscu", "-v", "-W", keys)
        self.assertEqual(output.count("Find Response: "), 1, output)
        self.assertIn("[Roe^Jane]", output)

    def test_cancel(self) -> None:
        """Findscu that cancels after two answers is told so."""
        keys = "-k|QueryRetrieveLevel=IMAGE|-k|SOPInstanceUID"
        output = self.run_tool("findscu", "-v", "-S", "--cancel", "2", keys)
        self.assertIn("Final Find Response", output)

    @unittest.skipUnless(dcmtk("movescu"), "peer missing: movescu")
    def test_move(self) -> None:
        """Movescu receives every instance of a patient, as it is stored."""
        with tempfile.TemporaryDirectory() as folder:
            keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
            port = str(self.sink_port)
            output = self.run_tool(
                "movescu", "-v", "-P", "-aet", "SINK", "-aem", "SINK", "+xa", "+P", port,
                "-od", folder, keys,
            )  # fmt: skip
            self.assertIn("Received Final Move Response (Success)", output)
            received = [dataset_of(path.read_bytes()) for path in Path(folder).iterdir()]
        self.assertEqual(len(received), 24)

    @unittest.skipUnless(dcmtk("movescu"), "peer missing: movescu")
    def test_move_to_nobody(self) -> None:
        """A destination that is not known, and one where nobody is."""
        keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
        output = self.run_tool("movescu", "-v", "-P", "-aem", "UNKNOWN", keys)
        self.assertIn("UnableToProcess", output)
        output = self.run_tool("movescu", "-v", "-P", "-aem", "NOBODY", keys)
        self.assertIn("OutOfResourcesSubOperations", output.replace(" ", ""))

    @unittest.skipUnless(dcmtk("getscu"), "peer missing: getscu")
    def test_get(self) -> None:
        """Getscu receives every instance of a patient."""
        with tempfile.TemporaryDirectory() as folder:
            keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
            output = self.run_tool("getscu", "-v", "-P", "-od", folder, keys)
            received = {str(dcmread(path).SOPInstanceUID) for path in Path(folder).iterdir()}
        self.assertIn("Number of Completed Suboperations : 24", output)
        self.assertEqual(len(received), 24)


class PynetdicomTests(Case):
    """pynetdicom as SCU, and as the SCP that C-MOVE sends to."""

    def setUp(self) -> None:
        """Nothing arrived yet."""
        super().setUp()
        self.reports: list[tuple[int, Dataset]] = []
        self.arrived: dict[str, list[bytes]] = {}

    def keep(self, event: Any) -> int:
        """Keep an instance."""
        uid = str(event.request.AffectedSOPInstanceUID)
        self.arrived.setdefault(uid, []).append(event.request.DataSet.getvalue())
        return 0

    def ask(
        self,
        model: Any,
        send: Callable[[Any, Any], Any],
        storage: set[tuple[str, str]] | None = None,
    ) -> list[tuple[Dataset, Dataset | None]]:
        """All responses to a request."""
        entity = AE("SINK")
        entity.add_requested_context(model)
        classes = {sop_class for sop_class, _ in storage or ()}
        for sop_class, syntax in sorted(storage or ()):
            entity.add_requested_context(sop_class, syntax)
        association = entity.associate(
            "127.0.0.1",
            self.port,
            ext_neg=[build_role(sop_class, scp_role=True) for sop_class in sorted(classes)],
            evt_handlers=[(evt.EVT_C_STORE, self.keep)],
        )
        self.assertTrue(association.is_established)
        try:
            return list(send(association, model))
        finally:
            association.release()

    def assert_all_arrived(self) -> None:
        """Every instance came once, with the bytes that are stored."""
        expected: dict[str, list[bytes]] = {}
        for instance in self.instances:
            expected.setdefault(instance.sop_instance_uid, []).append(even(instance))
        self.assertEqual(sorted(self.arrived), sorted(expected))
        for uid, datasets in expected.items():
            # Two test files of different patients have the same UID.
            self.assertTrue(sorted(self.arrived[uid]) == sorted(datasets), uid)

    def test_get(self) -> None:
        """C-GET of every study: the bytes that arrive are those that are stored."""
        for study in self.studies():
            storage = {
                (instance.sop_class_uid, instance.transfer_syntax)
                for instance in self.instances
                if instance.study_uid == study
            }
            query = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
            *_, (last, _) = self.ask(
                StudyRootQueryRetrieveInformationModelGet,
                lambda association, model, query=query: association.send_c_get(query, model),
                storage,
            )
            self.assertEqual(last.Status, 0, study)
            self.assertEqual(last.NumberOfFailedSuboperations, 0)
        self.assert_all_arrived()

    def test_move(self) -> None:
        """C-MOVE of all studies in one request: the same."""
        sink = AE("SINK")
        for instance in self.instances:
            sink.add_supported_context(instance.sop_class_uid, instance.transfer_syntax)
        listening = sink.start_server(
            ("127.0.0.1", self.sink_port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self.keep)],
        )
        try:
            query = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=self.studies())
            responses = self.ask(
                StudyRootQueryRetrieveInformationModelMove,
                lambda association, model: association.send_c_move(query, "SINK", model),
            )
        finally:
            listening.shutdown()
        last = responses[-1][0]
        count = len(self.instances)
        self.assertEqual((last.Status, last.NumberOfCompletedSuboperations), (0, count))
        remaining = [status.NumberOfRemainingSuboperations for status, _ in responses[:-1]]
        self.assertEqual(remaining, list(range(count - 1, -1, -1)))
        self.assert_all_arrived()

    def test_failed_instances(self) -> None:
        """What only a lossy syntax could carry is counted and named in the last response."""
        lossy = "1.2.840.10008.1.2.4.50"
        instance = next(i for i in self.instances if i.transfer_syntax == "1.2.840.10008.1.2.1")
        query = identifier(
            QueryRetrieveLevel="IMAGE",
            StudyInstanceUID=instance.study_uid,
            SOPInstanceUID=instance.sop_instance_uid,
        )
        *_, (last, named) = self.ask(
            StudyRootQueryRetrieveInformationModelGet,
            lambda association, model: association.send_c_get(query, model),
            {(instance.sop_class_uid, lossy)},
        )
        self.assertEqual((last.Status, last.NumberOfFailedSuboperations), (0xA702, 1))
        assert named is not None
        self.assertEqual(named.FailedSOPInstanceUIDList, instance.sop_instance_uid)

    def test_find_all(self) -> None:
        """Every instance is found by its UID, each patient once."""
        query = identifier(QueryRetrieveLevel="IMAGE", SOPInstanceUID="")
        responses = self.ask(
            StudyRootQueryRetrieveInformationModelFind,
            lambda association, model: association.send_c_find(query, model),
        )
        found = sorted(answer.SOPInstanceUID for _, answer in responses if answer is not None)
        self.assertEqual(found, sorted(i.sop_instance_uid for i in self.instances))
        query = identifier(QueryRetrieveLevel="PATIENT", PatientID="", PatientName="")
        responses = self.ask(
            PatientRootQueryRetrieveInformationModelFind,
            lambda association, model: association.send_c_find(query, model),
        )
        patients = get_json(f"{self.server.url}/patients")
        self.assertEqual(len(responses) - 1, len(patients))

    def test_bad_queries(self) -> None:
        """A bad query is answered with its reason, and the association goes on."""
        entity = AE("SINK")
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        association = entity.associate("127.0.0.1", self.port)
        for query in (
            identifier(PatientID=""),
            identifier(QueryRetrieveLevel="FRAME", PatientID=""),
            identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.*"),
        ):
            ((status, _),) = association.send_c_find(
                query, StudyRootQueryRetrieveInformationModelFind
            )
            self.assertEqual(status.Status, 0xC000)
            self.assertTrue(status.ErrorComment)
        association.release()

    def commit(self, *references: tuple[str, str]) -> tuple[int, Dataset]:
        """Ask for storage commitment; event type and information of the report."""

        def keep(event: Any) -> tuple[int, None]:
            self.reports.append((event.event_type, event.event_information))
            return 0, None

        sink = AE("SINK")
        sink.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        listening = sink.start_server(
            ("127.0.0.1", self.sink_port),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, keep)],
        )
        try:
            entity = AE("SINK")
            entity.add_requested_context(StorageCommitmentPushModel)
            association = entity.associate("127.0.0.1", self.port)
            asked = identifier(
                TransactionUID=f"2.25.{time.monotonic_ns()}",
                ReferencedSOPSequence=[
                    identifier(ReferencedSOPClassUID=c, ReferencedSOPInstanceUID=i)
                    for c, i in references
                ],
            )
            status, _ = association.send_n_action(
                asked, 1, StorageCommitmentPushModel, STORAGE_COMMITMENT_INSTANCE
            )
            association.release()
            self.assertEqual(status.Status, 0)
            wait_until(lambda: self.reports)
        finally:
            listening.shutdown()
        event, information = self.reports.pop()
        self.assertEqual(information.TransactionUID, asked.TransactionUID)
        return event, information

    def test_storage_commitment(self) -> None:
        """What is stored is committed; what is not is reported with its reason."""
        first, second = self.instances[:2]
        event, report = self.commit((first.sop_class_uid, first.sop_instance_uid))
        self.assertEqual(event, 1)
        self.assertNotIn("FailedSOPSequence", report)
        event, report = self.commit(
            (first.sop_class_uid, first.sop_instance_uid),
            (second.sop_class_uid, "1.2.3"),
            ("1.2.840.10008.5.1.4.1.1.77.1.6", second.sop_instance_uid),
        )
        self.assertEqual(event, 2)
        self.assertEqual(len(report.ReferencedSOPSequence), 1)
        reasons = [item.FailureReason for item in report.FailedSOPSequence]
        self.assertEqual(reasons, [0x0112, 0x0119])


@unittest.skipUnless(dcmtk("storescp"), "peer missing: storescp")
class AsynchronousTests(unittest.TestCase):
    """A server without SynchronousCMove, and a storescp, which takes one association at a time."""

    def test_move(self) -> None:
        """The answer comes at once, and a job sends all, over as many associations as needed."""
        port, sink_port = free_port(), free_port()
        folder = Path(tempfile.mkdtemp(prefix="orthanc-tw-"))
        self.addCleanup(shutil.rmtree, folder)
        server = dicom_server(
            port, SynchronousCMove=False, DicomModalities={"s": ["SINK", "127.0.0.1", sink_port]}
        )
        self.addCleanup(server.destroy)
        for name in ("CT_small.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm", "liver_1frame.dcm"):
            upload(server.url, (TEST_FILES / name).read_bytes())
        path = dcmtk("storescp")
        assert path is not None
        sink = subprocess.Popen([path, "+xa", "+B", "-od", str(folder), str(sink_port)], cwd=folder)
        self.addCleanup(sink.wait)
        self.addCleanup(sink.terminate)
        entity = AE("SINK")
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        association = entity.associate("127.0.0.1", port)
        studies = [i.study_uid for i in stored_instances(server.url)]
        query = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=studies)
        responses = association.send_c_move(
            query, "SINK", StudyRootQueryRetrieveInformationModelMove
        )
        self.assertEqual([status.Status for status, _ in responses], [0])
        association.release()
        (job_id,) = get_json(f"{server.url}/jobs")
        job = server.wait_for_job(job_id)
        self.assertEqual((job["State"], job["Type"]), ("Success", "DicomModalityStore"))
        self.assertEqual(job["Content"]["FailedInstancesCount"], 0)
        self.assertEqual(job["Content"]["InstancesCount"], 4)
        self.assertLess(job["EffectiveRuntime"], 5)


class PermissionTests(unittest.TestCase):
    """A server that allows nothing but what its modalities may."""

    def test_refused(self) -> None:
        """Who is not known, or may not, gets 0x0124; no worklists, no context for them."""
        port = free_port()
        options = dict.fromkeys(
            ("DicomAlwaysAllowFind", "DicomAlwaysAllowGet", "DicomAlwaysAllowMove"), False
        )
        server = OrthancProcess(
            DicomServerEnabled=True,
            DicomPort=port,
            DicomModalities={
                "good": ["GOOD", "127.0.0.1", 104],
                "bad": {"AET": "BAD", "Host": "127.0.0.1", "Port": 104, "AllowFind": False},
            },
            **options,
        )
        try:
            for title, expected in (("GOOD", 0), ("BAD", 0x0124), ("STRANGER", 0x0124)):
                entity = AE(title)
                entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
                entity.add_requested_context("1.2.840.10008.5.1.4.31")
                association = entity.associate("127.0.0.1", port)
                self.assertEqual(len(association.accepted_contexts), 1)
                *_, (status, _) = association.send_c_find(
                    identifier(QueryRetrieveLevel="STUDY", PatientID=""),
                    StudyRootQueryRetrieveInformationModelFind,
                )
                association.release()
                self.assertEqual(status.Status, expected, title)
        finally:
            server.destroy()


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
