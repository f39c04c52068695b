"""C-FIND, C-MOVE, C-GET and storage commitment, asked by pynetdicom."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.peers.dicom_peers import (
    TEST_FILES,
    dcmtk,
    dicom_server,
    get_json,
    stored_instances,
    upload,
    wait_until,
)
from tests.peers.process import OrthancProcess, is_open, wait_for
from tests.peers.query_retrieve import Case, even, identifier
from tests.ports import free_port

STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"


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
        wait_for(lambda: is_open(sink_port))
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
