"""The responses to one request of ours, one after the other, with back-pressure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred

from orthanc_tw.net.dimse import CommandSet
from orthanc_tw.net.errors import AssociationError
from orthanc_tw.net.responses import reply_of
from orthanc_tw.net.values import Dataset, Reply

# Answers of a C-FIND are small; more than this and the peer has to wait.
_MOST_WAITING = 256


class ReplyQueue:
    """`ReplyReceiver` that keeps them until they are asked for.

    :param hold: takes nothing more of the peer
    :param go_on: takes it again
    """

    def __init__(self, hold: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._hold = hold
        self._go_on = go_on
        self._replies: deque[Reply] = deque()
        self._error: AssociationError | None = None
        self._waiting: Deferred[None] | None = None

    def replied(self, command: CommandSet, dataset: Dataset | None) -> None:
        """One came."""
        self._replies.append(reply_of(command, dataset))
        if len(self._replies) == _MOST_WAITING:
            self._hold()
        self._wake()

    def failed(self, error: AssociationError) -> None:
        """No more will come."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)

    async def next(self) -> Reply:
        """The next one.

        :raises AssociationError: if none will come
        """
        while not self._replies:
            if self._error is not None:
                raise self._error
            self._waiting = Deferred()
            await self._waiting
        if len(self._replies) == _MOST_WAITING:
            self._go_on()
        return self._replies.popleft()
