"""Job ``PushTransfer``: sends resources to a peer in buckets, which stores all or none of them.

The plan is kept in the folder of the job, the transaction of the peer in its cursor: after a pause
or a restart it goes on there. Should the peer have lost the transaction, a new one is begun.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from orthanc_tw.core.gzip_reader import gzip_into
from orthanc_tw.core.transfers.buckets import Bucket, TransferInstance, make_buckets
from orthanc_tw.core.transfers.concatenation import Concatenation, InflatedFiles
from orthanc_tw.core.transfers.lookup import TransferLookup
from orthanc_tw.core.transfers.plan import read_plan, write_plan
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, StepResult, TransientFailure
from orthanc_tw.jobs.kinds.instance_failure import with_instances
from orthanc_tw.jobs.kinds.transfer_job import TransferJob, TransferKind
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.client import json_of
from orthanc_tw.peers.errors import PeerAnswerError, PeerStatusError
from orthanc_tw.storage.interface import Storage
from orthanc_tw.storage.spool import FileSpool, storage_error

PUSH_TRANSFER = "PushTransfer"
#: How often a new transaction takes the place of one that the peer has lost.
_TRANSACTIONS = 4

_log = Logger()


@dataclass(frozen=True, slots=True)
class PushTransferKind(TransferKind):
    """A `JobKind`."""

    NAME = PUSH_TRANSFER
    lookup: TransferLookup
    files: InflatedFiles
    storage: Storage

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return PushTransferJob(self, parameters, cursor, context)


class PushTransferJob(TransferJob):
    """A `Job`."""

    MOVED = "UploadedSizeMB"

    def __init__(
        self,
        kind: PushTransferKind,
        parameters: JsonObject,
        cursor: Mapping[str, Any] | None,
        context: JobContext,
    ) -> None:
        super().__init__(kind.network, parameters, context)
        self._kind = kind
        context.pause_interrupts = True
        self._is_planned = cursor is not None
        cursor = cursor or {}
        self._transaction: str = cursor.get("Transaction", "")
        self._cookie: str = cursor.get("Cookie", "")
        self._begun: int = cursor.get("Begun", 0)
        # All buckets below this are there; of those above, only this run knows.
        self._low: int = cursor.get("Done", 0)
        self._above: set[int] = set()
        self._sent_bytes = 0
        self._total_bytes = 0
        self._plan: tuple[Sequence[TransferInstance], Sequence[Bucket]] = ((), ())
        self._is_lost = False
        self._is_committed = False

    def steps(self) -> Iterator[Deferred[Any]]:
        """Plan; transaction; buckets; commit."""
        yield Deferred.fromCoroutine(self._make_plan())
        while not self._is_committed:
            if not self._transaction:
                yield Deferred.fromCoroutine(self._open())
            yield from self._send()
            if not self._is_lost:
                self._traffic.end()
                yield Deferred.fromCoroutine(self._ended_well(self._commit()))
            if self._is_lost:
                yield Deferred.fromCoroutine(self._forget())

    def cursor(self) -> JsonObject | None:
        """The transaction, and how many buckets are there."""
        if not self._is_planned:
            return None
        return {
            "Transaction": self._transaction,
            "Cookie": self._cookie,
            "Begun": self._begun,
            "Done": self._low,
        }

    def _instances(self) -> Sequence[TransferInstance]:
        return self._plan[0]

    def _size_bytes(self) -> int:
        return self._total_bytes

    def _moved_bytes(self) -> int:
        return self._sent_bytes

    async def _make_plan(self) -> StepResult:
        if self._is_planned:
            self._plan = await self._context.in_thread(read_plan, self._context.folder)
        else:
            self._plan = await self._new_plan()
            self._is_planned = True
        buckets = self._plan[1]
        self._total_bytes = sum(bucket.size_bytes for bucket in buckets)
        self._sent_bytes = sum(bucket.size_bytes for bucket in buckets[: self._low])
        return CHECKPOINT

    async def _new_plan(self) -> tuple[Sequence[TransferInstance], Sequence[Bucket]]:
        instances = await self._kind.lookup.instances(self._query.resources)
        buckets = await self._context.in_thread(
            _buckets, instances, self._network.settings.bucket_bytes
        )
        await self._context.in_thread(self._context.make_folder)
        try:
            await self._context.in_thread(write_plan, self._context.folder, instances, buckets)
        except OSError as error:
            raise storage_error(error) from error
        return instances, buckets

    async def _open(self) -> StepResult:
        network = self._network
        peer = network.peer(self._query.peer)
        body = await self._context.in_thread(_announcement, *self._plan, self._query.compression)
        answer = await network.post(peer, "transfers/push", body, is_opening=not self._begun)
        value = json_of(peer, answer)
        identifier = value.get("ID") if isinstance(value, dict) else None
        if not isinstance(identifier, str) or not identifier:
            raise PeerAnswerError(peer.name, "it has answered no push transaction")
        # It goes into paths: what a peer sends is no path.
        self._transaction = quote(identifier, safe="")
        self._cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
        self._begun += 1
        self._is_lost = False
        return CHECKPOINT

    def _send(self) -> Iterator[Deferred[Any]]:
        for step in self._exchange(
            range(self._low, len(self._plan[1])), self._bucket, self._sent, lambda: self._is_lost
        ):
            yield Deferred.fromCoroutine(self._ended_well(step))
        # The end is not to be forgotten: the peer may not know any more what it has committed.
        yield succeed(CHECKPOINT)

    async def _bucket(self, number: int) -> int:
        instances, buckets = self._plan
        bucket = buckets[number]
        names = [instances[chunk.instance].public_id for chunk in bucket.chunks]
        files = await self._kind.lookup.files(names)
        opened = partial(Concatenation, self._kind.files, files, bucket.offset, bucket.size_bytes)
        spool = FileSpool(self._kind.storage.new_path, with_md5=False)
        try:
            body = FileBody(cast("Any", opened), bucket.size_bytes)
            if self._query.compressed:
                await self._context.in_thread(gzip_into, spool, opened)
                body = FileBody(spool.reader, spool.size_bytes)
            path = f"transfers/push/{self._transaction}/{number}"
            await self._network.insist(
                lambda: self._ask("PUT", path, body), progress=self._went_well
            )
        except OrthancError as error:
            raise with_instances(error, names) from None
        finally:
            spool.discard()
        return bucket.size_bytes

    def _sent(self, number: int) -> None:
        if self._is_lost:
            return
        self._sent_bytes += self._plan[1][number].size_bytes
        self._above.add(number)
        while self._low in self._above:
            self._above.discard(self._low)
            self._low += 1

    async def _commit(self) -> None:
        path = f"transfers/push/{self._transaction}/commit"
        timeout_s = self._network.settings.commit_timeout_s
        # A second request waits for the end of what the first has begun. Who gives up does not
        # know whether it was stored: a peer that has been restarted goes on with it.
        await self._network.insist(
            lambda: self._ask("POST", path, b"{}", timeout_s), patience_s=timeout_s
        )
        self._is_committed = not self._is_lost

    async def _ask(
        self, method: str, path: str, body: bytes | FileBody, timeout_s: float | None = None
    ) -> None:
        """A request about the transaction; notes if the peer does not know it any more."""
        network = self._network
        peer = network.peer(self._query.peer)
        try:
            await network.client.request(
                peer, method, path, body=body, headers=self._headers(), timeout_s=timeout_s
            )
        except PeerStatusError as error:
            if error.status != 404 or self._begun >= _TRANSACTIONS:
                raise
            self._is_lost = True

    def _headers(self) -> dict[str, str]:
        return {"Cookie": self._cookie} if self._cookie else {}

    async def _ended_well(self, step: Any) -> Any:
        """The same; the peer is told if the job fails or is cancelled with that."""
        try:
            return await step
        except TransientFailure:
            raise  # the job may be tried again
        except CancelledError:
            # A server that stops goes on with the same transaction.
            if self._context.is_final:
                await self._discard()
            raise
        except BaseException:
            await self._discard()
            raise

    async def _discard(self) -> None:
        network = self._network
        try:
            peer = network.peer(self._query.peer)
            path = f"transfers/push/{self._transaction}"
            await network.client.request(peer, "DELETE", path, headers=self._headers(), timeout_s=5)
        except Exception as error:
            _log.info("A push transaction was not discarded: {error}", error=error)

    async def _forget(self) -> StepResult:
        _log.warn(
            "Peer {peer} does not know the push transaction any more: a new one is begun",
            peer=self._query.peer,
        )
        self._transaction = self._cookie = ""
        self._low = self._sent_bytes = 0
        self._above.clear()
        return CHECKPOINT


def _buckets(instances: Sequence[TransferInstance], bucket_bytes: int) -> list[Bucket]:
    return list(make_buckets(instances, bucket_bytes))


def _announcement(
    instances: Sequence[TransferInstance], buckets: Sequence[Bucket], compression: str
) -> bytes:
    return json.dumps(
        {
            "Buckets": [bucket.to_json(instances) for bucket in buckets],
            "Compression": compression,
            "Instances": [one.to_json() for one in instances],
        }
    ).encode("ascii")
