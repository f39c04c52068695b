"""What a job ``OrthancPeerStore`` tells of a peer that fails it: which, why, and no secret."""

from __future__ import annotations

import atexit
import json
import ssl
import unittest
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.peers.accelerator import AcceleratorPeer
from tests.peers.process import OrthancProcess
from tests.peers.test_peers import numbered
from tests.rest.test_tls import certificate

PASSWORD = "a-very-secret-password"
TOKEN = "a-very-secret-token"


@cache
def server() -> tuple[OrthancProcess, str]:
    """A server for all tests, and its instance."""
    started = OrthancProcess(HttpVerbose=True, HttpTimeout=1)
    atexit.register(started.destroy)
    return started, json.loads(started.request("POST", "/instances", numbered(1)[0])[2])["ID"]


class PeerFailureTests(unittest.TestCase):
    """A job for each way to fail."""

    def setUp(self) -> None:
        """A peer."""
        self.server, self.instance = server()
        self.peer = AcceleratorPeer()
        self.addCleanup(self.peer.close)

    def job(self, url: str = "") -> Any:
        """The job that sends to the peer, when it has ended; and every page that may tell of it."""
        settings = {
            "Url": url or self.peer.url,
            "Username": "alice",
            "Password": PASSWORD,
            "HttpHeaders": {"X-Token": TOKEN},
        }
        self.server.request("PUT", "/peers/other", json.dumps(settings).encode())
        body = {"Resources": [self.instance], "Asynchronous": True}
        answer = self.server.json("POST", "/peers/other/store", body)
        job = self.server.wait_for_job(answer["ID"])
        shown = [job, self.server.json("GET", "/peers?expand"), self.server.log()]
        for secret in (PASSWORD, TOKEN):
            self.assertNotIn(secret, json.dumps(shown))
        return job

    def test_answers(self) -> None:
        """Each has its code, its words, the name of the peer, and what the peer says."""
        full = {"OrthancStatus": 19, "Details": f"no room for {PASSWORD} of {TOKEN}"}
        for status, body, code, description, reason in (
            (507, b"", 19, "The file storage is full", "it has no room"),
            (500, full, 19, "The file storage is full", "no room for *** of ***"),
            (401, b"", 29, "Bad credentials", "user name or password is wrong"),
            (403, b"", 29, "Bad credentials", "does not allow"),
            (404, b"", 9, "Error in the network protocol", "HTTP status 404"),
            (302, b"", 9, "Error in the network protocol", "redirections are not followed"),
            (200, b"<html>", 9, "Error in the network protocol", "as an Orthanc does"),
            (200, {"Status": "Failure"}, 9, "Error in the network protocol", "could not store"),
        ):
            self.peer.mend()
            self.peer.fault("POST", "^/instances$", _replies(status, body))
            job = self.job()
            self.assertEqual(("Failure", code), (job["State"], job["ErrorCode"]), job)
            self.assertIn(description, job["ErrorDescription"])
            self.assertTrue(job["ErrorDetails"].startswith("Peer other: "), job)
            self.assertIn(reason, job["ErrorDetails"])

    def test_echo(self) -> None:
        """A peer that says what it was sent: user, password and headers are not passed on."""

        def echo(handler: Any) -> bool:
            said = ", ".join(f"{name}: {value}" for name, value in handler.headers.items())
            return bool(handler.reply(400, {"Details": f"alice, an alicelike: {said}"}))

        self.peer.fault("POST", "^/instances$", echo)
        details = self.job()["ErrorDetails"]
        ((_, _, headers, _),) = self.peer.asked("POST", "^/instances$")
        self.assertIn("(***, an alicelike: ", details)
        self.assertNotIn(headers["authorization"].split()[1], details)

    def test_certificate(self) -> None:
        """A certificate that nobody here trusts."""
        pem = self.server.folder / "peer.pem"
        pem.write_bytes(b"".join(certificate("localhost", "127.0.0.1")))
        url = self.peer.url.replace("http:", "https:")
        self.peer.use_tls(_context(pem))
        job = self.job(url)
        self.assertEqual(("Failure", 39), (job["State"], job["ErrorCode"]), job)
        self.assertIn("certificate verify failed", job["ErrorDetails"])

    def test_headers(self) -> None:
        """The peer gets user, password and headers with every request."""
        self.assertEqual("Success", self.job()["State"])
        ((_, _, headers, body),) = self.peer.asked("POST", "^/instances$")
        self.assertTrue(headers["authorization"].startswith("Basic "))
        self.assertEqual((TOKEN, numbered(1)), (headers["x-token"], [body]))

    def test_straight(self) -> None:
        """What the peer says of a file is in the log, and Orthanc's words in the answer."""
        self.peer.fault("POST", "^/instances$", _replies(400, {"Details": "what is that?"}))
        self.job()
        answer = self.server.request("POST", "/peers/other/store-straight", b"nope")
        details = "Cannot send DICOM to remote peer: other"
        self.assertEqual((500, details), (answer[0], json.loads(answer[2])["Details"]))
        self.assertIn("Straight store: Peer other: HTTP status 400", self.server.log())


def _context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _replies(status: int, body: Any) -> Callable[[Any], bool]:
    return lambda handler: handler.reply(status, body)
