"""Ingest: the one way into the server, whatever the door (HTTP, DIMSE, a peer, a job).

summary of the header -> file made durable -> row. Success is told when both are on disk.
Runs in the reactor thread, but for the commit of the file, whose thread hands over to the
writer of the index by itself. PS3.10 files only: pixels are
never looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.core.header_file import attachment_of, commit_header
from orthanc_tw.core.ingest_metadata import StoreOrigin, new_resources
from orthanc_tw.core.transcoding.ingest import IngestTranscoder
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.index.gateway import (
    Attachment,
    Index,
    NewInstance,
    StorageLimits,
    StoreOutcome,
    WriteTransaction,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, OverwriteInstances, StoreStatus
from orthanc_tw.storage.interface import Spool, Storage, StoredFile

InThread = Callable[..., Deferred[Any]]
ReadSummary = Callable[[BinaryIO, int], InstanceSummary]
Spawn = Callable[[Callable[[], None], Callable[[Failure], object]], object]
InTurn = Callable[[Callable[[], None]], None]
Extra = Mapping[ResourceType, Mapping[int, str]]

# Reading the header of anything larger than this may have to wait for the disk.
_READ_IN_REACTOR_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Options of ingest.

    :ivar overwrite: ``OverwriteInstances``
    :ivar compress: ``StorageCompression``
    :ivar limits: ``MaximumStorageSize``, ``MaximumPatientCount``, ``MaximumStorageMode``
    :ivar signatures: metadata ``MainDicomTagsSignature`` of each level
    """

    overwrite: OverwriteInstances = OverwriteInstances.NEVER
    compress: bool = False
    limits: StorageLimits = field(default_factory=StorageLimits)
    signatures: Mapping[ResourceType, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreResult:
    """How an ingest ended (SUCCESS or ALREADY_STORED), and the public identifiers."""

    status: StoreStatus
    patient: str
    study: str
    series: str
    instance: str


#: Told of what was stored, and where it came from.
Watcher = Callable[[StoreOrigin, StoreResult], object]


class InstanceStore:
    """Stores instances.

    :param index: the database
    :param storage: the storage area
    :param read_summary: reads the header of a file: ``read_summary(file, size_bytes)``
    :param in_thread: runs a function in a thread, Deferred of its result
    :param spawn: ``spawn(work, failed)`` runs a function in a thread; if it raises, ``failed``
        gets the Failure in the reactor thread
    :param clock: the time, POSIX seconds
    :param timer: monotonic seconds, for durations
    :param observe: ``observe(metric, value)``
    :param ingest: ``IngestTranscoding``, None if nothing is transcoded
    """

    _log = Logger()

    def __init__(
        self,
        index: Index,
        storage: Storage,
        settings: StoreSettings,
        *,
        read_summary: ReadSummary,
        in_thread: InThread,
        spawn: Spawn,
        clock: Callable[[], float],
        timer: Callable[[], float] = time.perf_counter,
        observe: Callable[[str, float], None] = lambda name, value: None,
        ingest: IngestTranscoder | None = None,
    ) -> None:
        self._index = index
        self._storage = storage
        self._settings = settings
        self._read_summary = read_summary
        self._in_thread = in_thread
        self._spawn = spawn
        self._clock = clock
        self._timer = timer
        self._observe = observe
        self._ingest = ingest
        self._in_flight = 0
        self._drained: list[Deferred[None]] = []
        self._watchers: list[Watcher] = []
        self._second = -1
        self._date = ""

    def new_spool(self) -> Spool:
        """A spool for what is to be stored."""
        return self._storage.new_spool()

    def store(
        self,
        spool: Spool,
        origin: StoreOrigin,
        extra: Extra | None = None,
        overwrite: OverwriteInstances | None = None,
        in_turn: InTurn | None = None,
        *,
        transcode: bool = True,
        keep_uid: bool = False,
    ) -> Deferred[StoreResult]:
        """Store an instance. The spool belongs to the store from now on, whatever happens.

        Cancelling the Deferred changes nothing.

        :param extra: more metadata of the resources that this instance creates
            (``ModifiedFrom``...)
        :param overwrite: for this instance, None for that of the settings
        :param in_turn: calls what writes the row when it is this instance's turn; called in a
            thread when the file is durable, not at all if it comes to no row
        :param transcode: whether ``IngestTranscoding`` applies
        :param keep_uid: whether the SOPInstanceUID stays even if that loses information
        :raises OrthancError: (as failures) BAD_FILE_FORMAT, INEXISTENT_TAG for what is no
            DICOM instance; FULL_STORAGE
        """
        ingest = _Ingest(
            self,
            spool,
            origin,
            extra or {},
            overwrite or self._settings.overwrite,
            in_turn,
            self._timer(),
        )
        self._in_flight += 1
        if transcode and self._ingest is not None:
            working = Deferred.fromCoroutine(self._transcode(ingest, self._ingest, keep_uid))
            working.addErrback(ingest.failed)
            return ingest.done
        if spool.size_bytes <= _READ_IN_REACTOR_BYTES:
            try:
                ingest.summarized(self._summary(spool))
            except Exception:
                ingest.failed(Failure())
        else:
            reading = self._in_thread(self._summary, spool)
            reading.addCallback(ingest.summarized).addErrback(ingest.failed)
        return ingest.done

    async def _transcode(
        self, ingest: _Ingest, transcoder: IngestTranscoder, keep_uid: bool
    ) -> None:
        spool = ingest.spool
        summary = await self._in_thread(self._summary, spool)
        if transcoder.wants(summary):
            transcoded = await transcoder.transcoded(spool, keep_uid=keep_uid)
            if transcoded is not None:
                ingest.spool = transcoded
                spool.discard()
                summary = await self._in_thread(self._summary, transcoded)
        ingest.summarized(summary)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of every instance that is stored, or was already; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def drain(self) -> Deferred[None]:
        """Fires when nothing is being stored any more (at shutdown)."""
        if not self._in_flight:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        return waiting

    def delete_files(self, uuids: tuple[str, ...]) -> None:
        """Remove files that no row names; a failure is logged (the next sweep will do it)."""
        if uuids:
            deleting = self._in_thread(self._storage.delete, uuids)
            deleting.addErrback(lambda failure: self._log.failure("Deleting files", failure))

    def _summary(self, spool: Spool) -> InstanceSummary:
        with spool.reader() as file:
            return self._read_summary(file, spool.size_bytes)

    def _now(self) -> tuple[float, str]:
        now_s = self._clock()
        second = int(now_s)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y%m%dT%H%M%S", time.gmtime(second))
        return now_s, self._date

    def _ended(self, started: float) -> None:
        self._observe("orthanc_store_dicom_duration_ms", (self._timer() - started) * 1000)
        self._in_flight -= 1
        if not self._in_flight:
            waiting, self._drained = self._drained, []
            for deferred in waiting:
                deferred.callback(None)


class _Ingest:
    """One ingest on its way: `summarized`, `_commit` in a thread, `_written`, `_finish`."""

    __slots__ = (
        "_date",
        "_extra",
        "_files",
        "_ids",
        "_in_turn",
        "_now_s",
        "_origin",
        "_overwrite",
        "_started",
        "_store",
        "_summary",
        "done",
        "spool",
    )

    def __init__(
        self,
        store: InstanceStore,
        spool: Spool,
        origin: StoreOrigin,
        extra: Extra,
        overwrite: OverwriteInstances,
        in_turn: InTurn | None,
        started: float,
    ) -> None:
        self._store = store
        self.spool = spool
        self._origin = origin
        self._extra = extra
        self._overwrite = overwrite
        self._in_turn = in_turn
        self._started = started
        self._ids: tuple[str, ...] = ()
        self._files: list[StoredFile] = []
        # On its own, not the end of the chain: cancelling it does not stop the ingest, and it
        # swallows the late result.
        self.done: Deferred[StoreResult] = Deferred()

    def summarized(self, summary: InstanceSummary) -> None:
        store = self._store
        self._summary = summary
        self._now_s, self._date = store._now()
        self._ids = summary.identifiers.public_ids()
        if self._overwrite is OverwriteInstances.NEVER:
            instance, transfer = self._ids[-1], self._origin.transfer
            # One that another transfer may take back yet is to be noted as stored by this one.
            if store._index.read_one(lambda tx: tx.is_kept(instance, transfer)):
                self._finish(StoreStatus.ALREADY_STORED)
                return
        store._spawn(self._commit, self.failed)

    def _commit(self) -> None:
        """Make the file durable and submit its row. In a thread."""
        store = self._store
        settings = store._settings
        summary = self._summary
        header = None
        if settings.compress and summary.pixel_data_offset:
            header = self._commit_header(summary.pixel_data_offset)
        file = store._storage.commit(self.spool, compress=settings.compress)
        self._files.append(file)
        instance = NewInstance(
            resources=new_resources(
                summary, self._ids, self._origin, settings.signatures, self._date, self._extra
            ),
            attachment=attachment_of(file, ContentType.DICOM),
            date=self._date,
            now_s=self._now_s,
            overwrite=self._overwrite,
            expected_instances=summary.expected_instances,
            transfer=self._origin.transfer,
        )

        limits = settings.limits
        if header is not None and limits.maximum_storage_bytes:
            # Room is made for both, never by asking for no limit, which is what 0 means.
            most = limits.maximum_storage_bytes - header.stored_size_bytes
            limits = replace(limits, maximum_storage_bytes=max(most, 1))

        def write(tx: WriteTransaction) -> StoreOutcome:
            outcome = tx.store_instance(instance, limits)
            if header is not None and outcome.status is StoreStatus.SUCCESS:
                assert outcome.instance_internal_id is not None
                tx.put_attachment(outcome.instance_internal_id, header)
            return outcome

        if self._in_turn is None:
            store._index.submit(write, self._written)
        else:
            self._in_turn(partial(self._submit_safely, write))

    def _submit_safely(self, write: Callable[[WriteTransaction], StoreOutcome]) -> None:
        """In the thread of another instance perhaps, which has no part in a failure."""
        try:
            self._store._index.submit(write, self._written)
        except Exception:
            self._store._spawn(_raising(Failure()), self.failed)

    def _commit_header(self, size_bytes: int) -> Attachment:
        """Keep what is before the pixel data beside a compressed file, which has no ranges."""
        stored = commit_header(self._store._storage, self.spool, size_bytes)
        self._files.append(stored)
        return attachment_of(stored, ContentType.DICOM_UNTIL_PIXEL_DATA)

    def _written(self, outcome: StoreOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failed(outcome)
            return
        if outcome.status is StoreStatus.SUCCESS:
            self._store.delete_files(tuple(outcome.removed))
            self._finish(StoreStatus.SUCCESS)
            return
        self._delete_files()
        self._finish(outcome.status)

    def _delete_files(self) -> None:
        self._store.delete_files(tuple(file.uuid for file in self._files))

    def failed(self, failure: Failure) -> None:
        self._delete_files()
        self.spool.discard()
        self._store._ended(self._started)
        self.done.errback(failure)

    def _finish(self, status: StoreStatus) -> None:
        self.spool.discard()
        self._store._ended(self._started)
        if status is StoreStatus.STORAGE_FULL:
            self.done.errback(OrthancError(ErrorCode.FULL_STORAGE))
            return
        patient, study, series, instance = self._ids
        result = StoreResult(status, patient, study, series, instance)
        for watcher in tuple(self._store._watchers):
            watcher(self._origin, result)
        self.done.callback(result)


def _raising(failure: Failure) -> Callable[[], None]:
    return failure.raiseException
