"""The services of the DICOM server beside C-ECHO and C-STORE: query, retrieve, commitment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.indexing import indexed_tags
from orthanc_tw.config import Configuration
from orthanc_tw.core.dicom_query import QuerySettings, ResourceQueries
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.find import Finder
from orthanc_tw.core.storage_commitment import Reference, StorageCommitmentReports
from orthanc_tw.core.worklists import Worklists, WorklistSettings
from orthanc_tw.index.gateway import ResourceRow
from orthanc_tw.jobs.interface import JobRequest, JobsEngine
from orthanc_tw.jobs.kinds.modality_store import MODALITY_STORE, store_parameters
from orthanc_tw.jobs.kinds.storage_commitment import commitment_request
from orthanc_tw.model.resource import Resource
from orthanc_tw.net.associations import Modalities
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.permissions import Permissions
from orthanc_tw.net.scp import sop_classes
from orthanc_tw.net.scp.find import FindHandler
from orthanc_tw.net.scp.get import GetHandler
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.scp.move import MoveHandler
from orthanc_tw.net.scp.storage_commitment import CommitmentReportHandler, CommitmentRequestHandler
from orthanc_tw.net.scp.worklist import WorklistHandler
from orthanc_tw.net.service import Service, ServiceHandler
from orthanc_tw.net.store_session import StoreSession, StoreSettings
from orthanc_tw.net.values import AssociationInfo, Command, MoveOriginator
from orthanc_tw.rest.routes.modality_store import StoreServices


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the services use of the rest of the server.

    :ivar reports: storage commitments that this server asked for
    :ivar services: how C-MOVE sends
    """

    base: Base
    modalities: Modalities
    engine: JobsEngine
    reports: StorageCommitmentReports
    services: StoreServices


def dicom_services(exchange: Exchange, permissions: Permissions) -> Sequence[Service]:
    """All of them. Worklists are offered if they are enabled only."""
    identifiers = Identifiers(exchange.base.runtime)

    def service(
        operation: str,
        command: Command,
        classes: tuple[str, ...],
        handler: ServiceHandler,
        name: str = "",
        **more: bool,
    ) -> Service:
        return Service(
            name or f"c-{operation}",
            command,
            classes,
            handler,
            lambda info: permissions.may(operation, info),
            **more,
        )

    services = [
        service(
            "find",
            Command.C_FIND,
            (sop_classes.PATIENT_ROOT_FIND, sop_classes.STUDY_ROOT_FIND),
            _find(exchange, identifiers),
        ),
        service(
            "move",
            Command.C_MOVE,
            (sop_classes.PATIENT_ROOT_MOVE, sop_classes.STUDY_ROOT_MOVE),
            _move(exchange, permissions, identifiers),
        ),
        service(
            "get",
            Command.C_GET,
            (sop_classes.PATIENT_ROOT_GET, sop_classes.STUDY_ROOT_GET),
            GetHandler(
                exchange.base.index,
                exchange.base.storage,
                identifiers,
                exchange.services.transcoder if exchange.services.settings.transcode else None,
            ),
            sub_operations=True,
        ),
        service(
            "n-action",
            Command.N_ACTION,
            (sop_classes.STORAGE_COMMITMENT,),
            CommitmentRequestHandler(identifiers, _submit_commitment(exchange.engine)),
            name="n-action",
        ),
        service(
            "n-event-report",
            Command.N_EVENT_REPORT,
            (sop_classes.STORAGE_COMMITMENT,),
            CommitmentReportHandler(identifiers, exchange.reports),
            name="n-event-report",
        ),
    ]
    worklists = worklist_settings(exchange.base.configuration)
    if worklists is not None:
        found = Worklists(worklists, exchange.base.runtime, exchange.base.in_thread)
        services.append(
            service(
                "find-worklist",
                Command.C_FIND,
                (sop_classes.MODALITY_WORKLIST_FIND,),
                WorklistHandler(found, identifiers),
            )
        )
    return services


def worklist_settings(configuration: Configuration) -> WorklistSettings | None:
    """Section ``Worklists``; None if they are not enabled."""
    section = configuration.mapping("Worklists")
    if not section["Enable"]:
        return None
    return WorklistSettings(
        folder=str(configuration.folder_of("Worklists") / section["Database"]),
        filter_issuer_aet=section["FilterIssuerAet"],
        limit_answers=section["LimitAnswers"],
        case_sensitive_pn=configuration.boolean("CaseSensitivePN"),
    )


def commitment_reports(configuration: Configuration) -> StorageCommitmentReports:
    """As many as ``StorageCommitmentReportsSize``."""
    return StorageCommitmentReports(configuration.integer("StorageCommitmentReportsSize"))


def store_settings(configuration: Configuration) -> StoreSettings:
    """How instances are sent to modalities."""
    return StoreSettings(
        preferred_syntax=configuration.text("DicomScuPreferredTransferSyntax"),
        transcode=configuration.boolean("TranscodeDicomProtocol"),
    )


def _find(exchange: Exchange, identifiers: Identifiers) -> FindHandler:
    base = exchange.base
    configuration = base.configuration
    limits = settings.find(configuration)
    documents = Documents(base.storage, base.in_thread, base.runtime)
    queries = ResourceQueries(
        base.index,
        Finder(base.index, documents, limits),
        documents,
        indexed_tags(base.main_tags),
        limits,
        QuerySettings(case_sensitive_pn=configuration.boolean("CaseSensitivePN")),
    )
    return FindHandler(queries, identifiers, configuration.text("DicomAet"))


def _move(exchange: Exchange, permissions: Permissions, identifiers: Identifiers) -> MoveHandler:
    configuration, services = exchange.base.configuration, exchange.services
    local_aet = configuration.text("DicomAet")

    def sender(modality: RemoteModality) -> StoreSession:
        return StoreSession(services.pool, modality, services.settings, services.transcoder)

    def submit(
        modality: RemoteModality,
        rows: Sequence[ResourceRow],
        count: int,
        originator: MoveOriginator,
    ) -> Deferred[str]:
        parameters = store_parameters(
            modality,
            [Resource(row.level, row.public_id) for row in rows],
            count,
            local_aet=modality.local_aet or local_aet,
            permissive=True,
            originator=originator,
            description="C-MOVE SCP",
        )
        return exchange.engine.submit(JobRequest(MODALITY_STORE, parameters))

    return MoveHandler(
        exchange.base.index,
        exchange.base.storage,
        identifiers,
        exchange.modalities,
        sender,
        permissions.is_same_aet,
        None if configuration.boolean("SynchronousCMove") else submit,
    )


def _submit_commitment(
    engine: JobsEngine,
) -> Callable[[AssociationInfo, str, Sequence[Reference]], Deferred[str]]:
    def submit(
        requestor: AssociationInfo, transaction_uid: str, references: Sequence[Reference]
    ) -> Deferred[str]:
        return engine.submit(commitment_request(requestor, transaction_uid, references))

    return submit
