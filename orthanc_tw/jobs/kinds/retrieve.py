"""Jobs ``DicomMoveScu`` and ``DicomGetScu``: have a modality send what queries have found.

A step is one retrieval. The modality is kept as it was when the job was submitted. What arrives
is stored by the server as every C-STORE; the job is told of it. Source: topic 41 of the corpus.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from twisted.internet.defer import Deferred

from orthanc_tw.dicom.attributes import Attributes
from orthanc_tw.dicom.attributes_writer import encode_attributes, encoding_for
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import attributes_of, query_json
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.dicom.tags import format_tag, parse_tag
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, StepResult
from orthanc_tw.jobs.kinds.dicom_failure import job_failure
from orthanc_tw.jobs.kinds.get_rounds import StorageRounds, get_in_rounds
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.associations import AssociationPool, Proposal, ScuAssociation
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.query.client import dimse_error, uncompressed_syntaxes
from orthanc_tw.net.query.levels import get_identifier, model_of, move_identifier
from orthanc_tw.net.scp.sop_classes import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from orthanc_tw.net.values import Reply

MOVE = "DicomMoveScu"
GET = "DicomGetScu"


class Arrivals(Protocol):
    """Tells what is stored while a retrieval runs."""

    def listen_move(
        self, remote_aet: str, originator_aet: str, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        """Tell of each instance that a modality sends for a C-MOVE, by public identifier.

        :param originator_aet: who asked for it
        :returns: what ends that
        """
        ...

    def listen_get(
        self, association_id: int, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        """The same of what comes over an association of ours (`ScuAssociation.id`)."""
        ...


def retrieve_parameters(
    modality: RemoteModality,
    level: ResourceType,
    queries: Sequence[Mapping[int, str]],
    *,
    local_aet: str,
    target_aet: str,
    query_format: TagFormat = TagFormat.SHORT,
    permissive: bool = False,
    timeout_s: int | None = None,
    description: str = "REST API",
) -> JsonObject:
    """The parameters of a job.

    :param queries: text by tag of each resource that is wanted
    :param target_aet: where a C-MOVE sends to
    :param query_format: how ``Query`` of the content shows the queries
    """
    parameters: JsonObject = {
        "Remote": modality.to_json(),
        "Level": level.label,
        "Queries": [{format_tag(tag): text for tag, text in query.items()} for query in queries],
        "LocalAet": local_aet,
        "TargetAet": target_aet,
        "QueryFormat": query_format.value,
        "Permissive": permissive,
        "Description": description,
    }
    if timeout_s is not None:
        parameters["Timeout"] = timeout_s
    return parameters


@dataclass(frozen=True, slots=True)
class RetrieveKind:
    """A `JobKind`. See `retrieve_parameters`.

    :ivar type_name: `MOVE` or `GET`
    :ivar preferred_syntax: ``DicomScuPreferredTransferSyntax``
    :ivar encoding: ``DefaultEncoding`` of now
    :ivar storage_rounds: what a C-GET offers to take: as SCP, so that they leave room for two
        contexts of the query/retrieve models
    :ivar sop_classes: asks a modality which SOP classes a query finds, empty if it does not tell
    """

    is_durable: ClassVar[bool] = True

    type_name: str
    pool: AssociationPool
    arrivals: Arrivals
    preferred_syntax: str
    encoding: Callable[[], Encoding]
    storage_rounds: StorageRounds
    sop_classes: Callable[[RemoteModality, Mapping[int, str]], Awaitable[Sequence[str]]]

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return RetrieveJob(self, parameters, cursor, context)


class RetrieveJob:
    """A `Job`."""

    def __init__(
        self,
        kind: RetrieveKind,
        parameters: Mapping[str, Any],
        cursor: Mapping[str, Any] | None,
        context: JobContext,
    ) -> None:
        self._kind = kind
        self._parameters = parameters
        context.pause_interrupts = True
        self._modality = RemoteModality.from_json(parameters["Remote"])
        if not self._modality.local_aet:
            self._modality = replace(self._modality, local_aet=parameters["LocalAet"])
        self._level = ResourceType.from_label(parameters["Level"])
        self._queries = [
            {parse_tag(tag): text for tag, text in query.items()} for query in parameters["Queries"]
        ]
        cursor = cursor or {}
        self._position: int = cursor.get("Position", 0)
        # Status and identifiers of what has arrived, for each query.
        self._statuses: list[int] = cursor.get("Statuses", [0] * len(self._queries))
        self._received: list[list[str]] = cursor.get("Received", [[] for _ in self._queries])
        self._part = 0.0

    def steps(self) -> Iterator[Deferred[Any]]:
        """One retrieval after another."""
        while self._position < len(self._queries):
            yield Deferred.fromCoroutine(self._retrieve(self._position))

    def progress(self) -> float:
        """By retrievals, and in each by its sub-operations."""
        if not self._queries:
            return 0.0
        return min(1.0, (self._position + self._part) / len(self._queries))

    def cursor(self) -> JsonObject:
        """The next retrieval, and what came of those before."""
        return {
            "Position": self._position,
            "Statuses": list(self._statuses),
            "Received": [list(ids) for ids in self._received],
        }

    def content(self) -> JsonObject:
        """As recorded."""
        shown = TagFormat(self._parameters["QueryFormat"])
        queries = [attributes_of(query) for query in self._queries]
        content: JsonObject = {
            "Description": self._parameters["Description"],
            "LocalAet": self._parameters["LocalAet"],
            "RemoteAet": self._modality.aet,
            "Query": [query_json(query, shown) for query in queries],
            "Details": [
                {
                    "DimseErrorStatus": status,
                    "Query": query_json(query, TagFormat.SHORT),
                    "ReceivedInstancesIds": list(ids),
                }
                for query, status, ids in zip(queries, self._statuses, self._received, strict=True)
            ],
        }
        if self._kind.type_name == MOVE:
            content["TargetAet"] = self._parameters["TargetAet"]
        return content

    def abandon(self) -> None:
        """Nothing is held between the steps."""

    async def _retrieve(self, position: int) -> StepResult:
        received = self._received[position]
        received.clear()

        try:
            if self._kind.type_name == MOVE:
                reply = await self._move(self._queries[position], received)
            else:
                reply = await self._get(self._queries[position], received)
            self._statuses[position] = reply.status
            if not reply.is_success or reply.failed:
                # A warning that some could not be sent (PS3.4 C.4.2.1.5): not all is there.
                raise self._refused(reply)
        except OrthancError as error:
            if not self._parameters["Permissive"]:
                raise job_failure(error) from None
        self._position = position + 1
        self._part = 0.0
        return CHECKPOINT

    async def _move(self, query: Mapping[int, str], received: list[str]) -> Reply:
        identifier = move_identifier(self._level, query)
        model = model_of(self._level, PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE)
        syntaxes = uncompressed_syntaxes(self._kind.preferred_syntax)
        proposals = [Proposal(uid, syntaxes) for uid in (PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE)]
        target = self._parameters["TargetAet"]
        modality = self._modality
        stop = self._kind.arrivals.listen_move(modality.aet, modality.local_aet, received.append)
        try:
            return await self._over_association(
                proposals,
                lambda association: association.move(
                    model, target, self._encoder(identifier), self._moved_on
                ),
            )
        finally:
            stop()

    async def _get(self, query: Mapping[int, str], received: list[str]) -> Reply:
        identifier = get_identifier(self._level, query)
        model = model_of(self._level, PATIENT_ROOT_GET, STUDY_ROOT_GET)
        syntaxes = uncompressed_syntaxes(self._kind.preferred_syntax)
        models = [Proposal(uid, syntaxes) for uid in (PATIENT_ROOT_GET, STUDY_ROOT_GET)]
        seen: set[str] = set()

        def arrived(public_id: str) -> None:
            if public_id not in seen:
                seen.add(public_id)
                received.append(public_id)

        async def over(association: ScuAssociation) -> Reply:
            stop = self._kind.arrivals.listen_get(association.id, arrived)
            try:
                return await association.get(model, self._encoder(identifier), self._moved_on)
            finally:
                stop()

        return await get_in_rounds(
            lambda storage: self._over_association([*models, *storage], over),
            self._kind.storage_rounds,
            lambda: self._kind.sop_classes(self._modality, query),
            lambda: len(seen),
        )

    async def _over_association(
        self,
        proposals: Sequence[Proposal],
        operation: Callable[[ScuAssociation], Awaitable[Reply]],
    ) -> Reply:
        pool = self._kind.pool
        association = await pool.acquire(
            self._modality, proposals, timeout_s=self._parameters.get("Timeout")
        )
        try:
            return await operation(association)
        finally:
            pool.give_back(association)

    def _encoder(self, identifier: Attributes) -> Callable[[str], bytes]:
        encoding = encoding_for(identifier, [self._kind.encoding()])
        return lambda syntax: encode_attributes(identifier, syntax, encoding)

    def _moved_on(self, reply: Reply) -> None:
        done = (reply.completed or 0) + (reply.failed or 0) + (reply.warning or 0)
        total = done + (reply.remaining or 0)
        if total:
            self._part = done / total

    def _refused(self, reply: Reply) -> OrthancError:
        if self._kind.type_name == MOVE:
            meaning = "unable to process - resource not found ?"
            return dimse_error("C-MOVE", self._modality.aet, reply, meaning)
        return dimse_error("C-GET", self._modality.aet, reply)
