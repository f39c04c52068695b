"""The transfers accelerator, with a peer that was written from the wire's description alone."""

from __future__ import annotations

import atexit
import gzip
import io
import json
import unittest
from collections.abc import Callable
from functools import cache
from typing import Any

import pydicom

from tests.peers.accelerator import AcceleratorPeer
from tests.peers.accelerator_client import (
    Answer,
    ask,
    pull,
    push,
    wait_for_job,
)
from tests.peers.dicom_peers import TEST_FILES
from tests.peers.process import OrthancProcess
from tests.peers.test_peers import numbered

PASSWORD = "a-very-secret-password"
UNKNOWN = "-".join(["00000000"] * 5)


def study() -> list[bytes]:
    """Three small instances, and one that does not fit into a bucket."""
    dataset = pydicom.dcmread(TEST_FILES / "CT_small.dcm")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.999"
    dataset.Rows, dataset.Columns, dataset.PixelData = 300, 500, bytes(range(250)) * 1200
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return [*numbered(3), file.getvalue()]


@cache
def server() -> OrthancProcess:
    """One of ours for all tests: small buckets, few tries."""
    started = OrthancProcess(
        StableAge=600,
        HttpTimeout=1,
        LogExportedResources=True,
        Transfers={"BucketSize": 64, "MaxHttpRetries": 1, "PeerConnectivityTimeout": 1},
    )
    atexit.register(started.destroy)
    return started


class AcceleratorTests(unittest.TestCase):
    """Each leaves the server empty, and has a peer of its own."""

    def setUp(self) -> None:
        """The peer has a study."""
        self.server = server()
        self.url = self.server.url
        self.peer = AcceleratorPeer(study())
        self.addCleanup(self.peer.close)
        self.peer.peers["tw"] = self.url
        self.files = dict(self.peer.files)
        self.levels = next(iter(self.peer.levels.values()))
        self.resources = [{"Level": "Study", "ID": self.levels["Study"]}]
        self.configure()
        self.addCleanup(self.empty)

    def configure(self, **fields: Any) -> None:
        """How ours knows the peer."""
        peer = {"Url": self.peer.url, "Username": "alice", "Password": PASSWORD, **fields}
        self.server.request("PUT", "/peers/peer", json.dumps(peer).encode())

    def empty(self) -> None:
        """Nothing is left here; and nothing told the password."""
        self.assertNotIn(PASSWORD, json.dumps(self.server.json("GET", "/jobs?expand")))
        for patient in self.server.json("GET", "/patients"):
            self.server.request("DELETE", f"/patients/{patient}")
        self.server.request("DELETE", "/exports")

    def upload(self) -> None:
        """The study is here, and not at the peer."""
        for file in self.files.values():
            self.server.request("POST", "/instances", file)
        self.peer.files.clear()
        self.peer.levels.clear()

    def start(self, route: str, **fields: Any) -> Answer:
        """Ask ours for a transfer."""
        query = {"Resources": self.resources, "Compression": "gzip", "Peer": "peer", **fields}
        return ask(self.url, "POST", f"/transfers/{route}", query)

    def transfer(self, route: str, **fields: Any) -> Any:
        """The job of a transfer that ours begins, when it has ended."""
        answer = self.start(route, **fields).json()
        self.assertEqual({"ID": answer["ID"], "Path": f"/jobs/{answer['ID']}"}, answer)
        return wait_for_job(self.url, answer["ID"])

    def assert_here(self, files: dict[str, bytes]) -> None:
        """Ours has these files and no others."""
        self.assertEqual(sorted(files), self.server.json("GET", "/instances"))
        for public_id, file in files.items():
            self.assertEqual(file, self.server.request("GET", f"/instances/{public_id}/file")[2])

    def test_pull(self) -> None:
        """What resources of several levels, named twice, have in common arrives once."""
        for compression in ("gzip", "none"):
            instance = {"Level": "Instance", "ID": self.levels["Instance"]}
            patient = {"Level": "Patient", "ID": self.levels["Patient"]}
            resources = [instance, *self.resources, patient, instance]
            job = self.transfer("pull", Resources=resources, Compression=compression)
            self.assertEqual("Success", job["State"], job)
            content = job["Content"]
            self.assertEqual((4, compression), (content["TotalInstances"], content["Compression"]))
            self.assert_here(self.files)

    def test_push(self) -> None:
        """Every request has the cookie of the first; what is sent is logged."""
        for compression in ("gzip", "none"):
            self.upload()
            job = self.transfer("send", Compression=compression)
            self.assertEqual(("Success", "PushTransfer"), (job["State"], job["Type"]), job)
            self.assertEqual(self.files, self.peer.files)
        first, second = self.server.json("GET", "/exports")["Exports"]
        self.assertEqual(("peer", "Study"), (first["RemoteModality"], first["ResourceType"]))
        self.assertEqual(self.levels["Study"], second["ID"])

    def test_pulled_from(self) -> None:
        """A peer takes buckets, at once and in pieces."""
        self.upload()
        for compression in ("gzip", "none"):
            for target in (10_000, 64 * 1024, 10**9):
                found = pull(self.url, self.resources * 2, compression, target=target)
                self.assertEqual(self.files, found)
        answer = ask(self.url, "POST", "/transfers/lookup", [{"Level": "Study", "ID": UNKNOWN}])
        self.assertEqual(404, answer.status)

    def test_chunks(self) -> None:
        """Without range a chunk is all of it, and a cache may ask whether it is still the same."""
        self.upload()
        path = "/transfers/chunks/" + ".".join(self.files)
        whole = b"".join(self.files.values())
        answer = ask(self.url, "GET", path)
        self.assertEqual(whole, answer.body)
        cached = {"If-None-Match": answer.headers["etag"]}
        self.assertEqual((304, b""), _status(ask(self.url, "GET", path, headers=cached)))
        self.assertEqual(whole[9:], ask(self.url, "GET", f"{path}?offset=9&size=0").body)
        for query in (f"offset={len(whole) + 1}", "offset=-1", "size=x", "compression=zip"):
            answer = ask(self.url, "GET", f"{path}?{query}")
            self.assertEqual(400, answer.status)
            self.assertIn(query.partition("=")[0], json.loads(answer.body)["Details"].lower())
        self.assertEqual(404, ask(self.url, "GET", f"{path}.{UNKNOWN}").status)

    def test_pushed_to(self) -> None:
        """A peer sends buckets in any order, and commits with any body."""
        for compression, body in (("gzip", b""), ("none", b"{}")):
            answer = push(self.url, self.files, compression, commit=body)
            self.assertEqual((200, b"{}"), _status(answer))
            self.assert_here(self.files)
            self.empty()

    def test_pull_mode(self) -> None:
        """Each has the other fetch, and notices if that is not who has asked."""
        self.configure(RemoteSelf="tw")
        self.assertEqual({"peer": "bidirectional"}, self.peers())
        self.upload()
        answer = self.start("send").json()
        self.assertEqual(f"{self.peer.url}/jobs/{answer['RemoteJob']}", answer["URL"])
        ended = wait_for_job(self.peer.url, answer["RemoteJob"])
        self.assertEqual("Success", ended["State"])
        self.assertEqual(self.files, self.peer.files)
        self.empty()
        job = self.transfer("pull", Originator=self.peer.originator, SenderTransferID="x")
        self.assertEqual("Success", job["State"], job)
        job = self.transfer("pull", Originator="another")
        self.assertEqual(("Failure", 9), (job["State"], job["ErrorCode"]))
        self.assertIn("RemoteSelf", job["ErrorDetails"])

    def peers(self) -> Any:
        """What ours knows of the peers."""
        return ask(self.url, "GET", "/transfers/peers").json()

    def test_peers(self) -> None:
        """A peer without accelerator, or that does not say, is found out within the timeout."""
        self.assertEqual({"peer": "installed"}, self.peers())
        for action in (
            lambda handler: handler.reply(404),
            lambda handler: handler.reply(401),
            lambda handler: handler.reply(200, ["explorer.js"]),
            lambda handler: handler.reply(200, {"transfers": True}),
            lambda handler: handler.reply(200, b"<html>"),
            lambda handler: handler.silence(),
        ):
            self.peer.fault("GET", "/plugins", action, 1)
            self.assertEqual({"peer": "disabled"}, self.peers())

    def lookup(self, change: Callable[[Any], object]) -> Callable[[Any], bool]:
        """A peer that changes what it should answer."""

        def action(handler: Any) -> bool:
            found = self.peer.lookup(self.resources)
            change(found)
            return bool(handler.reply(200, found))

        return action

    def test_pull_fails(self) -> None:
        """Whatever the peer does, the job names it and the reason, and nothing is stored."""

        def instance(**fields: object) -> Callable[[Any], bool]:
            return self.lookup(lambda found: found["Instances"][1].update(fields))

        for path, action, code, reason in (
            ("lookup", instance(MD5="0" * 32), 20, "Peer peer: 1 instances do not have the MD5"),
            ("lookup", instance(Size="-1"), 9, '"Instances.Size" must be'),
            ("lookup", instance(Size=str(10**18)), 19, "no space"),
            ("lookup", instance(ID="../x"), 9, '"Instances.ID" must be'),
            ("lookup", _replies(200, [1]), 9, "no list of instances"),
            ("lookup", _replies(200, b"<html>"), 9, "no JSON"),
            ("lookup", _replies(404), 9, "no transfers accelerator"),
            ("lookup", _replies(401), 29, "user name or password"),
            ("lookup", _replies(403), 29, "does not allow"),
            ("lookup", _replies(507), 19, "Peer peer: it has no room"),
            ("lookup", _replies(307, Location="http://127.0.0.1:1/"), 9, "redirections"),
            ("lookup", _replies(500, {"Details": f"no {PASSWORD}"}), 9, "(no ***)"),
            ("chunks", _replies(200, b"no gzip"), 9, "not valid gzip"),
            ("chunks", _replies(200, gzip.compress(bytes(10**7))), 9, "must have"),
            ("chunks", _replies(404), 9, "404"),
        ):
            self.peer.fault("POST" if path == "lookup" else "GET", path, action)
            job = self.transfer("pull")
            self.peer.mend()
            self.assertEqual(("Failure", code), (job["State"], job["ErrorCode"]), job)
            self.assertIn(reason, job["ErrorDetails"])
            self.assertIn("Peer peer: ", job["ErrorDetails"])
            self.assertEqual([], self.server.json("GET", "/instances"))

    def test_pull_goes_on(self) -> None:
        """What is wrong, lost or cut off once is fetched again."""
        for action in (
            _replies(500),
            _replies(200, b"no gzip"),
            lambda handler: handler.truncate(b"cut off", 1000),
            lambda handler: handler.silence(),
        ):
            self.peer.fault("GET", "chunks", action, 1)
        self.assertEqual("Success", self.transfer("pull")["State"])
        self.assert_here(self.files)

    def test_nothing(self) -> None:
        """A study without instances is a transfer of nothing; one that is not there is none."""
        self.peer.fault("POST", "lookup", self.lookup(lambda found: found.update(Instances=[])))
        self.assertEqual("Success", self.transfer("pull")["State"])
        self.peer.mend()
        unknown = [{"Level": "Study", "ID": UNKNOWN}]
        self.assertEqual("Failure", self.transfer("pull", Resources=unknown)["State"])
        self.assertEqual(404, self.start("send", Resources=unknown).status)
        self.assertEqual(404, self.start("pull", Peer="nobody").status)

    def test_push_fails(self) -> None:
        """The job names the peer and the reason, and the peer's transaction is discarded."""
        self.upload()
        for method, path, action, code, reason in (
            ("POST", "push$", _replies(404), 9, "no transfers accelerator"),
            ("POST", "push$", _replies(401), 29, "user name or password"),
            ("POST", "push$", _replies(200, {}), 9, "no push transaction"),
            ("PUT", "push", _replies(500), 9, "500"),
            ("POST", "commit", _replies(400, {"Details": "why"}), 9, "(why)"),
            ("POST", "commit", _replies(507), 19, "no room"),
        ):
            self.peer.fault(method, path, action)
            job = self.transfer("send")
            self.peer.mend()
            self.assertEqual(("Failure", code), (job["State"], job["ErrorCode"]), job)
            self.assertIn("Peer peer: ", job["ErrorDetails"])
            self.assertIn(reason, job["ErrorDetails"])
            self.assertEqual(({}, {}), (self.peer.files, self.peer.transactions))

    def test_push_goes_on(self) -> None:
        """What fails once is sent again, in a new transaction if the first was lost."""
        self.upload()
        for path, action in (
            ("/0$", _replies(500)),
            ("/0$", _replies(404)),
        ):
            self.peer.fault("PUT", path, action, 1)
            self.assertEqual("Success", self.transfer("send")["State"])
            self.assertEqual(self.files, self.peer.files)
            self.peer.files.clear()


def _status(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


def _replies(status: int, body: Any = b"", **headers: str) -> Callable[[Any], bool]:
    return lambda handler: handler.reply(status, body, **headers)
