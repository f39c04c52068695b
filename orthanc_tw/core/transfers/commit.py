"""The end of a transfer that comes in: every instance is checked, and all are stored or none.

Reactor thread; what waits for the disk is done in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.python.failure import Failure

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transfers.provisional import ProvisionalInstances, fire
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import ErrorCode, OrthancError

_CHECKED_AT_ONCE = 2


class CommitInterrupted(OrthancError):
    """The server stops. Nothing is taken back: the next start goes on with the commit."""

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.DATABASE_UNAVAILABLE, "The server stops; it goes on when it starts again"
        )


class TransferCommitter:
    """Checks and stores what was received.

    :param at_once: instances of one transfer that are being stored at a time
    :ivar provisional: what was stored of transfers that have not ended
    """

    def __init__(
        self,
        index: Index,
        store: InstanceStore,
        in_thread: Callable[..., Deferred[Any]],
        at_once: int,
    ) -> None:
        self.provisional = ProvisionalInstances(index, store.delete_files)
        self._store = store
        self._in_thread = in_thread
        self._at_once = at_once
        self._is_stopping = False

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
        """Store all. What is stored is to be kept then; or taken back, should this fail.

        Cancelled, it stores nothing more, and is over when nothing is being stored.

        :param origin: names the transfer
        :raises OrthancError: what the first instance that cannot be stored fails with;
            CORRUPTED_FILE if one is another one than was announced
        """
        self._go_on()
        # Of the same transfer that was given up, and is begun anew.
        await self.provisional.settled(origin.transfer)

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
            if result.instance != announced:
                raise OrthancError(
                    ErrorCode.CORRUPTED_FILE,
                    f"The instance announced as {announced} is {result.instance}",
                    http_status=400,
                )

        await _Crew(store, iter(range(len(reception.instances))), self._at_once).run()

    def _go_on(self) -> None:
        if self._is_stopping:
            raise CommitInterrupted


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
