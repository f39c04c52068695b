"""How the jobs of the accelerator ask a peer: again, with back-off, what may be asked again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from orthanc_tw.jobs.interface import TransientFailure
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.peers.client import MAXIMUM_ANSWER_BYTES, PeerAnswer, PeerClient
from orthanc_tw.peers.errors import PeerAnswerError, PeerError, PeerFull, PeerStatusError
from orthanc_tw.peers.peer import OrthancPeer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TransferJobSettings:
    """Options of the section ``Transfers``.

    :ivar threads: requests of one job at a time (``Threads``)
    :ivar bucket_bytes: ``BucketSize``
    :ivar retries: of one request, beside the first try (``MaxHttpRetries``). With these delays
        seven outlast a peer that is down for 45 seconds, whatever the jitter
    :ivar doubtful_retries: at most, of what is rather a mistake, which its user waits to hear of:
        a peer that cannot be reached at the beginning, or does not answer a bucket as it should
    :ivar opening_s: how long the first request is tried: a user waits to hear of a wrong address,
        and a peer that takes a connection and is silent costs a timeout each time
    :ivar commit_timeout_s: how long a peer may be silent while it commits (``PeerCommitTimeout``)
    """

    threads: int = 4
    bucket_bytes: int = 4096 * 1024
    retries: int = 7
    doubtful_retries: int = 4
    opening_s: float = 10.0
    commit_timeout_s: float = 600
    initial_delay_s: float = 1.0
    maximum_delay_s: float = 30.0


class TransferNetwork:
    """Asks peers. Reactor thread.

    :param peer_named: a peer by its symbolic name; UNKNOWN_RESOURCE if there is none
    :param random: between 0 and 1, for the jitter of delays
    """

    def __init__(
        self,
        client: PeerClient,
        peer_named: Callable[[str], OrthancPeer],
        clock: IReactorTime,
        random: Callable[[], float],
        settings: TransferJobSettings,
    ) -> None:
        self.client = client
        self.settings = settings
        self.clock = clock
        self._peer_named = peer_named
        self._random = random
        self._doubtful_retries = min(settings.retries, settings.doubtful_retries)
        self._delays = RetryPolicy(
            initial_delay_s=settings.initial_delay_s, maximum_delay_s=settings.maximum_delay_s
        )

    def peer(self, name: str) -> OrthancPeer:
        """A peer as it is configured now.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        return self._peer_named(name)

    async def post(
        self,
        peer: OrthancPeer,
        path: str,
        body: bytes,
        *,
        is_opening: bool,
        maximum_bytes: int = MAXIMUM_ANSWER_BYTES,
    ) -> PeerAnswer:
        """Send JSON; `insist` says for how long, and what is raised.

        :param maximum_bytes: of the answer
        """
        return await self.insist(
            lambda: self.client.request(
                peer,
                "POST",
                path,
                body=body,
                headers={"Content-Type": "application/json"},
                maximum_bytes=maximum_bytes,
            ),
            is_opening=is_opening,
        )

    async def insist(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        is_opening: bool = False,
        progress: Callable[[], int] | None = None,
        patience_s: float = 0,
    ) -> T:
        """Ask until there is an answer, or a failure that will not pass, or enough was tried.

        :param is_opening: whether nothing of the transfer is there yet
        :param progress: of one of many requests alike: how many of them have gone well. While it
            grows the peer is not away, and the tries count anew; an answer that is not
            understood, or any error of the peer's, is worth another try too
        :param patience_s: seconds that are not enough, however many tries they were
        :raises OrthancError: the failure
        :raises TransientFailure: the last failure: the job may be tried again later
        """
        attempts = 0
        began_s = self.clock.seconds()
        went_well = progress() if progress is not None else 0
        while True:
            try:
                return await ask()
            except PeerError as error:
                if not (error.is_transient or (progress is not None and _may_pass(error))):
                    raise accelerated(error) from None
                if progress is not None and error.is_transient and progress() != went_well:
                    went_well, attempts = progress(), 0
                attempts += 1
                is_doubtful = is_opening or not error.is_transient
                most = self._doubtful_retries if is_doubtful else self.settings.retries
                delay_s = self._delays.delay_s(attempts, self._random())
                spent_s = self.clock.seconds() - began_s
                is_late = is_opening and spent_s + delay_s > self.settings.opening_s
                if (attempts > most or is_late) and spent_s >= patience_s:
                    if not error.is_transient:
                        raise
                    raise TransientFailure(error.code, error.details) from None
            await deferLater(self.clock, delay_s)


def _may_pass(error: PeerError) -> bool:
    if isinstance(error, PeerFull):
        return False
    if isinstance(error, PeerStatusError):
        return error.status >= 500
    return isinstance(error, PeerAnswerError)


def accelerated(error: PeerError) -> OrthancError:
    """The same, but for the 404 of a peer that does not know the first route of a transfer."""
    if isinstance(error, PeerStatusError) and error.status in (404, 405):
        return OrthancError(
            error.code,
            f"{error.details}: the peer has no transfers accelerator, or not what was asked for",
            http_status=500,
        )
    return error
