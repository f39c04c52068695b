"""This server as SCU: pynetdicom's queries and retrieval, TLS, every file, a death on the way."""

from __future__ import annotations

import json
import subprocess
import threading
import unittest
import warnings
from collections.abc import Iterator
from typing import Any

import pydicom
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.peers.dicom_peers import dcmtk, stored_instances, upload_all
from tests.peers.process import wait_for
from tests.peers.query_retrieve import even, identifier
from tests.peers.test_modalities import DATA, Case, dataset_bytes
from tests.ports import free_port

# One SOP class (secondary capture) in three transfer syntaxes.
CAPTURES = ("CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm")
STUDY = "1.2.3.4"


def captures() -> list[Dataset]:
    """Instances of one study, each in a transfer syntax of its own."""
    found = []
    for number, name in enumerate(CAPTURES):
        made = dcmread(DATA / name)
        made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, f"{STUDY}.5"
        made.PatientID = "CAPTURES"
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        made.SOPInstanceUID = f"{STUDY}.6.{number}"
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        found.append(made)
    return found


class PynetdicomTests(Case):
    """pynetdicom answers, and sends an instance only in the syntax that it has."""

    def setUp(self) -> None:
        """Start the peer."""
        super().setUp()
        self.instances = captures()
        self.associations = 0
        ae = AE("PYNET")
        ae.maximum_associations = 10
        syntaxes = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
        for uid in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
            ModalityWorklistInformationFind,
        ):
            ae.add_supported_context(uid, syntaxes)
        compressed = [str(made.file_meta.TransferSyntaxUID) for made in self.instances[1:]]
        ae.add_supported_context(
            SecondaryCaptureImageStorage, [*syntaxes, *compressed], scu_role=False, scp_role=True
        )
        for made in self.instances:
            ae.add_requested_context(SecondaryCaptureImageStorage, made.file_meta.TransferSyntaxUID)
        self.port = free_port()
        handlers = [
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_GET, self.get),
            (evt.EVT_C_MOVE, self.move),
            (evt.EVT_ACCEPTED, self.accepted),
        ]
        peer = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        self.addCleanup(peer.shutdown)
        self.put_modality("pynet", "PYNET", self.port)
        self.queries: list[Dataset] = []

    def accepted(self, event: Any) -> None:
        """Count."""
        self.associations += 1

    def find(self, event: Any) -> Iterator[Any]:
        """The study, or a step of a worklist."""
        self.queries.append(event.identifier)
        if event.request.AffectedSOPClassUID == ModalityWorklistInformationFind:
            step = identifier(Modality="CT", ScheduledStationAETitle="CT1")
            answer = identifier(PatientID="W1", PatientName="Work^List")
            answer.ScheduledProcedureStepSequence = [step]
            yield 0xFF00, answer
            return
        answer = identifier(StudyInstanceUID=STUDY, PatientID="CAPTURES")
        answer.QueryRetrieveLevel = "STUDY"
        answer.SOPClassesInStudy = SecondaryCaptureImageStorage
        yield 0xFF00, answer

    def get(self, event: Any) -> Iterator[Any]:
        """All."""
        yield len(self.instances)
        for made in self.instances:
            yield 0xFF00, made

    def move(self, event: Any) -> Iterator[Any]:
        """All, to this server."""
        yield "127.0.0.1", self.dicom_port
        yield from self.get(event)

    def pixels(self) -> dict[str, tuple[str, bytes]]:
        """Transfer syntax and pixel data of what has arrived."""
        found = {}
        for public_id in self.server.json("GET", "/instances"):
            _, _, content = self.server.request("GET", f"/instances/{public_id}/file")
            made = dcmread(pydicom.filebase.DicomBytesIO(content))
            found[str(made.SOPInstanceUID)] = (
                str(made.file_meta.TransferSyntaxUID),
                made.PixelData,
            )
        return found

    def assert_all(self) -> None:
        """Each arrived as it is."""
        expected = {
            str(made.SOPInstanceUID): (str(made.file_meta.TransferSyntaxUID), made.PixelData)
            for made in self.instances
        }
        self.assertEqual(expected, self.pixels())

    def retrieve(self, method: str) -> Any:
        """Query the study and retrieve it."""
        query = self.server.json(
            "POST",
            "/modalities/pynet/query",
            {"Level": "Study", "Query": {"StudyInstanceUID": STUDY}},
        )
        return self.server.json(
            "POST",
            f"/queries/{query['ID']}/retrieve",
            {"RetrieveMethod": method, "TargetAet": "ORTHANC"},
        )

    def test_get(self) -> None:
        """A class in several syntaxes takes two C-GETs: one context takes one of them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = self.retrieve("C-GET")
        (details,) = content["Details"]
        self.assertEqual(0, details["DimseErrorStatus"])
        self.assertEqual(3, len(set(details["ReceivedInstancesIds"])))
        self.assert_all()
        self.assertIn("SOPClassesInStudy", self.queries[-1])

    def test_move(self) -> None:
        """C-MOVE to this server itself; the job names what arrived."""
        self.put_modality("self", "ORTHANC", self.dicom_port)
        content = self.retrieve("C-MOVE")
        (details,) = content["Details"]
        self.assertEqual(0, details["DimseErrorStatus"])
        self.assertEqual(3, len(details["ReceivedInstancesIds"]))
        self.assert_all()

    def test_two_gets_at_once(self) -> None:
        """Each job names its own instances, and succeeds."""
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda: found.append(self.retrieve("C-GET"))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        received = [content["Details"][0]["ReceivedInstancesIds"] for content in found]
        self.assertEqual([3, 3], [len(ids) for ids in received])
        self.assert_all()

    def test_worklist(self) -> None:
        """A worklist is asked with its sequence, and answered with it."""
        answers = self.server.json(
            "POST",
            "/modalities/pynet/find-worklist",
            {"PatientID": "", "ScheduledProcedureStepSequence": [{"Modality": "CT"}]},
        )
        self.assertEqual("W1", answers[0]["PatientID"])
        (step,) = answers[0]["ScheduledProcedureStepSequence"]
        self.assertEqual("CT1", step["ScheduledStationAETitle"])
        self.assertEqual("CT", self.queries[0].ScheduledProcedureStepSequence[0].Modality)

    def test_closed_association(self) -> None:
        """A kept association that the peer has ended is not used again."""
        ended = threading.Event()
        ae = AE("RUDE")
        ae.add_supported_context(Verification)

        def echo(event: Any) -> int:
            threading.Timer(0.1, lambda: (event.assoc.abort(), ended.set())).start()
            return 0

        port = free_port()
        peer = ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_ECHO, echo)]
        )
        self.addCleanup(peer.shutdown)
        self.put_modality("rude", "RUDE", port)
        for _ in range(3):
            ended.clear()
            self.assertEqual({}, self.server.json("POST", "/modalities/rude/echo", {}))
            self.assertTrue(ended.wait(10))


@unittest.skipUnless(dcmtk("storescp"), "DCMTK is not installed")
class TlsTests(Case):
    """DCMTK's ``storescp`` with TLS."""

    def test_store(self) -> None:
        """An instance is sent over TLS, both ends with a certificate."""
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(
            (
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
            ),
            check=True,
            capture_output=True,
        )
        self.server.stop()
        self.server.configure(
            DicomTlsCertificate=str(certificate),
            DicomTlsPrivateKey=str(key),
            DicomTlsTrustedCertificates=str(certificate),
        )
        self.server.start()
        port = free_port()
        folder = self.folder / "received"
        folder.mkdir()
        self.run_peer(
            *("/usr/bin/storescp", "+xa", "+B", "+tls", str(key), str(certificate)),
            *("+cf", str(certificate), "-od", str(folder), str(port)),
            port=port,
        )
        ids = self.upload("CT_small.dcm")
        self.put_modality("tls", "STORESCP", port, UseDicomTls=True)
        content = self.server.json("POST", "/modalities/tls/store", ids)
        self.assertEqual(0, content["FailedInstancesCount"])
        (received,) = folder.iterdir()
        self.assertEqual(dataset_bytes(DATA / "CT_small.dcm"), dataset_bytes(received))
        self.put_modality("plain", "STORESCP", port)
        status, _, _ = self.server.request("POST", "/modalities/plain/echo", b"{}")
        self.assertEqual(500, status)


@unittest.skipUnless(dcmtk("storescp"), "DCMTK is not installed")
class KillTests(Case):
    """SIGKILL while a job sends."""

    def test_store(self) -> None:
        """The job goes on after the restart, and the modality in the database is still known."""
        gate = threading.Event()
        got: list[str] = []

        def store(event: Any) -> int:
            got.append(str(event.request.AffectedSOPInstanceUID))
            if len(got) == 3:
                gate.wait(60)
            return 0

        ae = AE("SLOW")
        ae.maximum_associations = 10
        for uid in ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"):
            ae.add_supported_context(uid, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
        ae.add_supported_context("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2.1")
        port = free_port()
        peer = ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
        self.addCleanup(peer.shutdown)
        self.addCleanup(gate.set)
        self.server.stop()
        self.server.configure(DicomModalitiesInDatabase=True)
        self.server.start()
        folder = DATA / "dicomdirtests" / "98892001"
        ids = [
            json.loads(self.server.request("POST", "/instances", path.read_bytes())[2])["ID"]
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        self.assertGreater(len(ids), 4)
        self.put_modality("slow", "SLOW", port)
        job = self.server.json(
            "POST", "/modalities/slow/store", {"Resources": ids, "Asynchronous": True}
        )
        wait_for(lambda: len(got) >= 3)
        self.server.kill()
        gate.set()
        self.server.start()
        ended = self.server.wait_for_job(job["ID"])
        self.assertEqual("Success", ended["State"], ended)
        self.assertEqual(len(ids), ended["Content"]["InstancesCount"])
        self.assertEqual(len(ids), len(set(got)))
        self.assertEqual("SLOW", self.server.json("GET", "/modalities?expand")["slow"]["AET"])
        # What had been answered is not sent again, but for what was under way.
        self.assertLessEqual(len(got), len(ids) + 3)


@unittest.skipUnless(dcmtk("storescp"), "DCMTK is not installed")
class EveryFileTests(Case):
    """All of pydicom's test files, in the direction from this server to others."""

    def test_storescp(self) -> None:
        """``storescp`` receives each of them as it is stored."""
        upload_all(self.server.url)
        port = free_port()
        folder = self.folder / "received"
        folder.mkdir()
        self.run_peer(
            *("/usr/bin/storescp", "+xa", "+B", "-pm", "-uf", "-od", str(folder), str(port)),
            port=port,
        )
        self.put_modality("scp", "STORESCP", port)
        sent = {made.sop_instance_uid: made for made in stored_instances(self.server.url)}
        content = self.server.json(
            "POST",
            "/modalities/scp/store",
            {"Resources": self.server.json("GET", "/instances"), "Permissive": True},
        )
        self.assertEqual(0, content["FailedInstancesCount"])
        got = {}
        for path in folder.iterdir():
            uid = str(dcmread(path, stop_before_pixels=True).file_meta.MediaStorageSOPInstanceUID)
            got[uid] = dataset_bytes(path)
        for uid, received in got.items():
            self.assertEqual(even(sent[uid]), received, uid)
        self.assertEqual(set(sent), set(got))
