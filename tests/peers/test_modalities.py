"""This server asks, sends to and retrieves from DCMTK, pynetdicom and Debian's Orthanc."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
from orthanc_api_client import OrthancApiClient
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from pyorthanc import Orthanc

from orthanc_tw.dicom.meta_header import read_meta_header
from tests.peers.process import OrthancProcess, is_open, wait_for
from tests.ports import free_port

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
#: Orthanc sends them by C-GET as they are: an association has one context for a SOP class.
UNCOMPRESSED = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm")
FILES = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm")
CT_PATIENT = "1CT1"
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
ORTHANC = "/usr/sbin/Orthanc"


def dataset_bytes(path: Path) -> bytes:
    """What a file holds after its meta header."""
    content = path.read_bytes()
    return content[read_meta_header(content).dataset_offset :]


def dataset(content: bytes) -> pydicom.Dataset:
    """Its elements; Orthanc leaves out the padding at the end of what it sends."""
    found = pydicom.dcmread(io.BytesIO(content))
    if 0xFFFCFFFC in found:
        del found[0xFFFCFFFC]
    return pydicom.Dataset(found)


class Case(unittest.TestCase):
    """A server, and a folder for its peers."""

    def setUp(self) -> None:
        """Start the server."""
        self.dicom_port = free_port()
        self.server = OrthancProcess(
            DicomServerEnabled=True, DicomPort=self.dicom_port, DicomAssociationCloseDelay=1
        )
        self.addCleanup(self.server.destroy)
        self.folder = Path(tempfile.mkdtemp(prefix="peer-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def upload(self, *names: str) -> list[str]:
        """Upload test files; their identifiers."""
        found = []
        for name in names:
            status, _, body = self.server.request("POST", "/instances", (DATA / name).read_bytes())
            self.assertEqual(200, status, body)
            found.append(json.loads(body)["ID"])
        return found

    def put_modality(self, name: str, aet: str, port: int, **more: Any) -> None:
        """Tell the server of a modality."""
        body = {"AET": aet, "Host": "127.0.0.1", "Port": port, **more}
        status, _, answer = self.server.request(
            "PUT", f"/modalities/{name}", json.dumps(body).encode()
        )
        self.assertEqual(200, status, answer)

    def run_peer(self, *command: str, port: int) -> subprocess.Popen[bytes]:
        """Start a program that listens."""
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )

        def stop() -> None:
            process.terminate()
            process.wait(20)

        self.addCleanup(stop)
        wait_for(lambda: is_open(port))
        return process


@unittest.skipUnless(Path("/usr/bin/storescp").exists(), "DCMTK is not installed")
class StoreScpTests(Case):
    """DCMTK's ``storescp`` receives."""

    def test_every_file(self) -> None:
        """What it gets is what was stored, whatever the transfer syntax; echo works too."""
        port = free_port()
        self.run_peer(
            "/usr/bin/storescp", "+xa", "+B", "-od", str(self.folder), str(port), port=port
        )
        self.put_modality("scp", "STORESCP", port)
        self.server.json("POST", "/modalities/scp/echo", {})
        ids = self.upload(*FILES)
        content = self.server.json("POST", "/modalities/scp/store", ids)
        self.assertEqual(
            (len(ids), 0), (content["InstancesCount"], content["FailedInstancesCount"])
        )
        received = sorted(dataset_bytes(path) for path in self.folder.iterdir())
        self.assertEqual(sorted(dataset_bytes(DATA / name) for name in FILES), received)

    def test_implicit_only(self) -> None:
        """What the peer does not take as it is stored is sent in implicit VR."""
        port = free_port()
        self.run_peer("/usr/bin/storescp", "+xi", "-od", str(self.folder), str(port), port=port)
        self.put_modality("scp", "STORESCP", port)
        (ct,) = self.upload("CT_small.dcm")
        self.server.json("POST", "/modalities/scp/store", [ct])
        (path,) = self.folder.iterdir()
        received = pydicom.dcmread(path)
        self.assertEqual("1.2.840.10008.1.2", received.file_meta.TransferSyntaxUID)
        self.assertEqual(pydicom.dcmread(DATA / "CT_small.dcm").PixelData, received.PixelData)
        (jpeg,) = self.upload("SC_rgb_jpeg_dcmtk.dcm")
        path.unlink()
        self.server.json("POST", "/modalities/scp/store", [jpeg])
        (path,) = self.folder.iterdir()
        self.assertEqual("RGB", pydicom.dcmread(path).PhotometricInterpretation)


class PynetdicomTests(Case):
    """An SCP of pynetdicom."""

    def start(self, handlers: Any, *contexts: Any) -> int:
        """Serve; returns the port."""
        entity = AE(ae_title="PYNET")
        for context in (Verification, *contexts):
            entity.add_supported_context(context)
        port = free_port()
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        assert server is not None
        self.addCleanup(server.shutdown)
        return port

    def test_cancel(self) -> None:
        """A job whose peer does not answer ends within a second of being cancelled."""
        release = threading.Event()
        self.addCleanup(release.set)
        arrived = threading.Event()

        def store(_: evt.Event) -> int:
            arrived.set()
            release.wait(20)
            return 0

        port = self.start([(evt.EVT_C_STORE, store)], CTImageStorage)
        self.put_modality("py", "PYNET", port)
        ids = self.upload("CT_small.dcm")
        answer = self.server.json(
            "POST", "/modalities/py/store", {"Resources": ids, "Asynchronous": True}
        )
        self.assertTrue(arrived.wait(20))
        began = time.monotonic()
        self.server.json("POST", f"/jobs/{answer['ID']}/cancel", {})
        job = self.server.wait_for_job(answer["ID"])
        self.assertLess(time.monotonic() - began, 1.5)
        self.assertEqual(("Failure", 37), (job["State"], job["ErrorCode"]))

    def test_permissive(self) -> None:
        """A refused instance is counted, with its reason, and the others are sent."""
        port = self.start([(evt.EVT_C_STORE, lambda _: 0xA700)], CTImageStorage)
        self.put_modality("py", "PYNET", port)
        ids = self.upload("CT_small.dcm")
        answer = self.server.json(
            "POST",
            "/modalities/py/store",
            {"Resources": ids, "Asynchronous": True, "Permissive": True},
        )
        job = self.server.wait_for_job(answer["ID"])
        self.assertEqual("Success", job["State"])
        self.assertEqual(1, job["Content"]["FailedInstancesCount"])
        self.assertIn("0xA700", job["FailedInstances"][ids[0]])

    def test_reuse(self) -> None:
        """Two requests within ``DicomAssociationCloseDelay`` share an association."""
        opened: list[object] = []
        port = self.start([(evt.EVT_ACCEPTED, opened.append)])
        self.put_modality("py", "PYNET", port)
        for _ in range(3):
            self.server.json("POST", "/modalities/py/echo", {})
        self.assertEqual(1, len(opened))


@unittest.skipUnless(Path(ORTHANC).exists(), "Orthanc is not installed")
class OrthancTests(Case):
    """Debian's Orthanc, asked over its own REST API as well."""

    def setUp(self) -> None:
        """Start it, and introduce the two."""
        super().setUp()
        self.http, port = free_port(), free_port()
        path = self.folder / "orthanc.json"
        path.write_text(
            json.dumps(
                {
                    "HttpPort": self.http,
                    "DicomPort": port,
                    "DicomAet": "DEBIAN",
                    "StorageDirectory": str(self.folder / "storage"),
                    "IndexDirectory": str(self.folder / "storage"),
                    "AuthenticationEnabled": False,
                    "Plugins": [],
                    "DicomAlwaysAllowGet": True,
                    "DicomAlwaysAllowMove": True,
                    "DicomAlwaysAllowFind": True,
                    "DicomModalities": {"tw": ["ORTHANC", "127.0.0.1", self.dicom_port]},
                }
            )
        )
        self.run_peer(ORTHANC, str(path), port=port)
        wait_for(lambda: is_open(self.http))
        self.put_modality("debian", "DEBIAN", port)

    def peer(self, method: str, path: str, body: bytes | None = None) -> Any:
        """A request to Orthanc."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}{path}", data=body, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def test_store_and_commit(self) -> None:
        """Instances are sent, storage is committed to, and the instances removed here."""
        ids = self.upload(*FILES)
        content = self.server.json(
            "POST", "/modalities/debian/store", {"Resources": ids, "StorageCommitment": True}
        )
        self.assertEqual(sorted(ids), sorted(self.peer("GET", "/instances")))
        path = f"/storage-commitment/{content['StorageCommitmentTransactionUID']}"
        wait_for(lambda: self.server.json("GET", path)["Status"] != "Pending")
        self.assertEqual("Success", self.server.json("GET", path)["Status"])
        self.server.json("POST", f"{path}/remove", {})
        self.assertEqual([], self.server.json("GET", "/instances"))

    def test_retrieve(self) -> None:
        """C-FIND, then C-MOVE and C-GET bring what Orthanc has; the job says what has come."""
        ids = [self.peer("POST", "/instances", (DATA / name).read_bytes())["ID"] for name in FILES]
        self.retrieve("C-MOVE", dict(zip(ids, FILES, strict=True)))
        for public_id in ids[len(UNCOMPRESSED) :]:
            self.peer("DELETE", f"/instances/{public_id}")
        self.retrieve("C-GET", dict(zip(ids, UNCOMPRESSED, strict=False)))

    def retrieve(self, method: str, files: dict[str, str]) -> None:
        """Retrieve all that there is, compare it with the files, and remove it."""
        query = self.server.json(
            "POST", "/modalities/debian/query", {"Level": "Study", "Query": {"PatientID": ""}}
        )
        answers = self.server.json("GET", f"{query['Path']}/answers?expand&simplify")
        self.assertEqual(len(files), len(answers))
        content = self.server.json("POST", f"{query['Path']}/retrieve", {"RetrieveMethod": method})
        self.assertEqual(sorted(files), sorted(self.server.json("GET", "/instances")))
        received = [name for one in content["Details"] for name in one["ReceivedInstancesIds"]]
        self.assertEqual(sorted(files), sorted(received), method)
        for public_id, name in files.items():
            _, _, file = self.server.request("GET", f"/instances/{public_id}/file")
            self.assertEqual(dataset((DATA / name).read_bytes()), dataset(file))
            self.server.request("DELETE", f"/instances/{public_id}")

    def test_find(self) -> None:
        """The older routes, and nested queries."""
        self.peer("POST", "/instances", (DATA / FILES[0]).read_bytes())
        find = "/modalities/debian/find"
        (patient,) = self.server.json("POST", find, {"PatientID": CT_PATIENT})
        (series,) = patient["Studies"][0]["Series"]
        self.assertEqual("CT", series["Modality"])
        (study,) = self.server.json("POST", f"{find}-study", {"PatientID": CT_PATIENT})
        self.assertEqual(CT_STUDY, study["StudyInstanceUID"])
        query = self.server.json(
            "POST", "/modalities/debian/query", {"Level": "Patient", "Query": {}}
        )
        nested = self.server.json("POST", f"{query['Path']}/answers/0/query-instances", {})
        (answer,) = self.server.json("GET", f"{nested['Path']}/answers?expand&simplify")
        self.assertEqual(study["StudyInstanceUID"], answer["StudyInstanceUID"])

    def test_pyorthanc(self) -> None:
        """The functions of modalities of pyorthanc."""
        self.peer("POST", "/instances", (DATA / FILES[0]).read_bytes())
        client = Orthanc(self.server.url)
        self.assertEqual(["debian"], client.get_modalities())
        client.post_modalities_id_echo("debian", json={})
        query: Any = client.post_modalities_id_query(
            "debian", json={"Level": "Study", "Query": {"PatientID": CT_PATIENT}}
        )
        self.assertEqual(["0"], client.get_queries_id_answers(query["ID"]))
        client.post_queries_id_retrieve(query["ID"], json={"TargetAet": "ORTHANC"})
        (public_id,) = client.get_instances()
        client.post_modalities_id_store("debian", json={"Resources": [public_id]})

    def test_orthanc_api_client(self) -> None:
        """The functions of modalities of orthanc-api-client."""
        self.peer("POST", "/instances", (DATA / FILES[0]).read_bytes())
        client = OrthancApiClient(self.server.url)
        self.assertEqual(["debian"], client.modalities.get_all_ids())
        (study,) = client.modalities.query_studies("debian", {"PatientID": CT_PATIENT})
        self.assertEqual(CT_STUDY, study.dicom_id)
        client.modalities.retrieve_study("debian", CT_STUDY)
        (public_id,) = client.instances.get_all_ids()
        client.modalities.send("debian", public_id)
