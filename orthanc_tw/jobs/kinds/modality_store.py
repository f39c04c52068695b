"""Job ``DicomModalityStore``: sends instances to a modality by C-STORE.

A step is an instance, so that it can be paused, cancelled and continued between any two. The
modality is kept as it was when the job was submitted. Source: topics 21, 41 and 43 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, StepResult
from orthanc_tw.jobs.kinds.dicom_failure import job_failure
from orthanc_tw.jobs.kinds.modality_store_plan import Place, Resource, read_page
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.interface import AssociationPool, MoveOriginator
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.transfer import instance_file
from orthanc_tw.net.store_session import StoreSession, StoreSettings, Transcoder
from orthanc_tw.storage.interface import Storage

MODALITY_STORE = "DicomModalityStore"


class CommitmentRequester(Protocol):
    """Asks a modality to commit to the storage of instances."""

    async def request(
        self,
        modality: RemoteModality,
        instances: Sequence[tuple[str, str]],
        timeout_s: int | None = None,
    ) -> str:
        """N-ACTION; returns the transaction UID, whose report can be asked for from now on."""
        ...


def store_parameters(
    modality: RemoteModality,
    resources: Sequence[Resource],
    instances: int,
    *,
    local_aet: str,
    permissive: bool = False,
    timeout_s: int | None = None,
    originator: MoveOriginator | None = None,
    storage_commitment: bool = False,
    description: str = "REST API",
) -> JsonObject:
    """The parameters of a job.

    :param modality: as it is to be called
    :param instances: how many there are of the resources
    :param local_aet: how this server calls itself
    """
    parameters: JsonObject = {
        "Remote": modality.to_json(),
        "LocalAet": local_aet,
        "Resources": [[resource.public_id, resource.level.label] for resource in resources],
        "InstancesCount": instances,
        "Permissive": permissive,
        "StorageCommitment": storage_commitment,
        "Description": description,
    }
    if timeout_s is not None:
        parameters["Timeout"] = timeout_s
    if originator is not None:
        parameters["MoveOriginatorAET"] = originator.aet
        parameters["MoveOriginatorID"] = originator.message_id
    return parameters


@dataclass(frozen=True, slots=True)
class ModalityStoreKind:
    """A `JobKind`. See `store_parameters`.

    :ivar commitments: None where there is no storage commitment
    """

    index: Index
    storage: Storage
    pool: AssociationPool
    settings: StoreSettings
    transcoder: Transcoder
    commitments: CommitmentRequester | None = None

    @property
    def type_name(self) -> str:
        """``Type`` of its jobs."""
        return MODALITY_STORE

    @property
    def is_durable(self) -> bool:
        """Its jobs are saved."""
        return True

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return [public_id for public_id, _ in parameters["Resources"]]  # type: ignore[union-attr, misc]

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return ModalityStoreJob(self, parameters, cursor, context)


class ModalityStoreJob:
    """A `Job`."""

    def __init__(
        self,
        kind: ModalityStoreKind,
        parameters: Mapping[str, Any],
        cursor: Mapping[str, Any] | None,
        context: JobContext,
    ) -> None:
        self._kind = kind
        self._parameters = parameters
        self._context = context
        context.pause_interrupts = True
        self._modality = RemoteModality.from_json(parameters["Remote"])
        self._resources = [
            Resource(public_id, ResourceType.from_label(level))
            for public_id, level in parameters["Resources"]
        ]
        self._originator = None
        if "MoveOriginatorAET" in parameters:
            self._originator = MoveOriginator(
                parameters["MoveOriginatorAET"], parameters["MoveOriginatorID"]
            )
        cursor = cursor or {}
        self._place = Place(cursor.get("Resource", 0), cursor.get("After", ""))
        self._done: int = cursor.get("Done", 0)
        self._transaction: str = cursor.get("Transaction", "")
        self._page: list[tuple[TransferInstance, Place]] = []
        self._is_read = False
        self._session = StoreSession(
            kind.pool,
            self._modality,
            kind.settings,
            kind.transcoder,
            parameters.get("Timeout"),
        )

    def steps(self) -> Iterator[Deferred[Any]]:
        """A page of the list, or an instance; at last the request for commitment."""
        while not self._is_read:
            yield self._kind.index.read(
                partial(read_page, resources=self._resources, place=self._place)
            ).addCallback(self._paged)
            while self._page:
                yield Deferred.fromCoroutine(self._send(self._page[0][0])).addCallback(self._sent)
        self._session.give_back()
        if self._parameters["StorageCommitment"] and not self._transaction:
            yield Deferred.fromCoroutine(self._commit())

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
            "Transaction": self._transaction,
        }

    def content(self) -> JsonObject:
        """As recorded. Why instances have failed is told beside it, see `JobContext`."""
        parameters = self._parameters
        failed = self._context.failed_instances
        content: JsonObject = {
            "Description": parameters["Description"],
            "FailedInstancesCount": len(failed),
            "InstancesCount": parameters["InstancesCount"],
            "LocalAet": parameters["LocalAet"],
            "RemoteAet": self._modality.aet,
        }
        if self._resources:
            ids = sorted(resource.public_id for resource in self._resources)
            content["ParentResources"] = list[JsonValue](ids)
            content["Resources"] = [
                {"ID": resource.public_id, "Type": resource.level.label}
                for resource in sorted(self._resources, key=lambda resource: resource.public_id)
            ]
        for name in ("MoveOriginatorAET", "MoveOriginatorID"):
            if name in parameters:
                content[name] = parameters[name]
        if self._transaction:
            content["StorageCommitmentTransactionUID"] = self._transaction
        return content

    def abandon(self) -> None:
        """The association may serve somebody else, or is over already."""
        self._session.give_back()

    def _paged(self, page: Sequence[tuple[TransferInstance, Place]]) -> None:
        self._page = list(page)
        self._is_read = not page

    def _sent(self, _: object) -> None:
        self._place = self._page.pop(0)[1]
        self._done += 1

    async def _send(self, instance: TransferInstance) -> None:
        upcoming = dict.fromkeys((i.sop_class_uid, i.transfer_syntax) for i, _ in self._page[1:])
        try:
            await self._session.send(
                instance_file(self._kind.storage, instance), upcoming, self._originator
            )
        except CancelledError:
            raise
        except OrthancError as error:
            if not self._parameters["Permissive"]:
                raise job_failure(error) from None
            self._context.failed_instances[instance.public_id] = str(error)

    async def _commit(self) -> StepResult:
        commitments = self._kind.commitments
        if commitments is None:
            raise OrthancError(
                ErrorCode.NOT_IMPLEMENTED, "This server cannot ask for storage commitment"
            )
        failed = self._context.failed_instances
        instances: list[tuple[str, str]] = []
        place = Place()
        while True:
            page = await self._kind.index.read(
                partial(read_page, resources=self._resources, place=place)
            )
            if not page:
                break
            instances += [
                (instance.sop_class_uid, instance.sop_instance_uid)
                for instance, _ in page
                if instance.public_id not in failed
            ]
            place = page[-1][1]
        try:
            self._transaction = await commitments.request(
                self._modality, instances, self._parameters.get("Timeout")
            )
        except OrthancError as error:
            raise job_failure(error) from None
        return CHECKPOINT
