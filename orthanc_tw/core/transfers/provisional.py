"""What transfers that have not ended have stored here, and how it stays or goes.

The index notes it with each instance, so that it outlives this process: a transfer that was killed
may be given up before it goes on. Reactor thread.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.index.gateway import Index, ReadTransaction, TakenBack, WriteTransaction

#: Instances that go in one transaction, which others have to wait for.
_AT_ONCE = 50

_log = Logger()


class ProvisionalInstances:
    """Those of all transfers.

    :param delete_files: removes files that no row names any more
    """

    def __init__(self, index: Index, delete_files: Callable[[tuple[str, ...]], object]) -> None:
        self._index = index
        self._delete_files = delete_files
        self._going: dict[str, list[Deferred[None]]] = {}

    def keep(self, transfer: str) -> Deferred[None]:
        """It has succeeded: fires when its instances are there to stay."""
        return self._index.write(keeping(transfer))

    async def take_back(self, transfer: str) -> None:
        """It has failed: delete what is here for it alone. Harmless if that is nothing."""
        await self.settled(transfer)
        waiting: list[Deferred[None]] = []
        self._going[transfer] = waiting
        try:
            while not (await self._step(transfer)).is_over:
                pass
        finally:
            del self._going[transfer]
            for one in waiting:
                fire(one)

    async def settled(self, transfer: str) -> None:
        """Wait until nothing is being taken back: what is stored now would go with it."""
        while transfer in self._going:
            waiting: Deferred[None] = Deferred()
            self._going[transfer].append(waiting)
            await waiting

    async def sweep(self, kind: str, is_over: Callable[[ReadTransaction, str], bool]) -> None:
        """Take back what is left of transfers that will not go on, at the start.

        :param kind: what the names of the transfers begin with
        :param is_over: of the rest of a name; called in another thread
        """

        def read(tx: ReadTransaction) -> list[str]:
            names = [name for name in tx.transfers() if name.startswith(kind)]
            return [name for name in names if is_over(tx, name[len(kind) :])]

        for transfer in await self._index.read(read):
            _log.warn("Taking back what {transfer} has stored", transfer=transfer)
            await self.take_back(transfer)

    async def _step(self, transfer: str) -> TakenBack:
        taken = await self._index.write(lambda tx: tx.take_back(transfer, _AT_ONCE))
        self._delete_files(tuple(taken.removed))
        return taken


def fire(waiting: Deferred[None]) -> None:
    """Let go on who waits, unless that was given up."""
    if not waiting.called:
        waiting.callback(None)


def keeping(transfer: str) -> Callable[[WriteTransaction], None]:
    """What makes the instances of a transfer stay, in whatever transaction says that it has
    succeeded.
    """
    return lambda tx: tx.keep_transfer(transfer)
