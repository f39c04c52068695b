"""Makes the parts of a server over an open index and a storage area, and wires them."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.logger import LogLevel

from orthanc_tw.app import dicom_services, jobs_settings, settings
from orthanc_tw.app.creation import creation_routes
from orthanc_tw.app.dicom_client import (
    DicomClient,
    client_routes,
    make_dicom_client,
    modality_registry,
)
from orthanc_tw.app.dicom_network import DicomNetwork, make_dicom_network
from orthanc_tw.app.export import export_settings
from orthanc_tw.app.images import image_routes
from orthanc_tw.app.modification import (
    ModificationParts,
    make_modification,
    modification_routes,
    worker_settings,
)
from orthanc_tw.app.peers import Peers, make_peers, peer_routes
from orthanc_tw.app.transcoding import make_ingest_transcoder, make_transcoder
from orthanc_tw.app.transfers import (
    Transfers,
    TransferService,
    make_transfers,
    transfer_routes,
)
from orthanc_tw.app.warnings import tag_warnings
from orthanc_tw.config import Configuration
from orthanc_tw.core.attachments import Attachments
from orthanc_tw.core.browse import Browser
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.export import Exporter
from orthanc_tw.core.exports import ExportLog
from orthanc_tw.core.find import Finder
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.metadata import Metadata
from orthanc_tw.core.metric_sources import index_values, job_values
from orthanc_tw.core.names import metadata_names
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import InstanceStore, Spawn
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.core.upload import Uploader
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.dicom.uids import accepted_transfer_syntaxes
from orthanc_tw.index.gateway import Index
from orthanc_tw.index.read_only import ReadOnlyIndex
from orthanc_tw.index.sqlite import SqliteIndex
from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.jobs.kinds.archive import ARCHIVE, MEDIA, ArchiveKind
from orthanc_tw.jobs.kinds.storage_commitment import StorageCommitmentKind
from orthanc_tw.jobs.store import IndexJobStore, IndexLabels
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.metrics import Metrics
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.scu.commitment import CommitmentReporter
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.files import FileAnswers
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.routes.archives import ArchiveRoutes
from orthanc_tw.rest.routes.attachments import AttachmentRoutes
from orthanc_tw.rest.routes.changes import ChangeRoutes
from orthanc_tw.rest.routes.explorer import ExplorerRoutes
from orthanc_tw.rest.routes.export import FileExportRoutes
from orthanc_tw.rest.routes.exports import ExportRoutes
from orthanc_tw.rest.routes.find import FindRoutes
from orthanc_tw.rest.routes.job_events import JobEventsRoutes
from orthanc_tw.rest.routes.job_outputs import JobOutputRoutes
from orthanc_tw.rest.routes.jobs import JobsRoutes
from orthanc_tw.rest.routes.labels import LabelRoutes
from orthanc_tw.rest.routes.metadata import MetadataRoutes
from orthanc_tw.rest.routes.openapi import OpenApiRoutes
from orthanc_tw.rest.routes.reconstruct import ReconstructRoutes
from orthanc_tw.rest.routes.resources import ResourceRoutes
from orthanc_tw.rest.routes.settings import SettingsRoutes
from orthanc_tw.rest.routes.slices import SliceRoutes
from orthanc_tw.rest.routes.system import SystemRoutes
from orthanc_tw.rest.routes.tags import TagRoutes
from orthanc_tw.rest.routes.tools import ToolsRoutes, levels_enabled
from orthanc_tw.rest.routes.upload import UploadRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.workers.pool import WorkerPool

InThread = Callable[..., Deferred[Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the main service holds on to."""

    events: JobEventsRoutes
    exports: ExportLog
    storage: FilesystemStorage
    store: InstanceStore
    engine: JobsEngineService
    metrics: Metrics
    root: RestRoot
    workers: WorkerPool
    network: DicomNetwork
    peers: Peers
    transfers: TransferService


def make_parts(
    configuration: Configuration,
    reactor: Any,
    main_tags: MainDicomTags,
    index: SqliteIndex,
    storage: FilesystemStorage,
    in_thread: InThread,
    spawn: Spawn,
    *,
    jobs_enabled: bool,
    reset: Callable[[], None],
    shutdown: Callable[[], None],
    log_levels: LogLevels,
) -> Parts:
    """Wire a server; nothing runs yet."""
    metrics = Metrics(reactor, enabled=configuration.boolean("MetricsEnabled"))
    runtime = settings.runtime(configuration)
    workers = WorkerPool(reactor.spawnProcess, reactor, worker_settings(configuration))
    transcoder = make_transcoder(configuration, storage, workers)
    ingest = make_ingest_transcoder(configuration, transcoder, storage, in_thread)
    store = InstanceStore(
        index,
        storage,
        settings.store(configuration, main_tags),
        read_summary=_summary_reader(main_tags, runtime),
        in_thread=in_thread,
        spawn=spawn,
        clock=time.time,
        observe=metrics.observe,
        ingest=ingest,
    )
    reconstructor = Reconstructor(
        index,
        storage,
        _summary_reader(main_tags, runtime),
        in_thread,
        {level: main_tags.signature(level) for level in ResourceType},
    )
    modification = make_modification(
        configuration, index, storage, store, reconstructor, runtime, workers, in_thread,
        main_tags.dictionary,
    )  # fmt: skip
    read_only = configuration.boolean("ReadOnly")
    served_index: Index = ReadOnlyIndex(index) if read_only else index
    modalities = modality_registry(configuration, served_index)
    network = make_dicom_network(
        configuration, reactor, store, runtime, lambda: modalities, in_thread, metrics, log_levels
    )
    exports = ExportLog(index, time.time, enabled=settings.exports_logged(configuration))
    client = make_dicom_client(
        configuration, modalities, network.pool, index, storage, store, runtime, in_thread,
        transcoder, exports=exports,
    )  # fmt: skip
    peers = make_peers(
        configuration, reactor, index, served_index, storage, client.services.transcoder, in_thread,
        exports, metrics,
    )  # fmt: skip
    transfers = make_transfers(
        configuration,
        reactor,
        index,
        storage,
        store,
        peers.client,
        peers.registry,
        in_thread,
        metrics,
    )
    reporter = CommitmentReporter(lambda: modalities, network.pool)
    engine = JobsEngineService(
        jobs_settings.jobs(configuration, jobs_enabled=jobs_enabled),
        [
            *(
                ArchiveKind(type_name, index, storage.open, datetime.now, transcoder=transcoder)
                for type_name in (ARCHIVE, MEDIA)
            ),
            StorageCommitmentKind(index, storage, reporter.report),
            *client.kinds,
            *modification.kinds,
            *peers.kinds,
            *transfers.kinds,
        ],
        IndexJobStore(index),
        clock=reactor,
        cooperator=Cooperator(),
        in_thread=in_thread,
        random=random.random,
        is_logged=lambda: log_levels.shows(LogLevel.info, "jobs"),
        job_ended=metrics.job_ended,
        labels=IndexLabels(index),
        make_id=lambda: str(uuid.uuid4()),
        now_s=time.time,
    )
    exchange = dicom_services.Exchange(
        index, storage, _indexed(main_tags), runtime, in_thread, lambda: modalities, network.pool,
        engine, client.reports, client.services.settings, client.services.transcoder,
    )  # fmt: skip
    network.services.extend(
        dicom_services.dicom_services(configuration, network.permissions, exchange)
    )
    metrics.add_source(index_values(index))
    metrics.add_source(job_values(engine.counts))
    compress = configuration.boolean("HttpCompressionEnabled")
    streamer = Streamer(in_thread, compress=compress)
    events = JobEventsRoutes(engine, streamer, reactor)
    providers = route_providers(
        configuration, reactor, main_tags, index.database_uuid, served_index, storage,
        in_thread, metrics, runtime, store, engine, streamer, events, reset, shutdown,
        log_levels, modification, client, peers, transfers, transcoder,
    )  # fmt: skip
    executor = Executor(
        ErrorSettings(describe_errors=configuration.boolean("HttpDescribeErrors")),
        compress=compress,
    )
    root = RestRoot(providers, executor)
    return Parts(
        events,
        exports,
        storage,
        store,
        engine,
        metrics,
        root,
        workers,
        network,
        peers,
        transfers.service,
    )


def route_providers(
    configuration: Configuration,
    reactor: Any,
    main_tags: MainDicomTags,
    database_uuid: str,
    index: Index,
    storage: FilesystemStorage,
    in_thread: InThread,
    metrics: Metrics,
    runtime: RuntimeOptions,
    store: InstanceStore,
    engine: JobsEngineService,
    streamer: Streamer,
    events: JobEventsRoutes,
    reset: Callable[[], None],
    shutdown: Callable[[], None],
    log_levels: LogLevels,
    modification: ModificationParts,
    client: DicomClient,
    peers: Peers,
    transfers: Transfers,
    transcoder: FileTranscoder,
) -> Sequence[RouteProvider]:
    """All that make routes. Their constructors keep what they are given, and use nothing of it."""
    levels = levels_enabled(configuration.boolean("PatientLevelEnabled"))
    check_revisions = configuration.boolean("CheckRevisions")
    documents = Documents(storage, in_thread, runtime, main_tags.dictionary)
    instances = Instances(index, documents)
    export = export_settings(configuration)
    indexed = _indexed(main_tags)
    names = metadata_names(configuration.mapping("UserMetadata"))
    warnings = tag_warnings(configuration, main_tags, indexed)
    browser = Browser(index, documents, names, indexed, settings.browse(configuration), warnings)
    find_settings = settings.find(configuration)
    finder = Finder(index, documents, find_settings)
    deleter = ResourceDeleter(index, storage, in_thread, time.time)
    files = FileAnswers(storage, streamer, in_thread, metrics.inc)
    attachments = Attachments(
        index,
        storage,
        in_thread,
        reactor,
        compress=configuration.boolean("StorageCompression"),
        check_revisions=check_revisions,
    )
    metadata = Metadata(index, reactor, check_revisions=check_revisions)
    reconstructor = Reconstructor(
        index,
        storage,
        _summary_reader(main_tags, runtime),
        in_thread,
        {level: main_tags.signature(level) for level in ResourceType},
    )

    providers: list[RouteProvider] = [
        SystemRoutes(index, settings.system(configuration, main_tags, database_uuid)),
        ResourceRoutes(browser, deleter, streamer.send_chunks, levels),
        FileExportRoutes(instances, Exporter(storage, in_thread, export, lambda: uuid.uuid4().hex)),
        TagRoutes(instances, documents, files, streamer.send_chunks, in_thread, levels, transcoder),
        MetadataRoutes(metadata, names, levels),
        AttachmentRoutes(
            attachments,
            settings.attachment_names(configuration),
            files,
            storage.new_spool,
            levels,
        ),
        LabelRoutes(index, levels),
        ReconstructRoutes(reconstructor, levels),
        ChangeRoutes(index, streamer.send_chunks),
        ExportRoutes(index),
        FindRoutes(
            index, finder, browser, deleter, names, indexed, find_settings, streamer.send_chunks
        ),
        ToolsRoutes(index, reactor, uuid.uuid4, reset=reset, shutdown=shutdown),
        SettingsRoutes(runtime, log_levels, metrics, accepted_transfer_syntaxes),
        ArchiveRoutes(index, engine, streamer, settings.archives(configuration)),
        JobsRoutes(engine, streamer),
        JobOutputRoutes(engine, streamer),
        events,
        SliceRoutes(index),
        *image_routes(index, instances, storage, modification.run, in_thread, streamer),
        *modification_routes(
            configuration,
            modification,
            index,
            engine,
            instances,
            storage,
            streamer,
            documents.tag_options,
            levels,
        ),
        *creation_routes(
            configuration,
            index,
            storage,
            store,
            instances,
            documents,
            runtime,
            main_tags.dictionary or UserDictionary(),
            modification.run,
            in_thread,
            streamer.send_chunks,
        ),
        ExplorerRoutes(enabled=configuration.boolean("OrthancExplorerEnabled")),
        *client_routes(client, index, engine, deleter, streamer.send_chunks),
        *peer_routes(peers, index, engine),
        *transfer_routes(transfers, engine, in_thread, read_only=configuration.boolean("ReadOnly")),
    ]
    if not configuration.boolean("ReadOnly"):
        uploader = Uploader(store, in_thread, settings.uploads(configuration))
        providers.append(UploadRoutes(uploader))
    providers.append(OpenApiRoutes(providers))
    return providers


def _summary_reader(
    main_tags: MainDicomTags, runtime: RuntimeOptions
) -> Callable[[BinaryIO, int], InstanceSummary]:
    """The default encoding may change while the server runs."""

    def read(file: BinaryIO, size_bytes: int) -> InstanceSummary:
        return read_summary(file, size_bytes, main_tags, runtime.default_encoding)

    return read


def _indexed(main_tags: MainDicomTags) -> IndexedTags:
    defaults = MainDicomTags.from_configuration()
    return IndexedTags(
        levels={level: main_tags.tags(level) for level in ResourceType},
        defaults={tag for level in ResourceType for tag in defaults.tags(level)},
        dictionary=main_tags.dictionary,
    )
