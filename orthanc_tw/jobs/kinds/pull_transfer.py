"""Job ``PullTransfer``: fetches resources from a peer in buckets, and stores all or none of them.

Buckets go to the folder of the job, so that it goes on where it was after a pause or a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.transfers.buckets import (
    TransferInstance,
    make_buckets,
    parse_instances,
)
from orthanc_tw.core.transfers.commit import CommitInterrupted, TransferCommitter
from orthanc_tw.core.transfers.provisional import keeping
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.index.gateway import ReadTransaction, WriteTransaction
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, StepResult
from orthanc_tw.jobs.kinds.transfer_job import TransferJob, TransferKind
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.peers.client import json_of
from orthanc_tw.peers.errors import PeerAnswerError, PeerError
from orthanc_tw.storage.interface import Storage
from orthanc_tw.storage.spool import MEMORY_BYTES, FileSpool

PULL_TRANSFER = "PullTransfer"
#: How the index names a job.
_TRANSFER = "pull "
#: About 400,000 instances: as many as a push may announce to this server.
_LOOKUP_BYTES = 64 * 1024 * 1024
#: What gzip may add to bytes that cannot be compressed, at most and by far.
_GZIP_SLACK = 64 * 1024


@dataclass(frozen=True, slots=True)
class PullTransferKind(TransferKind):
    """A `JobKind`."""

    NAME = PULL_TRANSFER
    committer: TransferCommitter
    storage: Storage
    is_read_only: bool = False

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return PullTransferJob(self, parameters, cursor, context)

    def keeping(self, job_id: str) -> Callable[[WriteTransaction], None]:
        """See `StoresProvisionally`."""
        return keeping(_TRANSFER + job_id)

    def take_back(self, job_id: str) -> Deferred[None]:
        """See `StoresProvisionally`."""
        return Deferred.fromCoroutine(self.committer.provisional.take_back(_TRANSFER + job_id))

    def sweep(self) -> Deferred[None]:
        """See `StoresProvisionally`; a server that only reads leaves it to another start."""
        if self.is_read_only:
            return succeed(None)
        return Deferred.fromCoroutine(self.committer.provisional.sweep(_TRANSFER, _is_over))


class PullTransferJob(TransferJob):
    """A `Job`."""

    MOVED = "DownloadedSizeMB"

    def __init__(
        self,
        kind: PullTransferKind,
        parameters: JsonObject,
        cursor: JsonObject | None,
        context: JobContext,
    ) -> None:
        super().__init__(kind.network, parameters, context)
        self._kind = kind
        self._is_begun = cursor is not None
        self._reception: Reception | None = None
        self._wrong: list[int] = []

    def steps(self) -> Iterator[Deferred[Any]]:
        """Look up; fetch buckets; check, and fetch once more what is wrong; store."""
        for step in self._steps():
            yield step.addErrback(self._full)

    def _steps(self) -> Iterator[Deferred[Any]]:
        yield Deferred.fromCoroutine(self._begin())
        reception = self._reception
        assert reception is not None
        for is_last in (False, True):
            # A pause does not wait for a peer; to store is better ended.
            self._context.pause_interrupts = True
            yield from self._exchange(
                reception.missing(),
                partial(self._bucket, reception),
                lambda _: None,
                lambda: False,
            )
            self._context.pause_interrupts = False
            yield Deferred.fromCoroutine(self._check(reception, is_last=is_last))
            if not self._wrong:
                break
        self._traffic.end()
        yield Deferred.fromCoroutine(self._commit(reception))
        reception.close()

    def cursor(self) -> JsonObject | None:
        """Whether there is a plan; the rest stands in the folder."""
        return {"Planned": True} if self._is_begun else None

    def abandon(self) -> None:
        """Give up the requests under way."""
        super().abandon()
        if self._reception is not None:
            self._reception.close()

    def _instances(self) -> Sequence[TransferInstance]:
        return () if self._reception is None else self._reception.instances

    def _size_bytes(self) -> int:
        return 0 if self._reception is None else self._reception.size_bytes

    def _moved_bytes(self) -> int:
        return 0 if self._reception is None else self._reception.received_bytes

    def _full(self, failure: Failure) -> Failure | Deferred[Any]:
        error = failure.value
        if isinstance(error, PeerError) or not isinstance(error, OrthancError):
            return failure
        if error.code is not ErrorCode.FULL_STORAGE:
            return failure
        reason = error.details or "there is no space left"
        told = Failure(
            OrthancError(
                error.code, f"Peer {self._query.peer}: this server cannot take it all: {reason}"
            )
        )
        if self._reception is None:
            return told
        # Where there is no space, no row can be written either: not that of the job, nor what
        # takes back the instances that it has stored.
        return self._context.in_thread(self._reception.give_up).addBoth(lambda _: told)

    async def _begin(self) -> StepResult:
        folder = self._context.folder
        if self._is_begun:
            self._reception = await self._context.in_thread(Reception.open, folder, sync=False)
            return CHECKPOINT
        network = self._network
        peer = network.peer(self._query.peer)
        body = json.dumps([resource.to_json() for resource in self._query.resources]).encode()
        found = await network.post(
            peer, "transfers/lookup", body, is_opening=True, maximum_bytes=_LOOKUP_BYTES
        )
        # A patient may have a hundred thousand instances.
        answer = await self._context.in_thread(json_of, peer, found)
        if not isinstance(answer, dict) or "Instances" not in answer:
            raise PeerAnswerError(peer.name, "it has answered no list of instances")
        if self._query.originator and answer.get("Originator") != self._query.originator:
            raise OrthancError(
                ErrorCode.NETWORK_PROTOCOL,
                f"Peer {peer.name}: it is not the server that has asked for this transfer: "
                "is RemoteSelf right in its configuration of this server?",
            )
        try:
            instances = await self._context.in_thread(parse_instances, answer["Instances"])
        except OrthancError as error:
            raise PeerAnswerError(peer.name, error.details or str(error)) from None
        buckets = make_buckets(instances, network.settings.bucket_bytes)
        await self._context.in_thread(self._context.make_folder)
        self._reception = await self._context.in_thread(
            Reception.create, folder, instances, buckets, sync=False
        )
        self._is_begun = True
        return CHECKPOINT

    async def _bucket(self, reception: Reception, number: int) -> int:
        await self._network.insist(
            lambda: self._download(reception, number), progress=self._went_well
        )
        return reception.buckets[number].size_bytes

    async def _download(self, reception: Reception, number: int) -> None:
        bucket = reception.buckets[number]
        compressed = self._query.compressed
        most = bucket.size_bytes + (_GZIP_SLACK + bucket.size_bytes // 100 if compressed else 0)
        peer = self._network.peer(self._query.peer)
        spool = FileSpool(self._kind.storage.new_path, with_md5=False)

        def consume(data: bytes) -> Deferred[Any] | None:
            if spool.size_bytes + len(data) > most:
                raise PeerAnswerError(peer.name, "it has sent more than was asked for")
            if spool.size_bytes + len(data) <= MEMORY_BYTES:
                spool.write(data)
                return None
            return self._context.in_thread(spool.write, data)

        names = ".".join(reception.instances[chunk.instance].public_id for chunk in bucket.chunks)
        path = (
            f"transfers/chunks/{names}?offset={bucket.offset}&size={bucket.size_bytes}"
            f"&compression={self._query.compression}"
        )
        try:
            await self._network.client.stream(peer, "GET", path, consume)
            await self._context.in_thread(_write, reception, number, spool, compressed)
        except OrthancError as error:
            if error.code is ErrorCode.NETWORK_PROTOCOL and not isinstance(error, PeerError):
                raise PeerAnswerError(peer.name, error.details or str(error)) from None
            raise
        finally:
            spool.discard()

    async def _check(self, reception: Reception, *, is_last: bool) -> None:
        try:
            self._wrong = await self._kind.committer.wrong(reception)
        except CommitInterrupted:
            return
        if not self._wrong:
            return
        if is_last:
            names = ", ".join(reception.instances[one].public_id for one in self._wrong[:10])
            raise OrthancError(
                ErrorCode.CORRUPTED_FILE,
                f"Peer {self._query.peer}: {len(self._wrong)} instances do not have the MD5 that "
                f"it has announced: {names}",
            )
        await self._context.in_thread(reception.forget, self._wrong)

    async def _commit(self, reception: Reception) -> None:
        origin = StoreOrigin(RequestOrigin.PLUGINS, transfer=_TRANSFER + self._context.job_id)
        try:
            await self._kind.committer.commit(reception, origin)
        except CommitInterrupted:
            # The engine is stopping too, and has asked this job to.
            return


def _is_over(tx: ReadTransaction, job_id: str) -> bool:
    row = tx.job(job_id)
    return row is None or row.state == JobState.FAILURE.value


def _write(reception: Reception, number: int, spool: FileSpool, compressed: bool) -> None:
    with spool.reader() as file:
        reception.write(number, file, compressed=compressed)
