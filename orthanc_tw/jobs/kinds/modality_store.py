"""Job ``DicomModalityStore``: sends instances to a modality by C-STORE.

The modality is kept as it was when the job was submitted. Source: topics 21, 41 and 43 of the
corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from twisted.internet.defer import Deferred

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, StepResult
from orthanc_tw.jobs.kinds.dicom_failure import job_failure
from orthanc_tw.jobs.kinds.sending import Sending, save_resources, saved_resources
from orthanc_tw.jobs.kinds.sending_pages import all_pages
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.resource import Resource
from orthanc_tw.net.associations import AssociationPool
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.transfer import instance_file
from orthanc_tw.net.store_session import StoreSession, StoreSettings, Transcoder
from orthanc_tw.net.values import MoveOriginator
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
        "Resources": save_resources(resources),
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

    type_name: ClassVar[str] = MODALITY_STORE
    is_durable: ClassVar[bool] = True

    index: Index
    storage: Storage
    pool: AssociationPool
    settings: StoreSettings
    transcoder: Transcoder
    commitments: CommitmentRequester | None = None

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return [resource.public_id for resource in saved_resources(parameters)]

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
        cursor = cursor or {}
        self._kind = kind
        self._parameters = parameters
        self._failed = context.failed_instances
        self._sending = Sending(
            kind.index, parameters, cursor, context, self._send, failure=job_failure
        )
        self._modality = RemoteModality.from_json(parameters["Remote"])
        self._originator = None
        if "MoveOriginatorAET" in parameters:
            self._originator = MoveOriginator(
                parameters["MoveOriginatorAET"], parameters["MoveOriginatorID"]
            )
        self._transaction: str = cursor.get("Transaction", "")
        self._session = StoreSession(
            kind.pool,
            self._modality,
            kind.settings,
            kind.transcoder,
            parameters.get("Timeout"),
        )

    def steps(self) -> Iterator[Deferred[Any]]:
        """The instances; at last the request for commitment."""
        yield from self._sending.steps()
        self._session.give_back()
        if self._parameters["StorageCommitment"] and not self._transaction:
            yield Deferred.fromCoroutine(self._commit())

    def progress(self) -> float:
        """By instances."""
        return self._sending.progress()

    def cursor(self) -> JsonObject:
        """The place in the list, and the transaction of the commitment."""
        return {**self._sending.cursor(), "Transaction": self._transaction}

    def content(self) -> JsonObject:
        """As recorded."""
        parameters = self._parameters
        content: JsonObject = {
            **self._sending.content(),
            "LocalAet": parameters["LocalAet"],
            "RemoteAet": self._modality.aet,
        }
        for name in ("MoveOriginatorAET", "MoveOriginatorID"):
            if name in parameters:
                content[name] = parameters[name]
        if self._transaction:
            content["StorageCommitmentTransactionUID"] = self._transaction
        return content

    def abandon(self) -> None:
        """The association may serve somebody else, or is over already."""
        self._session.give_back()

    async def _send(
        self, instance: TransferInstance, following: Sequence[TransferInstance]
    ) -> None:
        upcoming = dict.fromkeys((one.sop_class_uid, one.transfer_syntax) for one in following)
        file = instance_file(self._kind.storage, instance)
        await self._session.send(file, upcoming, self._originator)

    async def _commit(self) -> StepResult:
        commitments = self._kind.commitments
        if commitments is None:
            raise OrthancError(
                ErrorCode.NOT_IMPLEMENTED, "This server cannot ask for storage commitment"
            )
        instances = [
            (instance.sop_class_uid, instance.sop_instance_uid)
            async for page in all_pages(self._kind.index, self._sending.resources)
            for instance, _ in page
            if instance.public_id not in self._failed
        ]
        try:
            self._transaction = await commitments.request(
                self._modality, instances, self._parameters.get("Timeout")
            )
        except OrthancError as error:
            raise job_failure(error) from None
        return CHECKPOINT
