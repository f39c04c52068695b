"""Two servers in memory with the accelerator, and a client that goes from one to the other."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.store import InstanceStore, StoreSettings
from orthanc_tw.core.transfers.commit import TransferCommitter
from orthanc_tw.core.transfers.concatenation import InflatedFiles
from orthanc_tw.core.transfers.lookup import TransferLookup
from orthanc_tw.core.transfers.transactions import PushTransactions
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.jobs.interface import Job, JobContext
from orthanc_tw.jobs.kinds.pull_transfer import PullTransferKind
from orthanc_tw.jobs.kinds.push_transfer import PushTransferKind
from orthanc_tw.jobs.kinds.transfer_network import TransferJobSettings, TransferNetwork
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.peers.client import PeerAnswer
from orthanc_tw.peers.errors import PeerStatusError, PeerUnreachable
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.rest.routes.explorer import ExplorerRoutes
from orthanc_tw.rest.routes.push_transactions import PushTransactionRoutes
from orthanc_tw.rest.routes.transfers import TransferRoutes
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.testing.requests import InMemorySite
from tests.rest.browsing import Server

#: The time of day when a test begins: files are later, whatever the real one is.
START_S = 1_000_000_000.0
FILES = tuple(f"test_files/{name}.dcm" for name in ("CT_small", "MR_small", "rtplan"))


class MemoryPeerClient:
    """As much of a `PeerClient` as the accelerator wants, over a site in memory.

    :ivar asked: methods and paths
    :ivar timeouts_s: that were asked for, by the last part of the path
    :ivar lost: as many of the next requests find no peer
    :ivar is_down: whether no request finds a peer now
    :ivar held: what is asked of a path with this end is never answered
    :ivar waiting: if not None, requests wait until these fire
    :ivar spoil: changes the body of an answer that is streamed
    """

    def __init__(self) -> None:
        self.site: InMemorySite
        self.asked: list[tuple[str, str]] = []
        self.timeouts_s: dict[str, float | None] = {}
        self.lost = 0
        self.is_down: Callable[[], bool] = lambda: False
        self.held: str | None = None
        self.waiting: list[Deferred[None]] | None = None
        self.spoil: Any = lambda body: body

    async def request(
        self,
        peer: OrthancPeer,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        maximum_bytes: int = 0,
    ) -> PeerAnswer:
        self.asked.append((method, path.partition("?")[0]))
        self.timeouts_s[path.rpartition("/")[2]] = timeout_s
        if self.held is not None and path.endswith(self.held):
            await Deferred()
        if self.waiting is not None:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        if self.lost or self.is_down():
            self.lost -= bool(self.lost)
            raise PeerUnreachable(peer.name, "refused")
        if body is not None and not isinstance(body, bytes):
            reader = body.open()
            body = reader.read(body.size_bytes)
            reader.close()
        answer = self.site.ask(method, f"/{path}", body, headers)
        if answer.status != 200:
            raise PeerStatusError(peer.name, f"status {answer.status}", answer.status)
        return PeerAnswer(200, {}, {}, answer.body)

    async def stream(
        self, peer: OrthancPeer, method: str, path: str, consume: Any, **_: Any
    ) -> PeerAnswer:
        answer = await self.request(peer, method, path)
        body = self.spoil(answer.body)
        for at in range(0, len(body), 1000):
            waiting = consume(body[at : at + 1000])
            if waiting is not None:
                await waiting
        return answer

    async def get_json(
        self, peer: OrthancPeer, path: str, *, timeout_s: float | None = None
    ) -> Any:
        return json.loads((await self.request(peer, "GET", path, timeout_s=timeout_s)).body)

    async def post_json(self, peer: OrthancPeer, path: str, value: Any, **_: Any) -> Any:
        answer = await self.request(peer, "POST", path, body=json.dumps(value).encode())
        return json.loads(answer.body)


class Side:
    """A server: its routes of the accelerator, its kinds of jobs.

    :ivar peer: as which it asks the other one
    :ivar submitted: jobs that its routes have submitted
    """

    def __init__(self, test: Any, **options: Any) -> None:
        self.folder = tempfile.mkdtemp(prefix="orthanc-tw-")
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        numbers = itertools.count()
        self.storage = FilesystemStorage(
            f"{self.folder}/storage",
            sync=False,
            with_md5=True,
            uuid_source=lambda: f"{next(numbers):08x}-0000-4000-8000-000000000000",
        )
        self.server = Server(options, storage=self.storage)
        self.index = self.server.index
        tags = MainDicomTags.from_configuration()
        self.store = InstanceStore(
            self.index,
            self.storage,
            StoreSettings(),
            read_summary=lambda file, size: read_summary(
                file, size, tags, self.server.runtime.default_encoding
            ),
            in_thread=maybeDeferred,
            spawn=lambda work, failed: maybeDeferred(work).addErrback(failed),
            clock=lambda: 1.0,
        )
        self.clock = Clock()
        self.client = MemoryPeerClient()
        self.peer = OrthancPeer("other", "http://other/")
        self.files = InflatedFiles(self.storage, 1 << 20)
        self.lookup = TransferLookup(self.index, self.storage, maybeDeferred)
        self.committer = self.new_committer()
        self.transactions = self.new_transactions()
        self.submitted: list[Any] = []
        client: Any = self.client
        engine: Any = self
        self.site = InMemorySite(
            TransferRoutes(
                engine,
                self.lookup,
                self.files,
                client,
                lambda: ["other"],
                self.named,
                maybeDeferred,
                originator="me",
                connectivity_timeout_s=2,
            ),
            _Latest(self),
            ExplorerRoutes(),
            storage=self.storage,
        )
        self.use(TransferJobSettings(threads=2, bucket_bytes=9000, retries=1))

    def use(
        self,
        settings: TransferJobSettings,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """Make kinds of jobs with these settings."""
        client: Any = self.client
        network = TransferNetwork(client, self.named, self.clock, chance, settings)
        self.pull = PullTransferKind(network, self.committer, self.storage)
        self.push = PushTransferKind(network, self.lookup, self.files, self.storage)

    def new_committer(self) -> TransferCommitter:
        """One, as after a start."""
        return TransferCommitter(self.index, self.store, maybeDeferred, 2)

    def new_transactions(self, maximum: int = 2) -> PushTransactions:
        """Those of the folder, as after a start."""
        ids, seconds = itertools.count(), itertools.count()
        return PushTransactions(
            f"{self.folder}/transfers",
            self.new_committer(),
            maybeDeferred,
            maximum,
            lambda: f"transaction-{next(ids)}",
            lambda: START_S + self.clock.seconds(),
            # Each look at it is a second later.
            lambda: float(next(seconds)),
        )

    def named(self, name: str) -> OrthancPeer:
        """The other one."""
        if name != "other":
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        return self.peer

    def submit(self, request: Any) -> Deferred[str]:
        """See `JobsEngine`."""
        self.submitted.append(request)
        return maybeDeferred(lambda: "job")

    def instances(self) -> list[str]:
        """Public identifiers."""
        rows = self.index.read_now(lambda tx: tx.page(ResourceType.INSTANCE))
        return sorted(row.public_id for row in rows)

    def context(self) -> JobContext:
        """Of a job with its folder."""
        folder = f"{self.folder}/job"
        return JobContext("job", folder, lambda: os.makedirs(folder, exist_ok=True), maybeDeferred)


class _Latest:
    """The routes of the transactions that a side has now: a test may start others."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def routes(self) -> Any:
        return PushTransactionRoutes(self, maybeDeferred).routes()  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: getattr(self._side.transactions, name)(*args, **kwargs)


def drive(test: SynchronousTestCase, job: Job, side: Side, steps: int = 1000) -> None:
    """Take steps; fail as the first of them fails. Time passes by half seconds."""
    for step in job.steps():
        ended: list[Any] = []
        step.addBoth(ended.append)
        while not ended:
            test.assertTrue(side.clock.getDelayedCalls(), "nothing is going on")
            side.clock.advance(0.5)
        if isinstance(ended[0], Failure):
            ended[0].raiseException()
        steps -= 1
        if not steps:
            job.abandon()
            return


def query(side: Side, compression: str = "gzip", **fields: Any) -> dict[str, Any]:
    """The parameters of a job about all instances of a side."""
    resources = [{"Level": "Instance", "ID": one} for one in side.instances()]
    return {"Resources": resources, "Compression": compression, "Peer": "other", **fields}


def announced(source: Side, target: Side, **fields: Any) -> Any:
    """The answer to a push transaction about all instances of the source, a bucket each."""
    resources = json.dumps(query(source)["Resources"]).encode()
    instances = source.site.ask("POST", "/transfers/lookup", resources).json()["Instances"]
    buckets = [[{"ID": one["ID"], "Offset": "0", "Size": one["Size"]}] for one in instances]
    body = {"Buckets": buckets, "Compression": "none", "Instances": instances, **fields}
    return target.site.ask("POST", "/transfers/push", json.dumps(body).encode())


def held_commit(
    test: SynchronousTestCase, side: Side, path: str
) -> tuple[Deferred[None], Deferred[None]]:
    """Begin the commit of a push transaction; it stores nothing before the first one fires."""
    held: Deferred[None] = Deferred()
    store: Any = side.store.store

    async def slowly(*args: Any) -> Any:
        await held
        return await store(*args)

    test.patch(side.store, "store", slowly)
    transaction = path.rpartition("/")[2]
    return held, Deferred.fromCoroutine(side.transactions.commit(transaction))


def two_sides(test: Any, **options: Any) -> tuple[Side, Side]:
    """One with three instances, and an empty one; each is the peer of the other."""
    source, target = Side(test, **options), Side(test)
    source.client.site, target.client.site = target.site, source.site
    for name in FILES:
        source.server.upload(name)
    return source, target
