"""Drops push transactions whose senders do not come back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from orthanc_tw.core.transfers.transactions import PushTransactions

# Longest time between two looks, seconds.
_INTERVAL_S = 60.0

_log = Logger()


class IdleTransactions:
    """Looks now and again. Reactor thread.

    :param now_s: the time of day, POSIX seconds
    :param age_s: how long a transaction is kept that nobody asks for, seconds; 0 is for ever
    """

    def __init__(
        self,
        transactions: PushTransactions,
        clock: IReactorTime,
        now_s: Callable[[], float],
        age_s: float,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._now_s = now_s
        self._age_s = age_s
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._age_s:
            self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _look(self) -> None:
        self._call = self._clock.callLater(min(max(self._age_s / 4, 1.0), _INTERVAL_S), self._look)
        dropping = Deferred.fromCoroutine(
            self._transactions.discard_idle(self._now_s() - self._age_s)
        )
        dropping.addErrback(lambda failure: _log.failure("Dropping push transactions", failure))
