"""Job ``OrthancPeerStore``: sends instances to another Orthanc over HTTP.

A step is an instance, so that it can be paused, cancelled and continued between any two. Source:
topics 18, 19 and 42 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import Job, JobContext, TransientFailure
from orthanc_tw.jobs.kinds.instance_failure import with_instances
from orthanc_tw.jobs.kinds.modality_store_plan import Place, Resource, read_page
from orthanc_tw.jobs.kinds.peer_sender import PeerSender
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
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
        "Resources": [[resource.public_id, resource.level.label] for resource in resources],
        "InstancesCount": instances,
        "Compress": compress,
        "Transcode": transcode,
        "Permissive": permissive,
        "Description": description,
    }


@dataclass(frozen=True, slots=True)
class PeerStoreKind:
    """A `JobKind`. See `peer_store_parameters`."""

    index: Index
    sender: PeerSender
    peers: PeerRegistry

    @property
    def type_name(self) -> str:
        """``Type`` of its jobs."""
        return PEER_STORE

    @property
    def is_durable(self) -> bool:
        """Its jobs are saved."""
        return True

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return [public_id for public_id, _ in parameters["Resources"]]  # type: ignore[union-attr, misc]

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
        self._kind = kind
        self._parameters = parameters
        self._context = context
        context.pause_interrupts = True
        self._peer = kind.peers.of_job(parameters["PeerName"], parameters["Peer"])
        self._resources = [
            Resource(public_id, ResourceType.from_label(level))
            for public_id, level in parameters["Resources"]
        ]
        cursor = cursor or {}
        self._place = Place(cursor.get("Resource", 0), cursor.get("After", ""))
        self._done: int = cursor.get("Done", 0)
        self._size_bytes: int = cursor.get("Size", 0)
        # Of the instance that is being sent: as recorded, it counts although it fails.
        self._under_way_bytes = 0
        self._page: list[tuple[TransferInstance, Place]] = []
        self._is_read = False

    def steps(self) -> Iterator[Deferred[Any]]:
        """A page of the list, or an instance."""
        while not self._is_read:
            yield self._kind.index.read(
                partial(read_page, resources=self._resources, place=self._place)
            ).addCallback(self._paged)
            while self._page:
                yield Deferred.fromCoroutine(self._send(self._page[0][0])).addCallback(self._sent)

    def progress(self) -> float:
        """By instances."""
        total: int = self._parameters["InstancesCount"]
        return min(1.0, self._done / total) if total else 0.0

    def cursor(self) -> JsonObject:
        """The place in the list."""
        return {
            "Resource": self._place.resource,
            "After": self._place.after,
            "Done": self._done,
            "Size": self._size_bytes,
        }

    def content(self) -> JsonObject:
        """As recorded. Why instances have failed is told beside it, see `JobContext`."""
        parameters = self._parameters
        size_bytes = self._size_bytes + self._under_way_bytes
        content: JsonObject = {
            "Compress": parameters["Compress"],
            "Description": parameters["Description"],
            "FailedInstancesCount": len(self._context.failed_instances),
            "InstancesCount": parameters["InstancesCount"],
            "Peer": self._peer.content(),
            "Size": str(size_bytes),
            "SizeMB": size_bytes // _MB,
        }
        if parameters["Transcode"]:
            content["Transcode"] = parameters["Transcode"]
        if self._resources:
            ordered = sorted(self._resources, key=lambda resource: resource.public_id)
            content["ParentResources"] = list[JsonValue](r.public_id for r in ordered)
            content["Resources"] = [{"ID": r.public_id, "Type": r.level.label} for r in ordered]
        return content

    def abandon(self) -> None:
        """Nothing is held between steps."""

    def _paged(self, page: Sequence[tuple[TransferInstance, Place]]) -> None:
        self._page = list(page)
        self._is_read = not page

    def _sent(self, _: object) -> None:
        self._place = self._page.pop(0)[1]
        self._done += 1
        self._size_bytes += self._under_way_bytes
        self._under_way_bytes = 0

    def _counted(self, size_bytes: int) -> None:
        self._under_way_bytes = size_bytes

    async def _send(self, instance: TransferInstance) -> None:
        parameters = self._parameters
        self._under_way_bytes = 0
        try:
            await self._kind.sender.send(
                self._peer,
                instance,
                self._counted,
                transcode=parameters["Transcode"],
                compress=parameters["Compress"],
            )
        except CancelledError:
            raise
        except OrthancError as error:
            if not parameters["Permissive"]:
                failure = with_instances(error, [instance.public_id])
                raise peer_job_failure(failure) from None
            self._context.failed_instances[instance.public_id] = str(error)


def peer_job_failure(error: OrthancError) -> OrthancError:
    """The error that a step of a job is to fail with: a `TransientFailure` if it may pass."""
    if isinstance(error, PeerError) and error.is_transient:
        return TransientFailure(error.code, error.details, http_status=error.http_status)
    return error
