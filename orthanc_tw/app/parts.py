"""Makes the parts of a server over an open index and a storage area, and wires them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.dicom_client import make_dicom_client, modality_registry
from orthanc_tw.app.dicom_network import DicomNetwork, make_dicom_network
from orthanc_tw.app.dicom_services import Exchange, dicom_services
from orthanc_tw.app.indexing import make_store
from orthanc_tw.app.jobs import archive_kinds, commitment_kind, make_engine
from orthanc_tw.app.modification import make_modification
from orthanc_tw.app.peers import Peers, make_peers
from orthanc_tw.app.routes import RouteParts, route_providers
from orthanc_tw.app.transcoding import make_ingest_transcoder, make_transcoder
from orthanc_tw.app.transfers import TransferService, make_transfers
from orthanc_tw.core.exports import ExportLog
from orthanc_tw.core.metric_sources import index_values
from orthanc_tw.core.store import InstanceStore, Spawn
from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.metrics import Metrics
from orthanc_tw.net.scu.commitment import CommitmentReporter
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.routes.job_events import JobEventsRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.workers.pool import WorkerPool


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
    base: Base,
    spawn: Spawn,
    *,
    jobs_enabled: bool,
    reset: Callable[[], None],
    shutdown: Callable[[], None],
) -> Parts:
    """Wire a server; nothing runs yet.

    :param spawn: see `InstanceStore`
    """
    configuration = base.configuration
    transcoder = make_transcoder(base)
    ingest = make_ingest_transcoder(base, transcoder)
    store = make_store(base, ingest, spawn)
    exports = ExportLog(base.index, time.time, enabled=settings.exports_logged(configuration))
    modification = make_modification(base, store)
    modalities = modality_registry(base)
    network = make_dicom_network(base, store, lambda: modalities)
    client = make_dicom_client(base, modalities, network.pool, store, transcoder, exports)
    peers = make_peers(base, transcoder, exports)
    transfers = make_transfers(base, store, peers.client, peers.registry)
    reporter = CommitmentReporter(lambda: modalities, network.pool)
    base.metrics.add_source(index_values(base.index))
    engine = make_engine(
        base,
        [
            *archive_kinds(base, transcoder),
            commitment_kind(base, reporter.report),
            *client.kinds,
            *modification.kinds,
            *peers.kinds,
            *transfers.kinds,
        ],
        jobs_enabled=jobs_enabled,
    )
    network.services.extend(
        dicom_services(
            Exchange(base, lambda: modalities, engine, client.reports, client.services),
            network.permissions,
        )
    )
    compress = configuration.boolean("HttpCompressionEnabled")
    streamer = Streamer(base.in_thread, compress=compress)
    events = JobEventsRoutes(engine, streamer, base.reactor)
    providers = route_providers(
        RouteParts(
            base=base,
            store=store,
            engine=engine,
            streamer=streamer,
            events=events,
            reset=reset,
            shutdown=shutdown,
            modification=modification,
            client=client,
            peers=peers,
            transfers=transfers,
            transcoder=transcoder,
            ingest=ingest,
        )
    )
    executor = Executor(
        ErrorSettings(describe_errors=configuration.boolean("HttpDescribeErrors")),
        compress=compress,
    )
    return Parts(
        events=events,
        exports=exports,
        storage=base.storage,
        store=store,
        engine=engine,
        metrics=base.metrics,
        root=RestRoot(providers, executor),
        workers=base.workers,
        network=network,
        peers=peers,
        transfers=transfers.service,
    )
