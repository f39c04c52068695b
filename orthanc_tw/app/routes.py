"""All routes of a server over its parts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.creation import creation_routes
from orthanc_tw.app.dicom_client import (
    DicomClient,
    client_routes,
)
from orthanc_tw.app.export import export_settings
from orthanc_tw.app.images import image_routes
from orthanc_tw.app.indexing import indexed_tags, make_reconstructor, make_rewriter
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
from orthanc_tw.core.attachments import Attachments
from orthanc_tw.core.browse import Browser
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.export import Exporter
from orthanc_tw.core.find import Finder
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.metadata import Metadata
from orthanc_tw.core.names import metadata_names
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transcoding.ingest import IngestTranscoder
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.core.upload import Uploader
from orthanc_tw.dicom.uids import accepted_transfer_syntaxes
from orthanc_tw.jobs.engine import JobsEngineService
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


@dataclass(frozen=True, slots=True)
class RouteParts:
    """The parts of a server that routes are made of."""

    base: Base
    store: InstanceStore
    engine: JobsEngineService
    streamer: Streamer
    events: JobEventsRoutes
    reset: Callable[[], None]
    shutdown: Callable[[], None]
    modification: ModificationParts
    client: DicomClient
    peers: Peers
    transfers: Transfers
    transcoder: FileTranscoder
    ingest: IngestTranscoder | None


def route_providers(parts: RouteParts) -> Sequence[RouteProvider]:
    """All that make routes. Their constructors keep what they are given, and use nothing of it."""
    base = parts.base
    configuration, index, in_thread = base.configuration, base.served_index, base.in_thread
    send_chunks = parts.streamer.send_chunks
    levels = levels_enabled(configuration.boolean("PatientLevelEnabled"))
    check_revisions = configuration.boolean("CheckRevisions")
    documents = Documents(base.storage, in_thread, base.runtime, base.main_tags.dictionary)
    instances = Instances(index, documents)
    indexed = indexed_tags(base.main_tags)
    names = metadata_names(configuration.mapping("UserMetadata"))
    warnings = tag_warnings(configuration, base.main_tags, indexed)
    browser = Browser(index, documents, names, indexed, settings.browse(configuration), warnings)
    find_settings = settings.find(configuration)
    finder = Finder(index, documents, find_settings)
    deleter = base.deleter(index)
    files = FileAnswers(base.storage, parts.streamer, in_thread, base.metrics.inc)
    attachments = Attachments(
        index,
        base.storage,
        in_thread,
        base.reactor,
        compress=configuration.boolean("StorageCompression"),
        check_revisions=check_revisions,
    )
    metadata = Metadata(index, base.reactor, check_revisions=check_revisions)

    providers: list[RouteProvider] = [
        SystemRoutes(
            index, settings.system(configuration, base.main_tags, base.index.database_uuid)
        ),
        ResourceRoutes(browser, deleter, send_chunks, levels),
        FileExportRoutes(
            instances,
            Exporter(
                base.storage,
                in_thread,
                export_settings(configuration),
                lambda: uuid.uuid4().hex,
            ),
        ),
        TagRoutes(
            instances,
            documents,
            files,
            send_chunks,
            in_thread,
            levels,
            parts.transcoder,
        ),
        MetadataRoutes(metadata, names, levels),
        AttachmentRoutes(
            attachments,
            settings.attachment_names(configuration),
            files,
            base.storage.new_spool,
            levels,
        ),
        LabelRoutes(index, levels),
        ReconstructRoutes(
            make_reconstructor(base, index), make_rewriter(base, parts.ingest), levels
        ),
        ChangeRoutes(index, send_chunks),
        ExportRoutes(index),
        FindRoutes(
            index,
            finder,
            browser,
            deleter,
            names,
            indexed,
            find_settings,
            send_chunks,
        ),
        ToolsRoutes(index, base.reactor, uuid.uuid4, reset=parts.reset, shutdown=parts.shutdown),
        SettingsRoutes(base.runtime, base.log_levels, base.metrics, accepted_transfer_syntaxes),
        ArchiveRoutes(index, parts.engine, parts.streamer, settings.archives(configuration)),
        JobsRoutes(parts.engine, parts.streamer),
        JobOutputRoutes(parts.engine, parts.streamer),
        parts.events,
        SliceRoutes(index),
        *image_routes(index, instances, base.storage, base.workers.run, in_thread, parts.streamer),
        *modification_routes(
            base,
            parts.modification,
            parts.engine,
            instances,
            parts.streamer,
            documents.tag_options,
            levels,
        ),
        *creation_routes(base, parts.store, instances, documents, send_chunks),
        ExplorerRoutes(enabled=configuration.boolean("OrthancExplorerEnabled")),
        *client_routes(parts.client, index, parts.engine, deleter, send_chunks),
        *peer_routes(parts.peers, index, parts.engine),
        *transfer_routes(base, parts.transfers, parts.engine, exports=parts.peers.services.exports),
    ]
    if not base.is_read_only:
        uploader = Uploader(parts.store, in_thread, settings.uploads(configuration))
        providers.append(UploadRoutes(uploader))
    providers.append(OpenApiRoutes(providers))
    return providers
