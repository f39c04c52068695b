"""Makes the parts of a server over an open index and a storage area, and wires them."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twisted.internet.task import Cooperator
from twisted.logger import LogLevel

from orthanc_tw.app import dicom_services, jobs_settings, settings
from orthanc_tw.app.dicom_client import (
    make_dicom_client,
    modality_registry,
)
from orthanc_tw.app.dicom_network import DicomNetwork, make_dicom_network
from orthanc_tw.app.indexing import indexed_tags, summary_reader
from orthanc_tw.app.modification import (
    make_modification,
    worker_settings,
)
from orthanc_tw.app.peers import Peers, make_peers
from orthanc_tw.app.routes import InThread, RouteParts, route_providers
from orthanc_tw.app.transcoding import make_ingest_transcoder, make_transcoder
from orthanc_tw.app.transfers import (
    TransferService,
    make_transfers,
)
from orthanc_tw.config import Configuration
from orthanc_tw.core.exports import ExportLog
from orthanc_tw.core.metric_sources import index_values, job_values
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.store import InstanceStore, Spawn
from orthanc_tw.dicom.main_tags import MainDicomTags
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
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.routes.job_events import JobEventsRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.storage.index_only import IndexOnlyStorage
from orthanc_tw.workers.pool import WorkerPool


def new_uuid() -> str:
    """A random UUID in lower case. Any thread."""
    return str(uuid.uuid4())


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
        storage if configuration.boolean("StoreDicom") else IndexOnlyStorage(storage, new_uuid),
        settings.store(configuration, main_tags),
        read_summary=summary_reader(main_tags, runtime),
        in_thread=in_thread,
        spawn=spawn,
        clock=time.time,
        observe=metrics.observe,
        ingest=ingest,
    )
    reconstructor = Reconstructor(
        index,
        storage,
        summary_reader(main_tags, runtime),
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
        configuration, reactor, index, served_index, storage, transcoder, in_thread,
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
        make_id=new_uuid,
        now_s=time.time,
    )
    exchange = dicom_services.Exchange(
        index, storage, indexed_tags(main_tags), runtime, in_thread, lambda: modalities,
        network.pool, engine, client.reports, client.services.settings, client.services.transcoder,
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
        configuration,
        RouteParts(
            reactor=reactor,
            main_tags=main_tags,
            database_uuid=index.database_uuid,
            index=served_index,
            storage=storage,
            in_thread=in_thread,
            metrics=metrics,
            runtime=runtime,
            store=store,
            engine=engine,
            streamer=streamer,
            events=events,
            reset=reset,
            shutdown=shutdown,
            log_levels=log_levels,
            modification=modification,
            client=client,
            peers=peers,
            transfers=transfers,
            transcoder=transcoder,
            ingest=ingest,
        ),
    )
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
