"""What tests of jobs that send instances share: three instances, and the context of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.jobs.interface import JobContext
from orthanc_tw.jobs.kinds.modality_store import ModalityStoreKind, store_parameters
from orthanc_tw.jobs.kinds.peer_sender import PeerSender
from orthanc_tw.jobs.kinds.peer_store import PeerStoreKind, peer_store_parameters
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.store_session import StoreSettings
from orthanc_tw.net.transcoding import WorkerTranscoder
from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.client import PeerAnswer
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.registry import PeerRegistry
from orthanc_tw.testing.workers import run_here
from tests.net.fakes import MODALITY, FakePool
from tests.rest.browsing import DATA, Server

FILES = tuple(f"test_files/{name}.dcm" for name in ("CT_small", "MR_small", "rtplan"))
PEER = OrthancPeer.from_json("b", ["http://peer/", "alice", "tops3cret"])
STORED = b'{"Status": "Success"}'


class SendingCase(SynchronousTestCase):
    """Three instances."""

    def setUp(self) -> None:
        """Store them."""
        self.server = Server()
        for name in FILES:
            self.server.upload(name)
        self.ids = sorted(
            row.public_id
            for row in self.server.index.read_now(lambda tx: tx.page(ResourceType.INSTANCE))
        )
        self.resources = [Resource(ResourceType.INSTANCE, public_id) for public_id in self.ids]
        self.context = JobContext("id", "", lambda: None, maybeDeferred)
        self.transcoder = FileTranscoder(self.server.storage, run_here)

    def run_all(self, steps: Iterator[Deferred[Any]]) -> None:
        """Every step, each of which has an end."""
        for step in steps:
            self.successResultOf(step)


class Commitments:
    """A `CommitmentRequester` that remembers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def request(
        self, modality: RemoteModality, instances: Any, timeout_s: int | None = None
    ) -> str:
        self.asked.append(list(instances))
        return "2.25.7"


class ModalityStoreCase(SendingCase):
    """A kind that sends them over associations in memory."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.pool = FakePool()
        self.commitments = Commitments()
        self.kind = ModalityStoreKind(
            self.server.index,
            self.server.storage,
            self.pool,
            StoreSettings(),
            WorkerTranscoder(self.transcoder, maybeDeferred, self.server.storage.new_spool),
            self.commitments,
        )

    def parameters(self, **more: Any) -> JsonObject:
        """Of all three, each a resource."""
        return store_parameters(
            MODALITY, self.resources, len(self.resources), local_aet="ME", **more
        )

    def sent(self) -> list[str]:
        """SOP instance UIDs, as they were sent."""
        return [asked[1].sop_instance_uid for asked in self.pool.log if asked[0] == "store"]


class Client:
    """Takes what `PeerClient` would send; answers, or raises, what the test has given it."""

    def __init__(self) -> None:
        self.sent: list[tuple[OrthancPeer, bytes, dict[str, str]]] = []
        self.answers: list[Any] = []

    async def request(
        self, peer: OrthancPeer, method: str, path: str, *, body: FileBody, headers: Any, **_: Any
    ) -> PeerAnswer:
        answer = self.answers.pop(0) if self.answers else STORED
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        with body.open() as file:
            content = file.read()
        assert (method, path, len(content)) == ("POST", "instances", body.size_bytes)
        self.sent.append((peer, content, headers))
        return PeerAnswer(200, {}, {}, answer)


class PeerStoreCase(SendingCase):
    """A kind that sends them to a client in memory."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.files = {(DATA / name).read_bytes() for name in FILES}
        self.client = Client()
        self.registry = PeerRegistry({"b": PEER})
        client: Any = self.client
        sender = PeerSender(client, self.server.storage, self.transcoder, maybeDeferred)
        self.kind = PeerStoreKind(self.server.index, sender, self.registry)

    def parameters(self, **more: Any) -> JsonObject:
        """Of all three, each a resource; as they come back from the database."""
        found: JsonObject = json.loads(
            json.dumps(peer_store_parameters(PEER, self.resources, len(self.resources), **more))
        )
        return found
