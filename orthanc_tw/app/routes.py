"""All routes of a server over its parts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.app import settings
from orthanc_tw.app.creation import creation_routes
from orthanc_tw.app.dicom_client import (
    DicomClient,
    client_routes,
)
from orthanc_tw.app.export import export_settings
from orthanc_tw.app.images import image_routes
from orthanc_tw.app.indexing import indexed_tags, summary_reader
from orthanc_tw.app.modification import (
    ModificationParts,
    modification_routes,
)
from orthanc_tw.app.peers import Peers, peer_routes
from orthanc_tw.app.transfers import (
    Transfers,
    transfer_routes,
)
from orthanc_tw.app.warnings import tag_warnings
from orthanc_tw.config import Configuration
from orthanc_tw.core.attachments import Attachments
from orthanc_tw.core.browse import Browser
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.export import Exporter
from orthanc_tw.core.find import Finder
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.metadata import Metadata
from orthanc_tw.core.names import metadata_names
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.rewrite_files import FileRewriter
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transcoding.ingest import IngestTranscoder
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.core.upload import Uploader
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.dicom.uids import accepted_transfer_syntaxes
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.metrics import Metrics
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.files import FileAnswers
from orthanc_tw.rest.http import RouteProvider
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

InThread = Callable[..., Deferred[Any]]


@dataclass(frozen=True, slots=True)
class RouteParts:
    """The parts of a server that routes are made of."""

    reactor: Any
    main_tags: MainDicomTags
    database_uuid: str
    index: Index
    storage: FilesystemStorage
    in_thread: InThread
    metrics: Metrics
    runtime: RuntimeOptions
    store: InstanceStore
    engine: JobsEngineService
    streamer: Streamer
    events: JobEventsRoutes
    reset: Callable[[], None]
    shutdown: Callable[[], None]
    log_levels: LogLevels
    modification: ModificationParts
    client: DicomClient
    peers: Peers
    transfers: Transfers
    transcoder: FileTranscoder
    ingest: IngestTranscoder | None


def route_providers(configuration: Configuration, parts: RouteParts) -> Sequence[RouteProvider]:
    """All that make routes. Their constructors keep what they are given, and use nothing of it."""
    levels = levels_enabled(configuration.boolean("PatientLevelEnabled"))
    check_revisions = configuration.boolean("CheckRevisions")
    documents = Documents(parts.storage, parts.in_thread, parts.runtime, parts.main_tags.dictionary)
    instances = Instances(parts.index, documents)
    export = export_settings(configuration)
    indexed = indexed_tags(parts.main_tags)
    names = metadata_names(configuration.mapping("UserMetadata"))
    warnings = tag_warnings(configuration, parts.main_tags, indexed)
    browser = Browser(
        parts.index, documents, names, indexed, settings.browse(configuration), warnings
    )
    find_settings = settings.find(configuration)
    finder = Finder(parts.index, documents, find_settings)
    deleter = ResourceDeleter(parts.index, parts.storage, parts.in_thread, time.time)
    files = FileAnswers(parts.storage, parts.streamer, parts.in_thread, parts.metrics.inc)
    attachments = Attachments(
        parts.index,
        parts.storage,
        parts.in_thread,
        parts.reactor,
        compress=configuration.boolean("StorageCompression"),
        check_revisions=check_revisions,
    )
    metadata = Metadata(parts.index, parts.reactor, check_revisions=check_revisions)
    reconstructor = Reconstructor(
        parts.index,
        parts.storage,
        summary_reader(parts.main_tags, parts.runtime),
        parts.in_thread,
        {level: parts.main_tags.signature(level) for level in ResourceType},
    )
    rewriter = FileRewriter(
        parts.index,
        parts.storage,
        summary_reader(parts.main_tags, parts.runtime),
        parts.in_thread,
        {level: parts.main_tags.signature(level) for level in ResourceType},
        compress=configuration.boolean("StorageCompression"),
        ingest=parts.ingest,
    )

    providers: list[RouteProvider] = [
        SystemRoutes(
            parts.index, settings.system(configuration, parts.main_tags, parts.database_uuid)
        ),
        ResourceRoutes(browser, deleter, parts.streamer.send_chunks, levels),
        FileExportRoutes(
            instances, Exporter(parts.storage, parts.in_thread, export, lambda: uuid.uuid4().hex)
        ),
        TagRoutes(
            instances,
            documents,
            files,
            parts.streamer.send_chunks,
            parts.in_thread,
            levels,
            parts.transcoder,
        ),
        MetadataRoutes(metadata, names, levels),
        AttachmentRoutes(
            attachments,
            settings.attachment_names(configuration),
            files,
            parts.storage.new_spool,
            levels,
        ),
        LabelRoutes(parts.index, levels),
        ReconstructRoutes(reconstructor, rewriter, levels),
        ChangeRoutes(parts.index, parts.streamer.send_chunks),
        ExportRoutes(parts.index),
        FindRoutes(
            parts.index,
            finder,
            browser,
            deleter,
            names,
            indexed,
            find_settings,
            parts.streamer.send_chunks,
        ),
        ToolsRoutes(
            parts.index, parts.reactor, uuid.uuid4, reset=parts.reset, shutdown=parts.shutdown
        ),
        SettingsRoutes(parts.runtime, parts.log_levels, parts.metrics, accepted_transfer_syntaxes),
        ArchiveRoutes(parts.index, parts.engine, parts.streamer, settings.archives(configuration)),
        JobsRoutes(parts.engine, parts.streamer),
        JobOutputRoutes(parts.engine, parts.streamer),
        parts.events,
        SliceRoutes(parts.index),
        *image_routes(
            parts.index,
            instances,
            parts.storage,
            parts.modification.run,
            parts.in_thread,
            parts.streamer,
        ),
        *modification_routes(
            configuration,
            parts.modification,
            parts.index,
            parts.engine,
            instances,
            parts.storage,
            parts.streamer,
            documents.tag_options,
            levels,
        ),
        *creation_routes(
            configuration,
            parts.index,
            parts.storage,
            parts.store,
            instances,
            documents,
            parts.runtime,
            parts.main_tags.dictionary or UserDictionary(),
            parts.modification.run,
            parts.in_thread,
            parts.streamer.send_chunks,
        ),
        ExplorerRoutes(enabled=configuration.boolean("OrthancExplorerEnabled")),
        *client_routes(
            parts.client, parts.index, parts.engine, deleter, parts.streamer.send_chunks
        ),
        *peer_routes(parts.peers, parts.index, parts.engine),
        *transfer_routes(
            parts.transfers,
            parts.engine,
            parts.in_thread,
            exports=parts.peers.services.exports,
            read_only=configuration.boolean("ReadOnly"),
        ),
    ]
    if not configuration.boolean("ReadOnly"):
        uploader = Uploader(parts.store, parts.in_thread, settings.uploads(configuration))
        providers.append(UploadRoutes(uploader))
    providers.append(OpenApiRoutes(providers))
    return providers
