"""Makes what this server asks of other application entities: modalities, queries, transfers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthanc_tw.app import dicom_settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.dicom_services import commitment_reports, store_settings
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.storage_commitment import StorageCommitmentReports
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobKind, JobsEngine
from orthanc_tw.jobs.kinds.modality_store import (
    ModalityStoreKind,
)
from orthanc_tw.jobs.kinds.retrieve import GET, MOVE, RetrieveKind
from orthanc_tw.net.arrivals import StoreArrivals
from orthanc_tw.net.associations import AssociationPool
from orthanc_tw.net.modalities import RetrieveMethod
from orthanc_tw.net.query.client import QueryClient, ScuSettings
from orthanc_tw.net.query.commitment import CommitmentClient
from orthanc_tw.net.query.store import QueryStore
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.net.storage_contexts import storage_rounds
from orthanc_tw.net.transcoding import WorkerTranscoder
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.json_list import SendChunks
from orthanc_tw.rest.routes.modalities import ModalityRoutes
from orthanc_tw.rest.routes.modality_find import ModalityFindRoutes
from orthanc_tw.rest.routes.modality_store import ModalityStoreRoutes, StoreServices
from orthanc_tw.rest.routes.queries import QueryRoutes
from orthanc_tw.rest.routes.retrieve import RetrieveRoutes, RetrieveSettings
from orthanc_tw.rest.routes.storage_commitment import StorageCommitmentRoutes
from orthanc_tw.rest.store_request import ExportLogger


@dataclass(frozen=True, slots=True)
class DicomClient:
    """What the routes and others share.

    :ivar reports: storage commitment that was asked for; whoever takes reports completes them
    :ivar kinds: types of jobs
    """

    modalities: ModalityRegistry
    queries: QueryStore
    client: QueryClient
    commitments: CommitmentClient
    reports: StorageCommitmentReports
    services: StoreServices
    retrieve: RetrieveSettings
    encoding: Callable[[], Encoding]
    kinds: Sequence[JobKind]


def modality_registry(base: Base) -> ModalityRegistry:
    """The modalities, where ``DicomModalitiesInDatabase`` says that they live.

    :raises StartupError: naming the modality that is not as it should be
    """
    if base.configuration.boolean("DicomModalitiesInDatabase"):
        return ModalityRegistry({}, base.served_index)
    return ModalityRegistry(dicom_settings.modalities(base.configuration))


def make_dicom_client(
    base: Base,
    modalities: ModalityRegistry,
    pool: AssociationPool,
    store: InstanceStore,
    files: FileTranscoder,
    exports: ExportLogger | None = None,
) -> DicomClient:
    """Wire it; nothing is asked yet.

    :param files: transcodes what a modality does not take as it is
    :param exports: what is told of all that is sent
    """
    configuration, runtime = base.configuration, base.runtime
    preferred = configuration.text("DicomScuPreferredTransferSyntax")
    local_aet = configuration.text("DicomAet")
    reports = commitment_reports(configuration)
    commitments = CommitmentClient(pool, reports, new_transaction_uid, preferred)
    sending = store_settings(configuration)
    transcoder = WorkerTranscoder(files, base.in_thread, base.storage.new_spool, preferred)
    arrivals = StoreArrivals(store)

    def encoding() -> Encoding:
        return runtime.default_encoding

    def retrieve_kind(type_name: str) -> RetrieveKind:
        return RetrieveKind(
            type_name,
            pool,
            arrivals,
            preferred,
            encoding,
            lambda classes: storage_rounds(runtime, classes),
            client.sop_classes,
        )

    client = QueryClient(
        pool, ScuSettings(preferred, configuration.boolean("DicomEchoChecksFind")), encoding
    )
    return DicomClient(
        modalities=modalities,
        queries=QueryStore(configuration.integer("QueryRetrieveSize"), lambda: str(uuid.uuid4())),
        client=client,
        commitments=commitments,
        reports=reports,
        services=StoreServices(pool, sending, transcoder, exports, local_aet),
        retrieve=RetrieveSettings(
            local_aet, RetrieveMethod(configuration.text("DicomDefaultRetrieveMethod"))
        ),
        encoding=encoding,
        kinds=(
            ModalityStoreKind(base.index, base.storage, pool, sending, transcoder, commitments),
            retrieve_kind(MOVE),
            retrieve_kind(GET),
        ),
    )


def client_routes(
    dicom: DicomClient,
    index: Index,
    engine: JobsEngine,
    deleter: ResourceDeleter,
    send_chunks: SendChunks,
) -> Sequence[RouteProvider]:
    """The routes of modalities, queries and storage commitment."""
    return (
        ModalityRoutes(dicom.modalities),
        ModalityFindRoutes(dicom.modalities, dicom.client, dicom.queries, dicom.encoding),
        QueryRoutes(dicom.queries, dicom.client, dicom.encoding, send_chunks),
        RetrieveRoutes(dicom.modalities, dicom.queries, engine, dicom.encoding, dicom.retrieve),
        ModalityStoreRoutes(dicom.modalities, index, engine, dicom.services),
        StorageCommitmentRoutes(dicom.modalities, dicom.commitments, dicom.reports, index, deleter),
    )


def new_transaction_uid() -> str:
    """A UID made of a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
