"""Push transactions: what peers are sending to this server.

Each is a folder, so that it survives a restart; its commit goes on by itself once it was asked for,
and is remembered, so that it can be asked for again. Reactor thread; the disk is for threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.transfers import transaction_folder
from orthanc_tw.core.transfers.buckets import Bucket, TransferInstance
from orthanc_tw.core.transfers.commit import CommitInterrupted, TransferCommitter
from orthanc_tw.core.transfers.figures import PushFigures
from orthanc_tw.core.transfers.provisional import fire
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.core.transfers.transaction_folder import Phase
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import RequestOrigin

#: Commits that are remembered; about 200 bytes on disk each.
_REMEMBERED = 1000

#: How the index names a transaction.
_TRANSFER = "push "

_log = Logger()


class _Transaction:
    """One that is open.

    :ivar asked_s: when it was asked for last, POSIX seconds
    """

    def __init__(self, reception: Reception, compressed: bool, asked_s: float) -> None:
        self.reception = reception
        self.compressed = compressed
        self.asked_s = asked_s
        self.writing = 0
        self.written: Deferred[None] | None = None
        self.is_discarded = False
        self.commit: Deferred[None] | None = None
        self.waiting: list[Deferred[None]] = []


class PushTransactions:
    """Those of this server.

    :param folder: where their folders are; made on demand
    :param maximum: how many are open at a time; the oldest makes room for a new one
    :param make_id: makes UUIDs
    :param now_s: the time of day, POSIX seconds
    :param timer: monotonic seconds, for durations
    """

    def __init__(
        self,
        folder: str,
        committer: TransferCommitter,
        in_thread: Callable[..., Deferred[Any]],
        maximum: int,
        make_id: Callable[[], str],
        now_s: Callable[[], float],
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._folder = folder
        self._committer = committer
        self._in_thread = in_thread
        self._maximum = maximum
        self._make_id = make_id
        self._now_s = now_s
        self._timer = timer
        self._open: dict[str, _Transaction] = {}
        self._committed: dict[str, None] = {}
        self._loaded: Deferred[None] | None = None
        self.figures = PushFigures()

    @property
    def available(self) -> int:
        """How many are open."""
        return len(self._open)

    def start(self) -> Deferred[None]:
        """Load what is on disk, and go on with the commits that were under way. Once."""
        loaded: Deferred[None] = Deferred()
        self._loaded = loaded
        loading = Deferred.fromCoroutine(self._load())
        loading.addErrback(lambda failure: _log.failure("Loading the push transactions", failure))
        return loading.addCallback(lambda _: fire(loaded))

    async def create(
        self, instances: Sequence[TransferInstance], buckets: Sequence[Bucket], *, compressed: bool
    ) -> str:
        """Begin one; its identifier. It is durable then.

        :raises OrthancError: FULL_STORAGE
        """
        await self._ready()
        while self._discardable() and len(self._open) >= self._maximum:
            await self._discard(self._discardable()[0])
        identifier = self._make_id()
        path = os.path.join(self._folder, identifier)
        try:
            reception = await self._in_thread(
                transaction_folder.create, path, instances, buckets, compressed=compressed
            )
        except BaseException:
            await self._in_thread(transaction_folder.remove, path)
            raise
        self._open[identifier] = _Transaction(reception, compressed, self._now_s())
        self.figures.created += 1
        return identifier

    async def write(self, identifier: str, number: int, body: BinaryIO) -> None:
        """Receive a bucket; it is durable then. A second time does no harm.

        :raises OrthancError: UNKNOWN_RESOURCE, NETWORK_PROTOCOL, FULL_STORAGE,
            BAD_SEQUENCE_OF_CALLS (409) while it is being committed without this bucket
        """
        await self._ready()
        if identifier in self._committed:
            return
        transaction = self._require(identifier)
        if transaction.commit is not None:
            if transaction.reception.has(number):
                return  # its sender was killed before it had noted this
            raise OrthancError(
                ErrorCode.BAD_SEQUENCE_OF_CALLS,
                "The transaction is being committed",
                http_status=409,
            )
        started = self._timer()
        transaction.writing += 1
        try:
            size = await self._in_thread(
                transaction.reception.write, number, body, compressed=transaction.compressed
            )
        finally:
            transaction.asked_s = self._now_s()
            transaction.writing -= 1
            if not transaction.writing:
                if transaction.is_discarded:
                    await self._in_thread(self._close, transaction)
                elif transaction.written is not None:
                    transaction.written.callback(None)
        self.figures.received_bytes += size
        self.figures.reception_ms += (self._timer() - started) * 1000

    async def commit(self, identifier: str) -> None:
        """Store all of it; returns when that is done. Asked again, it waits for the same end.

        Cancelling this does not cancel the commit.

        :raises OrthancError: UNKNOWN_RESOURCE; what `TransferCommitter.commit` raises;
            CORRUPTED_FILE if an instance does not have its MD5, or is not there. The
            transaction is open then as before, unless there is no space to take back what it
            has stored
        """
        await self._ready()
        if identifier in self._committed:
            return
        transaction = self._require(identifier)
        waiting: Deferred[None] = Deferred()
        transaction.waiting.append(waiting)
        if transaction.commit is None:
            self._begin_commit(identifier, transaction)
        await waiting

    async def discard(self, identifier: str) -> None:
        """Forget it and what was received; harmless if it is not there.

        :raises OrthancError: BAD_SEQUENCE_OF_CALLS (409) while it is being committed
        """
        await self._ready()
        transaction = self._open.get(identifier)
        if transaction is None:
            return
        if transaction.commit is not None:
            raise OrthancError(
                ErrorCode.BAD_SEQUENCE_OF_CALLS,
                "The transaction is being committed",
                http_status=409,
            )
        await self._discard(identifier)

    async def discard_idle(self, since_s: float) -> None:
        """Discard those that nobody has asked for since then, POSIX seconds."""
        await self._ready()
        for identifier in self._discardable():
            transaction = self._open.get(identifier)
            if transaction is None or transaction.commit is not None or transaction.writing:
                continue  # while another one was discarded
            if transaction.asked_s < since_s:
                _log.warn("Nobody asks for push transaction {id}: it is dropped", id=identifier)
                await self._discard(identifier)

    def stop(self) -> Deferred[Any]:
        """Interrupt the commits under way; the next start goes on with them.

        Fires when nothing is written any more.
        """
        self._committer.stop()
        commits = [transaction.commit for transaction in self._open.values()]
        return DeferredList([_after(commit) for commit in commits if commit is not None])

    def _require(self, identifier: str) -> _Transaction:
        transaction = self._open.get(identifier)
        if transaction is None:
            raise OrthancError(
                ErrorCode.UNKNOWN_RESOURCE, f"There is no push transaction {identifier}"
            )
        return transaction

    def _discardable(self) -> list[str]:
        """The oldest first."""
        return [name for name, one in self._open.items() if one.commit is None]

    async def _discard(self, identifier: str) -> None:
        transaction = self._open.pop(identifier)
        transaction.is_discarded = True
        self.figures.aborted += 1
        if not transaction.writing:
            await self._in_thread(self._close, transaction)

    def _close(self, transaction: _Transaction) -> None:
        transaction.reception.close()
        transaction_folder.remove(transaction.reception.folder)

    def _begin_commit(self, identifier: str, transaction: _Transaction) -> None:
        started = self._timer()
        transaction.commit = Deferred.fromCoroutine(self._commit(identifier, transaction))

        def ended(result: object) -> None:
            transaction.commit = None
            transaction.asked_s = self._now_s()
            self.figures.commit_ms += (self._timer() - started) * 1000
            waiting, transaction.waiting = transaction.waiting, []
            if isinstance(result, Failure) and not waiting:
                _log.warn(
                    "The push transaction {id} cannot be committed: {reason}",
                    id=identifier,
                    reason=result.getErrorMessage(),
                )
            for deferred in waiting:
                if not deferred.called:
                    deferred.callback(result)  # type: ignore[arg-type]

        transaction.commit.addBoth(ended)

    async def _commit(self, identifier: str, transaction: _Transaction) -> None:
        reception = transaction.reception
        if transaction.writing:
            # What is checked must not change before it is stored.
            transaction.written = Deferred()
            await transaction.written
            transaction.written = None
        transfer = _TRANSFER + identifier
        try:
            await check_complete(self._committer, reception)
            await self._in_thread(transaction_folder.note_commit, reception)
            origin = StoreOrigin(RequestOrigin.PLUGINS, transfer=transfer)
            await self._committer.commit(reception, origin)
            # Before it is said that it was committed: what is over takes nothing back.
            await self._committer.provisional.keep(transfer)
        except CommitInterrupted:
            raise
        except BaseException:
            # Of an earlier commit, of a server that was killed, too.
            try:
                await self._committer.provisional.take_back(transfer)
            except OrthancError:
                # Where there is no space, no row can be written: what was received has to go.
                await self._discard(identifier)
                await self._committer.provisional.take_back(transfer)
            else:
                await self._in_thread(transaction_folder.forget_commit, reception)
            raise
        await self._in_thread(transaction_folder.settle, reception)
        del self._open[identifier]
        self._remember(identifier)
        self.figures.committed += 1

    def _remember(self, identifier: str) -> None:
        self._committed[identifier] = None
        while len(self._committed) > _REMEMBERED:
            oldest = next(iter(self._committed))
            del self._committed[oldest]
            removing = self._in_thread(
                transaction_folder.remove, os.path.join(self._folder, oldest)
            )
            removing.addErrback(lambda failure: _log.failure("Removing a transaction", failure))

    async def _ready(self) -> None:
        if self._loaded is not None and not self._loaded.called:
            await _after(self._loaded)

    async def _load(self) -> None:
        for saved in await self._in_thread(transaction_folder.load, self._folder):
            if saved.reception is None:
                self._remember(saved.identifier)
                continue
            # A clock may have been put back since.
            asked_s = min(saved.asked_s, self._now_s())
            transaction = _Transaction(saved.reception, saved.compressed, asked_s)
            self._open[saved.identifier] = transaction
            if saved.phase is Phase.COMMITTING:
                self._begin_commit(saved.identifier, transaction)
        going_on = {name for name, one in self._open.items() if one.commit is not None}
        await self._committer.provisional.sweep(_TRANSFER, lambda _, name: name not in going_on)


async def check_complete(committer: TransferCommitter, reception: Reception) -> None:
    """Whether all that was announced is there, with its MD5.

    :raises OrthancError: CORRUPTED_FILE
    """
    missing = reception.missing()
    if missing:
        raise _corrupted(f"{len(missing)} buckets were not received: {missing[:10]}")
    wrong = await committer.wrong(reception)
    if wrong:
        names = ", ".join(reception.instances[number].public_id for number in wrong[:10])
        raise _corrupted(f"{len(wrong)} instances do not have their MD5: {names}")


def _corrupted(details: str) -> OrthancError:
    # Who sends it is mistaken, not this server: by its code it would be a 500.
    return OrthancError(ErrorCode.CORRUPTED_FILE, details, http_status=400)


def _after(deferred: Deferred[None]) -> Deferred[None]:
    """Fires after another, which fires with None; cancelling it changes nothing else."""
    waiting: Deferred[None] = Deferred()
    deferred.addCallback(lambda _: fire(waiting))
    return waiting
