"""The DICOM server as others see it: DCMTK's tools and pynetdicom over loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from contextlib import suppress
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_files  # type: ignore[attr-defined]
from pynetdicom import AE, _config
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from benchmarks.data import make_instance
from orthanc_tw.dicom.meta_header import read_meta_header
from tests.peers.process import OrthancProcess
from tests.ports import free_port
from tests.rest.test_tls import certificate

_config.STORE_SEND_CHUNKED_DATASET = True


def dcmtk(tool: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of DCMTK."""
    path = shutil.which(tool, path="/usr/bin:/usr/local/bin")
    if path is None:
        raise unittest.SkipTest(f"{tool} is not installed")
    return subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def sendable() -> list[Path]:
    """The test files of pydicom that have a meta header and the identifiers of an instance."""
    found = []
    for name in get_testdata_files():
        try:
            with pydicom.config.disable_value_validation():
                dataset = pydicom.dcmread(name, stop_before_pixels=True)
            meta = dataset.file_meta
            if "DICOMDIR" in name or not all((
                meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID,
                meta.TransferSyntaxUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID,
                dataset.SeriesInstanceUID, dataset.PatientID,
            )):  # fmt: skip
                continue
        except Exception:
            continue
        found.append(Path(name))
    return found


def dataset_bytes(content: bytes) -> bytes:
    """What follows the meta header."""
    return content[read_meta_header(content).dataset_offset :]


class DicomTests(unittest.TestCase):
    def setUp(self) -> None:
        """A server with a short patience."""
        self.port = free_port()
        self.server = OrthancProcess(
            DicomServerEnabled=True,
            DicomPort=self.port,
            DicomScpTimeout=4,
            UnknownSopClassAccepted=True,
            OverwriteInstances=True,
        )
        self.addCleanup(self.server.destroy)
        self.addCleanup(lambda: self.assertNotIn("Traceback", self.server.log()))

    def test_echoscu(self) -> None:
        """DCMTK's echo succeeds; one of 128 presentation contexts too."""
        for options in ((), ("--propose-pc", "128"), ("--repeat", "20"), ("--abort",)):
            done = dcmtk("echoscu", *options, "127.0.0.1", str(self.port))
            self.assertEqual(0, done.returncode, (options, done.stderr))

    def test_storescu(self) -> None:
        """DCMTK sends instances; the server answers success and has them."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        for number in range(30):
            sample = make_instance(700, 1, number, 100)
            (folder / f"{number}.dcm").write_bytes(sample.content)
        for options in ((), ("--max-pdu", "4096"), ("--max-pdu", "131072"), ("-xi",)):
            done = dcmtk("storescu", "+sd", *options, "127.0.0.1", str(self.port), str(folder))
            self.assertEqual(0, done.returncode, (options, done.stderr))
        self.assertEqual(30, len(self.server.json("GET", "/instances")))

    def test_bytes(self) -> None:
        """Every test file of pydicom arrives byte by byte, apart from the meta header.

        What an upload refuses, C-STORE refuses too.
        """
        files = sendable()
        self.assertGreater(len(files), 40)
        stored = 0
        entity = AE(ae_title="PYNETDICOM")
        for path in files:
            meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
            entity.requested_contexts = []
            entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
            association = entity.associate("127.0.0.1", self.port, ae_title="ORTHANC")
            self.assertTrue(association.is_established, path)
            status = association.send_c_store(path)
            association.release()
            if status.Status:
                upload, _, _ = self.server.request("POST", "/instances", path.read_bytes())
                self.assertEqual((0xC000, True), (status.Status, upload >= 400), path)
                continue
            stored += 1
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            found = self.server.json(
                "POST",
                "/tools/find",
                {"Level": "Instance", "Query": {"SOPInstanceUID": str(dataset.SOPInstanceUID)}},
            )
            contents = [
                self.server.request("GET", f"/instances/{instance}/file")[2] for instance in found
            ]
            sent = dataset_bytes(path.read_bytes())
            self.assertIn(sent, [dataset_bytes(content) for content in contents], path)
        self.assertGreater(stored, 40)

    def test_negotiation(self) -> None:
        """Extended negotiation, asynchronous operations and user identity do no harm."""
        entity = AE(ae_title="PYNETDICOM")
        entity.add_requested_context(Verification)
        entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.99")
        extended = SOPClassExtendedNegotiation()
        extended.sop_class_uid = CTImageStorage
        extended.service_class_application_information = b"\x02\x00\x03\x00\x01\x00"
        identity = UserIdentityNegotiation()
        identity.user_identity_type = 2
        identity.primary_field = b"user"
        identity.secondary_field = b"secret"
        association = entity.associate("127.0.0.1", self.port, ext_neg=[extended, identity])
        self.assertTrue(association.is_established)
        self.assertEqual(1, len(association.accepted_contexts))
        self.assertEqual(0, association.send_c_echo().Status)
        association.release()
        self.assertTrue(association.is_released)

    def test_garbage(self) -> None:
        """Garbage and half an association are cleaned up; the next one works."""
        for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\0\xff\xff\xff\xff", b"\x01\0\0\0", bytes(9)):
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
                client.sendall(sent)
                while client.recv(1000):
                    pass
        self.assertEqual(0, dcmtk("echoscu", "127.0.0.1", str(self.port)).returncode)

    def test_crowd(self) -> None:
        """200 idle associations and 100 slow ones: the next works, and they are cleaned up."""
        crowd = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(300)]
        self.addCleanup(lambda: [client.close() for client in crowd])
        request = association_request()
        for client in crowd[:200]:
            client.sendall(request)
        for client in crowd[:200]:
            self.assertEqual(2, client.recv(4096)[0])
        deadline = time.monotonic() + 30
        position = 0
        while self.associations() > 100 and time.monotonic() < deadline:
            for client in crowd[200:]:
                with suppress(OSError):  # it is given up already
                    client.sendall(request[position : position + 1])
            position += 1
            self.assertEqual(0, dcmtk("echoscu", "127.0.0.1", str(self.port)).returncode)
            time.sleep(0.5)
        while self.associations() and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(0, self.associations())

    def associations(self) -> int:
        """How many connections the server has."""
        _, _, text = self.server.request("GET", "/tools/metrics-prometheus")
        for line in text.decode().splitlines():
            if line.startswith("orthanc_tw_dicom_associations "):
                return int(float(line.split()[1]))
        raise AssertionError("no such metric")

    def test_tls(self) -> None:
        """DICOM TLS: a client with a trusted certificate is served, one without is not."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        for name in ("server", "client"):
            key, public = certificate(name)
            (folder / f"{name}.key").write_bytes(key)
            (folder / f"{name}.crt").write_bytes(public)
        port = free_port()
        server = OrthancProcess(
            DicomServerEnabled=True,
            DicomPort=port,
            DicomTlsEnabled=True,
            DicomTlsCertificate=str(folder / "server.crt"),
            DicomTlsPrivateKey=str(folder / "server.key"),
            DicomTlsTrustedCertificates=str(folder / "client.crt"),
        )
        self.addCleanup(server.destroy)
        trust = ("+cf", str(folder / "server.crt"), "127.0.0.1", str(port))
        own = ("+tls", str(folder / "client.key"), str(folder / "client.crt"))
        done = dcmtk("echoscu", *own, *trust)
        self.assertEqual(0, done.returncode, done.stderr)
        (folder / "one.dcm").write_bytes(make_instance(1, 1, 1, 512).content)
        done = dcmtk("storescu", *own, *trust, str(folder / "one.dcm"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(1, len(server.json("GET", "/instances")))
        self.assertNotEqual(0, dcmtk("echoscu", "+tla", *trust).returncode)
        self.assertNotEqual(0, dcmtk("echoscu", "127.0.0.1", str(port)).returncode)

    def test_busy_port(self) -> None:
        """A port in use stops the start with one line that names it."""
        with self.assertRaises(RuntimeError) as caught:
            OrthancProcess(DicomServerEnabled=True, DicomPort=self.port)
        self.assertIn(f"cannot listen on *:{self.port}", str(caught.exception))


def association_request() -> bytes:
    """A-ASSOCIATE-RQ for verification."""
    from orthanc_tw.net.pdu import AssociateRequest, ProposedContext, encode_request
    from orthanc_tw.net.user_items import UserInformation

    context = ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",))
    return encode_request(AssociateRequest("ORTHANC", "SLOW", (context,), UserInformation(16384)))
