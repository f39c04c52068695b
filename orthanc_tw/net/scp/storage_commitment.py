"""Storage commitment push model: N-ACTION of others, N-EVENT-REPORT for this server (PS3.4 J)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.storage_commitment import Reference, StorageCommitmentReports
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.scp.sop_classes import STORAGE_COMMITMENT_INSTANCE
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.storage_commitment import (
    REQUEST_STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_FAILURES,
    STORAGE_COMMITMENT_SUCCESSFUL,
    read_report,
    read_request,
)
from orthanc_tw.net.values import AssociationInfo, Reply, Status

_log = Logger()
_NO_SUCH_EVENT_TYPE = 0x0113  # PS3.7 C.5.10

#: Submits the job that verifies and reports: who asked, transaction UID, references.
SubmitCommitment = Callable[[AssociationInfo, str, Sequence[Reference]], Deferred[str]]


class CommitmentRequestHandler:
    """Answers N-ACTION. See `orthanc_tw.net.service.ServiceHandler`."""

    def __init__(self, identifiers: Identifiers, submit: SubmitCommitment) -> None:
        self._identifiers = identifiers
        self._submit = submit

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """Success once the job that will report is durable.

        The report goes to the modality that has the title of the one who asks; without one
        nothing could be reported, and the request is refused.
        """
        if request.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
            return Reply(Status.NO_SUCH_OBJECT_INSTANCE)
        if request.action_type_id != REQUEST_STORAGE_COMMITMENT:
            return Reply(Status.NO_SUCH_ACTION)
        if request.association.modality is None:
            return Reply(
                Status.PROCESSING_FAILURE,
                f"No modality has the AET {request.association.calling_aet}",
            )
        transaction_uid, references = read_request(self._identifiers.read(request))
        await self._submit(request.association, transaction_uid, references)
        return Reply(Status.SUCCESS)


class CommitmentReportHandler:
    """Answers N-EVENT-REPORT. See `orthanc_tw.net.service.ServiceHandler`."""

    def __init__(self, identifiers: Identifiers, reports: StorageCommitmentReports) -> None:
        self._identifiers = identifiers
        self._reports = reports

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """Keep the report, if this server asked for it."""
        if request.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
            return Reply(Status.NO_SUCH_OBJECT_INSTANCE)
        if request.action_type_id not in (
            STORAGE_COMMITMENT_SUCCESSFUL,
            STORAGE_COMMITMENT_FAILURES,
        ):
            return Reply(_NO_SUCH_EVENT_TYPE)
        result = read_report(self._identifiers.read(request))
        aet = request.association.calling_aet
        if not self._reports.complete(result.transaction_uid, aet, result.success, result.failures):
            _log.warn(
                "{aet} reports on a storage commitment that is not known: {uid}",
                aet=aet,
                uid=result.transaction_uid,
            )
            return Reply(Status.PROCESSING_FAILURE, "Unknown transaction UID")
        return Reply(Status.SUCCESS)
