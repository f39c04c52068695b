"""The end of a transfer that comes in: every instance is checked, and all are stored or none.

Reactor thread; what waits for the disk is done in threads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transfers.plan import write_durably
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import StoreStatus
from orthanc_tw.storage.spool import storage_error

_PRIOR = "prior.json"
_CHECKED_AT_ONCE = 2
_SLICE = 500

_log = Logger()


class CommitInterrupted(OrthancError):
    """The server stops. Nothing is taken back: the next start goes on with the commit."""

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.DATABASE_UNAVAILABLE, "The server stops; it goes on when it starts again"
        )


class TransferCommitter:
    """Checks and stores what was received.

    :param at_once: instances of one transfer that are being stored at a time
    """

    def __init__(
        self,
        index: Index,
        store: InstanceStore,
        deleter: ResourceDeleter,
        in_thread: Callable[..., Deferred[Any]],
        at_once: int,
    ) -> None:
        self._index = index
        self._store = store
        self._deleter = deleter
        self._in_thread = in_thread
        self._at_once = at_once
        self._is_stopping = False
        # The instances of each commit under way, and who waits for its end.
        self._under_way: list[tuple[frozenset[str], list[Deferred[None]]]] = []

    def stop(self) -> None:
        """Store nothing more, check nothing more."""
        self._is_stopping = True

    async def wrong(self, reception: Reception) -> list[int]:
        """Numbers of the instances that do not have their MD5."""
        found: list[int] = []

        async def check(number: int) -> None:
            self._go_on()
            if not await self._in_thread(reception.is_right, number):
                found.append(number)

        await _Crew(check, iter(range(len(reception.instances))), _CHECKED_AT_ONCE).run()
        return sorted(found)

    async def commit(self, reception: Reception, origin: StoreOrigin) -> None:
        """Store all, or none. What a server that was killed has stored of it counts as stored.

        Waits for the end of another commit that has instances in common with it: what that one
        takes back would be missing here.
        Cancelled, it takes back what it has stored, and is over after that.

        :raises OrthancError: what the first instance that cannot be stored fails with;
            CORRUPTED_FILE if one is another one than was announced
        """
        mine = frozenset(one.public_id for one in reception.instances)
        while rival := next((them for them in self._under_way if them[0] & mine), None):
            waiting: Deferred[None] = Deferred()
            rival[1].append(waiting)
            await waiting
        ended: list[Deferred[None]] = []
        entry = (mine, ended)
        self._under_way.append(entry)
        try:
            await self._commit(reception, origin)
        finally:
            self._under_way.remove(entry)
            for waiting in ended:
                fire(waiting)

    async def _commit(self, reception: Reception, origin: StoreOrigin) -> None:
        self._go_on()
        prior, is_resumed = await self._prior(reception)
        stored: dict[str, None] = {}

        async def store(number: int) -> None:
            self._go_on()
            announced = reception.instances[number].public_id
            spool = self._store.new_spool()
            try:
                await self._in_thread(reception.copy, number, spool)
            except BaseException:
                spool.discard()
                raise
            result = await self._store.store(spool, origin)
            if result.status is StoreStatus.SUCCESS:
                stored[result.instance] = None
            if result.instance != announced:
                raise OrthancError(
                    ErrorCode.CORRUPTED_FILE,
                    f"The instance announced as {announced} is {result.instance}",
                    http_status=400,
                )

        try:
            await _Crew(store, iter(range(len(reception.instances))), self._at_once).run()
        except CommitInterrupted:
            raise
        except BaseException:
            # Which of them an earlier run has stored is not known: all that were not there.
            mine = [one.public_id for one in reception.instances] if is_resumed else []
            await self._take_back([one for one in {*stored, *mine} if one not in prior])
            raise

    def _go_on(self) -> None:
        if self._is_stopping:
            raise CommitInterrupted

    async def _prior(self, reception: Reception) -> tuple[set[str], bool]:
        """The instances that were here before the first commit, and whether this is a later one."""
        path = os.path.join(reception.folder, _PRIOR)
        known = await self._in_thread(_read_prior, path)
        if known is not None:
            return known, True
        found: set[str] = set()
        for at in range(0, len(reception.instances), _SLICE):
            ids = [one.public_id for one in reception.instances[at : at + _SLICE]]
            found.update(await self._index.read(partial(_present, public_ids=ids)))
        await self._in_thread(_write_prior, path, found)
        return found, False

    async def _take_back(self, public_ids: Sequence[str]) -> None:
        for public_id in public_ids:
            deleting = self._deleter.delete(public_id, ResourceType.INSTANCE)
            deleting.addErrback(self._stays, public_id)
            await deleting

    def _stays(self, failure: Failure, public_id: str) -> None:
        _log.failure(
            "Instance {public_id} of a transfer that failed stays", failure, public_id=public_id
        )


class _Crew:
    """Does work on items, some at a time. Ends after the first failure, when all are at rest."""

    def __init__(self, work: Callable[[int], Any], items: Iterator[int], at_once: int) -> None:
        self._work = work
        self._items = items
        self._at_once = at_once
        self._failure: Failure | None = None

    async def run(self) -> None:
        """Cancelled, nothing more is begun, and this ends when what was begun has ended."""
        workers = [Deferred.fromCoroutine(self._one()) for _ in range(self._at_once)]
        everyone = DeferredList(workers)
        # On its own: cancelling it must not cancel what writes to the disk.
        over: Deferred[None] = Deferred()
        everyone.addCallback(lambda _: fire(over))
        try:
            await over
        except CancelledError:
            self._failure = self._failure or Failure()
            rest: Deferred[None] = Deferred()
            everyone.addCallback(lambda _: fire(rest))
            await rest
        if self._failure is not None:
            self._failure.raiseException()

    async def _one(self) -> None:
        for item in self._items:
            if self._failure is not None:
                return
            try:
                await self._work(item)
            except Exception:
                self._failure = self._failure or Failure()


def fire(waiting: Deferred[None]) -> None:
    """Let go on who waits, unless that was given up."""
    if not waiting.called:
        waiting.callback(None)


def _present(tx: ReadTransaction, public_ids: Sequence[str]) -> list[str]:
    return [one for one in public_ids if tx.lookup(one, ResourceType.INSTANCE) is not None]


def _read_prior(path: str) -> set[str] | None:
    try:
        with open(path, "rb") as file:
            return set(json.load(file))
    except FileNotFoundError:
        return None


def _write_prior(path: str, public_ids: set[str]) -> None:
    try:
        write_durably(path, json.dumps(sorted(public_ids)).encode("ascii"))
    except OSError as error:
        raise storage_error(error) from error
