"""C-ECHO and C-FIND to remote modalities, with Orthanc's errors. Reactor thread.

Sources: PS3.4 annexes A, C and K, topic 41 of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.attributes import Attributes, parse_attributes
from orthanc_tw.dicom.attributes_writer import encode_attributes, encoding_for
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import attributes_of
from orthanc_tw.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.associations import AssociationPool, Proposal
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.query.levels import (
    SOP_CLASSES_IN_STUDY,
    STUDY_INSTANCE_UID,
    adapted,
    find_identifier,
    model_of,
)
from orthanc_tw.net.scp.echo import VERIFICATION
from orthanc_tw.net.scp.sop_classes import (
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
)
from orthanc_tw.net.values import Dataset, Reply

_UNPROCESSABLE = 0xC000
_MAXIMUM_ANSWERS = 200_000
_MAXIMUM_ANSWERS_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ScuSettings:
    """Options of all that this server asks of others.

    :ivar preferred_syntax: ``DicomScuPreferredTransferSyntax``
    :ivar echo_checks_find: ``DicomEchoChecksFind``
    """

    preferred_syntax: str = EXPLICIT_LITTLE_ENDIAN
    echo_checks_find: bool = False


def uncompressed_syntaxes(preferred: str) -> tuple[str, ...]:
    """The syntaxes that every peer can be asked for, the preferred one first if it is one."""
    known = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    if preferred in (*known, EXPLICIT_BIG_ENDIAN):
        return (preferred, *(uid for uid in known if uid != preferred))
    return known


class QueryClient:
    """Asks remote modalities.

    :param encoding: ``DefaultEncoding`` of now
    """

    def __init__(
        self, pool: AssociationPool, settings: ScuSettings, encoding: Callable[[], Encoding]
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._encoding = encoding
        self._syntaxes = uncompressed_syntaxes(settings.preferred_syntax)

    async def echo(
        self, modality: RemoteModality, timeout_s: int | None = None, check_find: bool | None = None
    ) -> None:
        """C-ECHO.

        :param check_find: try a C-FIND too; None: as configured
        :raises OrthancError: NETWORK_PROTOCOL, NO_PRESENTATION_CONTEXT
        """
        association = await self._pool.acquire(
            modality, [Proposal(VERIFICATION, self._syntaxes)], timeout_s=timeout_s
        )
        try:
            reply = await association.echo()
        finally:
            self._pool.give_back(association)
        if not reply.is_success:
            raise dimse_error("C-ECHO", modality.aet, reply)
        if self._settings.echo_checks_find if check_find is None else check_find:
            # A constraint that no patient meets: what counts is that the question is taken.
            await self.find(
                modality, ResourceType.PATIENT, attributes_of({0x00100020: "NOT-TO-BE-FOUND"})
            )

    async def find(
        self,
        modality: RemoteModality,
        level: ResourceType,
        query: Attributes,
        *,
        normalize: bool = True,
        timeout_s: int | None = None,
    ) -> list[Dataset]:
        """C-FIND at a level of the query/retrieve models.

        :raises OrthancError: NETWORK_PROTOCOL (422 if the peer refuses the query),
            NO_PRESENTATION_CONTEXT
        """
        identifier = find_identifier(level, query, modality.manufacturer, normalize=normalize)
        sop_class = model_of(level, PATIENT_ROOT_FIND, STUDY_ROOT_FIND)
        return await self._find(
            modality, (PATIENT_ROOT_FIND, STUDY_ROOT_FIND), sop_class, identifier, timeout_s
        )

    async def worklist(
        self, modality: RemoteModality, query: Attributes, timeout_s: int | None = None
    ) -> list[Dataset]:
        """C-FIND of the modality worklist.

        :raises OrthancError: as `find`
        """
        identifier = adapted(query, modality.manufacturer)
        return await self._find(
            modality, (MODALITY_WORKLIST_FIND,), MODALITY_WORKLIST_FIND, identifier, timeout_s
        )

    async def sop_classes(
        self, modality: RemoteModality, query: Mapping[int, str]
    ) -> Sequence[str]:
        """The SOP classes of a study (SOPClassesInStudy, PS3.4 C.3.4); none if it does not tell.

        :param query: keys of a retrieval; without Study Instance UID nothing is asked
        :raises OrthancError: as `find`
        """
        study = query.get(STUDY_INSTANCE_UID, "")
        if not study:
            return ()
        wanted = attributes_of({STUDY_INSTANCE_UID: study, SOP_CLASSES_IN_STUDY: ""})
        found: list[str] = []
        for answer in await self.find(modality, ResourceType.STUDY, wanted):
            attributes = parse_attributes(answer.content, answer.transfer_syntax, self._encoding())
            classes = attributes.get(SOP_CLASSES_IN_STUDY)
            found += classes.text.split("\\") if classes is not None else ()
        return [uid for uid in found if uid]

    async def _find(
        self,
        modality: RemoteModality,
        sop_classes: Sequence[str],
        sop_class: str,
        identifier: Attributes,
        timeout_s: int | None,
    ) -> list[Dataset]:
        encoding = encoding_for(identifier, [self._encoding()])
        proposals = [Proposal(uid, self._syntaxes) for uid in sop_classes]
        association = await self._pool.acquire(modality, proposals, timeout_s=timeout_s)
        answers = _Answers()
        try:
            reply = await association.find(
                sop_class,
                lambda syntax: encode_attributes(identifier, syntax, encoding),
                answers.add,
            )
        finally:
            self._pool.give_back(association)
        if not reply.is_success:
            raise find_error(modality.aet, reply)
        return answers.found


class _Answers:
    """What a query has brought so far. A peer may answer without end, memory has one."""

    def __init__(self) -> None:
        self.found: list[Dataset] = []
        self._size_bytes = 0

    def add(self, answer: Dataset) -> None:
        self._size_bytes += len(answer.content)
        if len(self.found) >= _MAXIMUM_ANSWERS or self._size_bytes > _MAXIMUM_ANSWERS_BYTES:
            raise OrthancError(
                ErrorCode.NETWORK_PROTOCOL, "The answers to a C-FIND are too many, or too large"
            )
        self.found.append(answer)


class DimseFailure(OrthancError):
    """An operation that ended with a status of failure.

    :ivar status: of the final response
    """

    def __init__(
        self,
        details: str,
        status: int,
        *,
        http_status: int | None = None,
        payload: JsonObject | None = None,
    ) -> None:
        super().__init__(
            ErrorCode.NETWORK_PROTOCOL, details, http_status=http_status, payload=payload
        )
        self.status = status


def find_error(aet: str, reply: Reply) -> DimseFailure:
    """A C-FIND that was refused: 422, with the status as payload."""
    return DimseFailure(
        _details("C-FIND", aet, reply, "unable to process - invalid query ?"),
        reply.status,
        http_status=422,
        payload={"Type": "Dimse", "Content": {"DimseErrorStatus": reply.status}},
    )


def dimse_error(
    operation: str, aet: str, reply: Reply, unprocessable: str | None = None
) -> DimseFailure:
    """The error that a final status of failure means.

    :param unprocessable: what 0xC000 means for this operation
    """
    return DimseFailure(_details(operation, aet, reply, unprocessable), reply.status)


def _details(operation: str, aet: str, reply: Reply, unprocessable: str | None) -> str:
    details = f'{operation} SCU to AET "{aet}" has failed with DIMSE status 0x{reply.status:04X}'
    if reply.status == _UNPROCESSABLE:
        meaning = unprocessable
    else:
        meaning = _MEANINGS.get(reply.status) or reply.comment
    if meaning:
        details += f" ({meaning})"
    return details


# PS3.4 tables C.4-1 to C.4-3, PS3.7 annex C
_MEANINGS = {
    0x0110: "processing failure",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0211: "unrecognized operation",
    0xA700: "out of resources",
    0xA701: "out of resources - unable to calculate number of matches",
    0xA702: "out of resources - unable to perform sub-operations",
    0xA801: "move destination unknown",
    0xA900: "identifier does not match SOP class",
    0xFE00: "cancelled",
}
