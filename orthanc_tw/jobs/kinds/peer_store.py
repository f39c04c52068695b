"""Job ``OrthancPeerStore``: sends instances to another Orthanc over HTTP.

Source: topics 18, 19 and 42 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import Job, JobContext, TransientFailure
from orthanc_tw.jobs.kinds.instance_failure import with_instances
from orthanc_tw.jobs.kinds.peer_sender import PeerSender
from orthanc_tw.jobs.kinds.sending import Sending, save_resources, saved_resources
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.resource import Resource
from orthanc_tw.peers.errors import PeerError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.registry import PeerRegistry

PEER_STORE = "OrthancPeerStore"
_MB = 1024 * 1024


def peer_store_parameters(
    peer: OrthancPeer,
    resources: Sequence[Resource],
    instances: int,
    *,
    compress: bool = False,
    transcode: str = "",
    permissive: bool = False,
    description: str = "REST API",
) -> JsonObject:
    """The parameters of a job. They hold the password of the peer, and are never shown.

    :param instances: how many there are of the resources
    :param transcode: UID of a transfer syntax, '' for none
    """
    return {
        "PeerName": peer.name,
        "Peer": peer.saved(),
        "Resources": save_resources(resources),
        "InstancesCount": instances,
        "Compress": compress,
        "Transcode": transcode,
        "Permissive": permissive,
        "Description": description,
    }


@dataclass(frozen=True, slots=True)
class PeerStoreKind:
    """A `JobKind`. See `peer_store_parameters`."""

    type_name: ClassVar[str] = PEER_STORE
    is_durable: ClassVar[bool] = True

    index: Index
    sender: PeerSender
    peers: PeerRegistry

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return [resource.public_id for resource in saved_resources(parameters)]

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return PeerStoreJob(self, parameters, cursor, context)


class PeerStoreJob:
    """A `Job`."""

    def __init__(
        self,
        kind: PeerStoreKind,
        parameters: Mapping[str, Any],
        cursor: Mapping[str, Any] | None,
        context: JobContext,
    ) -> None:
        cursor = cursor or {}
        self._sender = kind.sender
        self._parameters = parameters
        self._sending = Sending(
            kind.index, parameters, cursor, context, self._send, failure=peer_job_failure
        )
        self._peer = kind.peers.of_job(parameters["PeerName"], parameters["Peer"])
        self._size_bytes: int = cursor.get("Size", 0)
        # Of the instance that is being sent: as recorded, it counts although it fails.
        self._under_way_bytes = 0

    def steps(self) -> Iterator[Deferred[Any]]:
        """The instances."""
        for step in self._sending.steps():
            yield step.addCallback(self._settle)

    def progress(self) -> float:
        """By instances."""
        return self._sending.progress()

    def cursor(self) -> JsonObject:
        """The place in the list, and what was sent before it."""
        return {**self._sending.cursor(), "Size": self._size_bytes}

    def content(self) -> JsonObject:
        """As recorded."""
        parameters = self._parameters
        size_bytes = self._size_bytes + self._under_way_bytes
        content: JsonObject = {
            **self._sending.content(),
            "Compress": parameters["Compress"],
            "Peer": self._peer.content(),
            "Size": str(size_bytes),
            "SizeMB": size_bytes // _MB,
        }
        if parameters["Transcode"]:
            content["Transcode"] = parameters["Transcode"]
        return content

    def abandon(self) -> None:
        """Nothing is held between steps."""

    async def _send(self, instance: TransferInstance, _: Sequence[TransferInstance]) -> None:
        self._under_way_bytes = 0
        try:
            await self._sender.send(
                self._peer,
                instance,
                self._counted,
                transcode=self._parameters["Transcode"],
                compress=self._parameters["Compress"],
            )
        except OrthancError as error:
            raise with_instances(error, [instance.public_id]) from None

    def _counted(self, size_bytes: int) -> None:
        self._under_way_bytes = size_bytes

    def _settle(self, _: object) -> None:
        """A step has ended well: the instance was sent, or is passed over."""
        self._size_bytes += self._under_way_bytes
        self._under_way_bytes = 0


def peer_job_failure(error: OrthancError) -> OrthancError:
    """The error that a step of a job is to fail with: a `TransientFailure` if it may pass."""
    if isinstance(error, PeerError) and error.is_transient:
        return TransientFailure(error.code, error.details, http_status=error.http_status)
    return error
