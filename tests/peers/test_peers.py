"""This server sends to Debian's Orthanc, and to another of its kind, over HTTP."""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import shutil
import socket
import tempfile
import time
import unittest
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import pydicom

from tests.peers.dicom_peers import (
    ORTHANC,
    TEST_FILES,
    ReferenceOrthanc,
    get_json,
    wait_until,
)
from tests.peers.process import OrthancProcess
from tests.ports import free_port

COUNT = 500
IMPLICIT = "1.2.840.10008.1.2"
PASSWORD = "a-very-secret-password"


def numbered(count: int) -> list[bytes]:
    """As many instances of one study."""
    dataset = pydicom.dcmread(TEST_FILES / "CT_small.dcm")
    found = []
    for number in range(count):
        dataset.SOPInstanceUID = f"1.2.3.4.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        found.append(file.getvalue())
    return found


def md5s(url: str) -> list[str]:
    """MD5 of every instance that a server has, sorted."""
    return sorted(
        hashlib.md5(_file(url, public_id)).hexdigest() for public_id in get_json(f"{url}/instances")
    )


def _file(url: str, public_id: str) -> bytes:
    with urllib.request.urlopen(f"{url}/instances/{public_id}/file", timeout=60) as answer:
        return bytes(answer.read())


@cache
def sender() -> tuple[OrthancProcess, str, list[str]]:
    """A server with a study of 500 instances, their study, and their MD5, sorted."""
    server = OrthancProcess(StableAge=600)
    atexit.register(server.destroy)
    files = numbered(COUNT)
    for file in files:
        answer = json.loads(server.request("POST", "/instances", file)[2])
    return server, answer["ParentStudy"], sorted(hashlib.md5(file).hexdigest() for file in files)


@unittest.skipUnless(ORTHANC, "there is no Orthanc here")
class ReferenceTests(unittest.TestCase):
    """500 instances, to the Orthanc of the distribution."""

    def setUp(self) -> None:
        """An empty peer."""
        self.server, self.study, self.sent = sender()
        self.peer = ReferenceOrthanc("PEER", free_port(), {})
        self.addCleanup(self.peer.destroy)
        self.server.request("PUT", "/peers/debian", json.dumps([self.peer.url]).encode())

    def store(self, **fields: Any) -> Any:
        """Send the study."""
        body = {"Resources": [self.study], **fields}
        return self.server.json("POST", "/peers/debian/store", body)

    def test_system(self) -> None:
        """The peer tells who it is."""
        self.assertEqual("PEER", self.server.json("GET", "/peers/debian/system")["DicomAet"])

    def test_synchronous(self) -> None:
        """Each arrives once, as it is; a second time changes nothing."""
        content = self.store()
        self.assertEqual((COUNT, 0), (content["InstancesCount"], content["FailedInstancesCount"]))
        self.assertEqual(self.sent, md5s(self.peer.url))
        self.store()
        self.assertEqual(self.sent, md5s(self.peer.url))

    def test_asynchronous(self) -> None:
        """A job, paused and resumed on its way."""
        job = self.store(Asynchronous=True)["ID"]
        wait_until(lambda: self.server.json("GET", f"/jobs/{job}")["Progress"] > 0)
        self.server.request("POST", f"/jobs/{job}/pause", b"")
        self.server.request("POST", f"/jobs/{job}/resume", b"")
        ended = self.server.wait_for_job(job)
        self.assertEqual(("Success", "OrthancPeerStore"), (ended["State"], ended["Type"]))
        self.assertEqual(self.sent, md5s(self.peer.url))

    def test_compressed(self) -> None:
        """The bodies are gzipped, and what is stored is not."""
        plain = sum(len(file) for file in numbered(1)) * COUNT
        content = self.store(Compress=True)
        self.assertLess(int(content["Size"]), plain)
        self.assertEqual(self.sent, md5s(self.peer.url))

    def test_transcoded(self) -> None:
        """Each arrives once, in the transfer syntax that was asked for."""
        content = self.store(Transcode=IMPLICIT)
        self.assertEqual((IMPLICIT, COUNT), (content["Transcode"], content["InstancesCount"]))
        found = get_json(f"{self.peer.url}/instances")
        self.assertEqual(COUNT, len(found))
        for public_id in found[::100]:
            dataset = pydicom.dcmread(io.BytesIO(_file(self.peer.url, public_id)))
            self.assertEqual(IMPLICIT, dataset.file_meta.TransferSyntaxUID)
            original = pydicom.dcmread(TEST_FILES / "CT_small.dcm")
            self.assertEqual(original.PixelData, dataset.PixelData)

    def test_straight(self) -> None:
        """A file that is not stored here."""
        content = (TEST_FILES / "rtplan.dcm").read_bytes()
        status, _, answer = self.server.request("POST", "/peers/debian/store-straight", content)
        self.assertEqual((200, "Success"), (status, json.loads(answer)["Status"]))
        self.assertEqual([hashlib.md5(content).hexdigest()], md5s(self.peer.url))

    def test_killed(self) -> None:
        """A server that is killed amid a job goes on with it when it starts again."""
        self.server.configure(
            StableAge=600, OrthancPeers={"debian": [self.peer.url]}, SaveJobs=True
        )
        job = self.store(Asynchronous=True)["ID"]
        wait_until(lambda: self.server.json("GET", f"/jobs/{job}")["Progress"] > 10)
        self.server.kill()
        self.server.start()
        self.assertEqual("Success", self.server.wait_for_job(job)["State"])
        self.assertEqual(self.sent, md5s(self.peer.url))


class FailureTests(unittest.TestCase):
    """What is told when a peer cannot be used; never its password."""

    def setUp(self) -> None:
        """A server that sends, with one instance."""
        self.server = OrthancProcess(HttpVerbose=True)
        self.addCleanup(self.server.destroy)
        content = (TEST_FILES / "CT_small.dcm").read_bytes()
        self.instance = json.loads(self.server.request("POST", "/instances", content)[2])["ID"]

    def failure(self, **peer: Any) -> Any:
        """The job that could not send to such a peer."""
        settings = {"Username": "alice", "Password": PASSWORD, **peer}
        self.server.request("PUT", "/peers/other", json.dumps(settings).encode())
        body = {"Resources": [self.instance], "Asynchronous": True}
        job = self.server.wait_for_job(self.server.json("POST", "/peers/other/store", body)["ID"])
        status, _, answer = self.server.request("GET", "/peers/other/system")
        self.assertEqual(500, status)
        self.assertIn("Peer other: ", json.loads(answer)["Details"])
        self.assertTrue(job["ErrorDetails"].startswith("Peer other: "), job["ErrorDetails"])
        shown = json.dumps([job, self.server.json("GET", "/peers?expand")]) + self.server.log()
        self.assertNotIn(PASSWORD, shown + answer.decode())
        return job

    def test_refused(self) -> None:
        """Nobody listens."""
        job = self.failure(Url=f"http://127.0.0.1:{free_port()}/")
        self.assertEqual(9, job["ErrorCode"])
        self.assertIn("connection refused", job["ErrorDetails"])

    def test_silent(self) -> None:
        """Nobody answers."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            job = self.failure(Url=f"http://127.0.0.1:{listening.getsockname()[1]}/", Timeout=1)
        self.assertEqual((16, "Timeout"), (job["ErrorCode"], job["ErrorDescription"]))

    def test_cancelled(self) -> None:
        """A job that waits for a peer is cancelled at once."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            self.server.request("PUT", "/peers/other", json.dumps([url]).encode())
            body = {"Resources": [self.instance], "Asynchronous": True}
            job = self.server.json("POST", "/peers/other/store", body)["ID"]
            wait_until(lambda: self.server.json("GET", f"/jobs/{job}")["State"] == "Running")
            started = time.monotonic()
            self.server.request("POST", f"/jobs/{job}/cancel", b"")
            ended = self.server.wait_for_job(job)
            self.assertLess(time.monotonic() - started, 1)
        self.assertEqual(37, ended["ErrorCode"])

    def test_wrong_password(self) -> None:
        """The peer does not know us; with the right password the same job succeeds."""
        other = OrthancProcess(AuthenticationEnabled=True, RegisteredUsers={"alice": "another"})
        self.addCleanup(other.destroy)
        job = self.failure(Url=other.url)
        self.assertEqual(29, job["ErrorCode"])
        self.assertIn("user name or password is wrong", job["ErrorDetails"])
        settings = {"Url": other.url, "Username": "alice", "Password": "another"}
        self.server.request("PUT", "/peers/other", json.dumps(settings).encode())
        self.server.request("POST", f"/jobs/{job['ID']}/resubmit", b"")
        ended = wait_until(lambda: _ended(self.server, job["ID"], "Success"))
        self.assertTrue(ended)

    def test_retry(self) -> None:
        """A peer that comes back is sent to, by the retry of the job."""
        other = OrthancProcess()
        self.addCleanup(other.destroy)
        other.stop()
        self.server.request("PUT", "/peers/other", json.dumps([other.url]).encode())
        retry = {"MaximumAttempts": 100, "InitialDelay": 0.1, "MaximumDelay": 0.2}
        body = {"Resources": [self.instance], "Asynchronous": True, "Retry": retry}
        job = self.server.json("POST", "/peers/other/store", body)["ID"]
        wait_until(lambda: self.server.json("GET", f"/jobs/{job}")["State"] == "Retry")
        other.start()
        self.assertEqual("Success", self.server.wait_for_job(job)["State"])
        self.assertEqual([self.instance], other.json("GET", "/instances"))

    def test_permissive(self) -> None:
        """Each instance that fails is counted, with its reason."""
        url = f"http://127.0.0.1:{free_port()}/"
        self.server.request("PUT", "/peers/other", json.dumps([url]).encode())
        body = {"Resources": [self.instance], "Permissive": True}
        content = self.server.json("POST", "/peers/other/store", body)
        self.assertEqual(1, content["FailedInstancesCount"])


class DatabaseTests(unittest.TestCase):
    """``OrthancPeersInDatabase``."""

    def test_restart(self) -> None:
        """A peer survives a restart, with its password, which is not shown."""
        server = OrthancProcess(OrthancPeersInDatabase=True)
        self.addCleanup(server.destroy)
        settings = {"Url": server.url, "Username": "me", "Password": PASSWORD, "RemoteSelf": "me"}
        server.request("PUT", "/peers/me", json.dumps(settings).encode())
        server.stop()
        server.start()
        shown = server.json("GET", "/peers/me/configuration")
        self.assertEqual((None, "me"), (shown["Password"], shown["RemoteSelf"]))
        self.assertEqual("ORTHANC", server.json("GET", "/peers/me/system")["DicomAet"])

    def test_pkcs11(self) -> None:
        """A peer with PKCS#11 is refused, in the configuration too."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        settings = {"Url": "https://x/", "Pkcs11": True}
        status, _, answer = server.request("PUT", "/peers/p", json.dumps(settings).encode())
        self.assertEqual(501, status)
        self.assertIn("Pkcs11", json.loads(answer)["Details"])
        server.stop()
        server.configure(OrthancPeers={"p": settings})
        with self.assertRaisesRegex(RuntimeError, "OrthancPeers.p: .*Pkcs11"):
            server.start()


def _ended(server: OrthancProcess, job: str, state: str) -> bool:
    return bool(server.json("GET", f"/jobs/{job}")["State"] == state)
