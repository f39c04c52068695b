"""Jobs ``OrthancPeerStore``, step by step, with a client in memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from orthanc_tw.jobs.interface import TransientFailure
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.peers.errors import (
    PeerAnswerError,
    PeerError,
    PeerStatusError,
    PeerTimeout,
    PeerTlsError,
    PeerUnauthorized,
    PeerUnreachable,
)
from orthanc_tw.peers.peer import OrthancPeer
from tests.jobs.kinds.sending import FILES, STORED, PeerStoreCase
from tests.rest.browsing import DATA

IMPLICIT = "1.2.840.10008.1.2"
MPEG = "1.2.840.10008.1.2.4.100"


class PeerStoreTests(PeerStoreCase):
    """Three instances."""

    def failure(self, **more: Any) -> OrthancError:
        """What the first instance fails with."""
        steps = self.kind.create(self.parameters(**more), None, self.context).steps()
        self.successResultOf(next(steps))
        error = self.failureResultOf(next(steps), OrthancError).value
        assert isinstance(error, OrthancError)
        return error

    def test_all(self) -> None:
        """Each instance is a step, and arrives as it is; the content shows no password."""
        job = self.kind.create(self.parameters(), None, self.context)
        seen = []
        for step in job.steps():
            self.successResultOf(step)
            seen.append(round(job.progress(), 2))
        self.assertEqual([0.33, 0.67, 1.0], sorted(set(seen) - {0.0}))
        self.assertEqual(self.files, {content for _, content, _ in self.client.sent})
        content = job.content()
        self.assertEqual(["http://peer/", "alice"], content["Peer"])
        self.assertEqual(str(sum(map(len, self.files))), content["Size"])
        self.assertNotIn("tops3cret", json.dumps([content, job.cursor()]))
        self.assertEqual("tops3cret", self.client.sent[0][0].password)

    def test_cursor(self) -> None:
        """A job goes on after the last instance that was sent, in another process."""
        job = self.kind.create(self.parameters(), None, self.context)
        for step in job.steps():
            self.successResultOf(step)
            if len(self.client.sent) == 2:
                break
        cursor = json.loads(json.dumps(job.cursor()))
        job.abandon()
        again = self.kind.create(self.parameters(), cursor, self.context)
        self.run_all(again.steps())
        self.assertEqual(3, len(self.client.sent))
        self.assertEqual(str(sum(map(len, self.files))), again.content()["Size"])

    def test_compress(self) -> None:
        """The bodies are gzip, and say so; no spool is left."""
        job = self.kind.create(self.parameters(compress=True), None, self.context)
        self.run_all(job.steps())
        self.assertEqual(
            self.files, {zlib.decompress(content, 31) for _, content, _ in self.client.sent}
        )
        self.assertEqual(
            {"gzip"}, {headers["Content-Encoding"] for *_, headers in self.client.sent}
        )
        self.assertEqual(
            str(sum(len(content) for _, content, _ in self.client.sent)), job.content()["Size"]
        )

    def test_transcode(self) -> None:
        """Instances are sent in another transfer syntax; those that have it as they are."""
        job = self.kind.create(self.parameters(transcode=IMPLICIT), None, self.context)
        self.run_all(job.steps())
        sent = [content for _, content, _ in self.client.sent]
        self.assertEqual(3, sum(IMPLICIT.encode() + b"\0" in content[:600] for content in sent))
        (kept,) = self.files & set(sent)
        self.assertEqual(kept, (DATA / FILES[2]).read_bytes())
        self.assertEqual(IMPLICIT, job.content()["Transcode"])

    def test_no_transcoding(self) -> None:
        """What cannot be transcoded is sent as it is."""
        job = self.kind.create(self.parameters(transcode=MPEG), None, self.context)
        self.run_all(job.steps())
        self.assertEqual(self.files, {content for _, content, _ in self.client.sent})

    def test_transient(self) -> None:
        """What may pass is told as such, what will not is not."""
        failures: Sequence[tuple[PeerError, bool]] = (
            (PeerUnreachable("b", "x"), True),
            (PeerTimeout("b", "x"), True),
            (PeerStatusError("b", "x", 503), True),
            (PeerStatusError("b", "x", 404), False),
            (PeerUnauthorized("b", "x", 401), False),
            (PeerTlsError("b", "x"), False),
        )
        for error, is_transient in failures:
            self.client.answers = [error]
            found = self.failure()
            self.assertEqual(is_transient, isinstance(found, TransientFailure), error)
            self.assertEqual((error.code, "Peer b: x"), (found.code, found.details))

    def test_no_file(self) -> None:
        """An instance whose file is lost is named."""
        file = self.server.index.read_now(
            lambda tx: tx.attachment_of(ResourceType.INSTANCE, self.ids[0], ContentType.DICOM)
        )
        assert file is not None
        self.server.storage.delete([file.uuid])
        error = self.failure()
        self.assertIs(ErrorCode.INEXISTENT_FILE, error.code)
        self.assertIn(self.ids[0], str(error.details))

    def test_no_orthanc(self) -> None:
        """A web server that answers 200 to anything has stored nothing."""
        for answer in (b"<html>", b"[]", b"{}", b'{"Status": "Failure"}'):
            self.client.answers = [answer]
            self.assertIsInstance(self.failure(), PeerAnswerError)

    def test_permissive(self) -> None:
        """With ``Permissive`` an instance that fails is counted, with its reason."""
        self.client.answers = [STORED, PeerStatusError("b", "HTTP status 400", 400)]
        job = self.kind.create(self.parameters(permissive=True), None, self.context)
        self.run_all(job.steps())
        self.assertEqual([self.ids[1]], list(self.context.failed_instances))
        self.assertIn("HTTP status 400", self.context.failed_instances[self.ids[1]])
        self.assertEqual((2, 1.0), (len(self.client.sent), job.progress()))
        self.assertEqual(1, job.content()["FailedInstancesCount"])

    def test_size(self) -> None:
        """``Size`` has what was read for a peer that was not there, once however often tried."""
        sizes = {}
        for name in FILES:
            content = (DATA / name).read_bytes()
            sizes[self.server.upload(name)["ID"]] = len(content)
        self.client.answers = [STORED, PeerUnreachable("b", "x"), PeerUnreachable("b", "x")]
        cursor: Any = None
        for expected in (2, 2, 3):
            job = self.kind.create(self.parameters(), cursor, self.context)
            for step in job.steps():
                found: list[object] = []
                step.addBoth(found.append)
                if isinstance(found[0], Failure):
                    break
            total = sum(sizes[one] for one in self.ids[:expected])
            self.assertEqual(str(total), job.content()["Size"])
            cursor = json.loads(json.dumps(job.cursor()))

    def test_new_password(self) -> None:
        """A peer that was put right meanwhile is used as it is now."""
        parameters = self.parameters()
        new = OrthancPeer.from_json("b", ["http://peer/", "alice", "new"])
        self.successResultOf(self.registry.put("b", new))
        self.run_all(self.kind.create(parameters, None, self.context).steps())
        self.assertEqual("new", self.client.sent[0][0].password)

    def test_cancel(self) -> None:
        """Cancelling a step cancels the request; even a permissive job does not go on."""
        cancelled: list[object] = []
        self.client.answers = [Deferred(cancelled.append)]
        job = self.kind.create(self.parameters(permissive=True), None, self.context)
        steps = job.steps()
        self.successResultOf(next(steps))
        step = next(steps)
        self.assertNoResult(step)
        step.cancel()
        self.failureResultOf(step, CancelledError)
        self.assertEqual(1, len(cancelled))
        self.assertTrue(self.context.pause_interrupts)
        self.assertEqual({}, self.context.failed_instances)
