"""What both kinds of jobs of the accelerator share: parameters, buckets, progress, ``Content``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from orthanc_tw.core.transfers.buckets import TransferInstance
from orthanc_tw.core.transfers.query import TransferQuery
from orthanc_tw.jobs.interface import JobContext
from orthanc_tw.jobs.kinds.transfer_network import TransferNetwork
from orthanc_tw.jobs.sliding_window import SlidingWindow
from orthanc_tw.model.json_types import JsonObject

_MB = 1024 * 1024
#: Share of the progress that buckets have; the rest is for storing.
_BUCKETS = 0.9


@dataclass(frozen=True, slots=True)
class TransferKind:
    """As much of a `JobKind` as both are. Parameters are those of `TransferQuery.to_json`."""

    network: TransferNetwork
    NAME: ClassVar[str]

    @property
    def type_name(self) -> str:
        """``Type`` of its jobs."""
        return self.NAME

    @property
    def is_durable(self) -> bool:
        """Its jobs are saved."""
        return True

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return [one.public_id for one in TransferQuery.from_json(parameters).resources]


class Traffic:
    """What one run of a job has exchanged.

    :ivar queries: requests that have succeeded
    :ivar size_bytes: of the instances in them
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._started_s = clock.seconds()
        self._ended_s: float | None = None
        self.queries = 0
        self.size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """One more bucket."""
        self.queries += 1
        self.size_bytes += size_bytes

    def end(self) -> None:
        """What takes time from now on is not the network."""
        self._ended_s = self._clock.seconds()

    @property
    def speed_kbs(self) -> int:
        """KB a second."""
        until = self._clock.seconds() if self._ended_s is None else self._ended_s
        elapsed_s = until - self._started_s
        return int(self.size_bytes / 1024 / elapsed_s) if elapsed_s > 0 else 0


class TransferJob(ABC):
    """As much of a `Job` as both are.

    :cvar MOVED: field of the content with the MB that were moved
    """

    MOVED: ClassVar[str]

    def __init__(
        self, network: TransferNetwork, parameters: JsonObject, context: JobContext
    ) -> None:
        self._network = network
        self._parameters = parameters
        self._query = TransferQuery.from_json(parameters)
        self._context = context
        self._window: SlidingWindow[int] | None = None
        self._traffic = Traffic(network.clock)

    @abstractmethod
    def _instances(self) -> Sequence[TransferInstance]:
        """Those that are transferred; none until they are known."""

    @abstractmethod
    def _size_bytes(self) -> int:
        """Of all buckets; 0 until they are known."""

    @abstractmethod
    def _moved_bytes(self) -> int:
        """Of the buckets that are there."""

    def progress(self) -> float:
        """By bytes; the end is for storing."""
        total = self._size_bytes()
        return _BUCKETS * self._moved_bytes() / total if total else 0.0

    def content(self) -> JsonObject:
        """As the plugin tells it."""
        instances = self._instances()
        parameters = self._parameters
        content: JsonObject = {
            name: parameters[name] for name in ("Resources", "Peer", "Compression")
        }
        content.update(
            {
                "TotalInstances": len(instances),
                "TotalSizeMB": self._size_bytes() // _MB,
                self.MOVED: self._moved_bytes() // _MB,
                "CompletedHttpQueries": self._traffic.queries,
                "NetworkSpeedKBs": self._traffic.speed_kbs,
            }
        )
        for name in ("Originator", "SenderTransferID"):
            if name in parameters:
                content[name] = parameters[name]
        return content

    def abandon(self) -> None:
        """Give up the requests under way."""
        if self._window is not None:
            self._window.abandon()

    def _went_well(self) -> int:
        return self._traffic.queries

    def _exchange(
        self,
        numbers: Iterable[int],
        exchange: Callable[[int], Awaitable[int]],
        exchanged: Callable[[int], object],
        is_over: Callable[[], bool],
    ) -> Iterator[Deferred[Any]]:
        """The steps of buckets, ``Threads`` at a time.

        :param exchange: moves a bucket, returns its bytes
        :param exchanged: told of each that was moved
        :param is_over: no more are worth to be moved
        """

        async def one(number: int) -> None:
            self._traffic.add(await exchange(number))

        def ended(number: int, result: object) -> None:
            if isinstance(result, Failure):
                result.raiseException()
            exchanged(number)

        threads = self._network.settings.threads
        window = self._window = SlidingWindow(
            numbers,
            lambda number: Deferred.fromCoroutine(one(number)),
            ended,
            limit=threads,
            per_step=threads,
            is_stopping=lambda: self._context.cancelled or is_over(),
        )
        while not (window.is_done or is_over()):
            yield window.step()
