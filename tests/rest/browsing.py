"""The whole of browsing put together in memory: index, storage, routes; and its replayer."""

import importlib.util
import json
from functools import partial
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pydicom
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.core.attachments import Attachments
from orthanc_tw.core.browse import Browser, BrowseSettings
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.export import Exporter, ExportSettings
from orthanc_tw.core.find import Finder, FindSettings
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.metadata import Metadata
from orthanc_tw.core.names import AttachmentNames, metadata_names
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import InstanceStore, StoreSettings
from orthanc_tw.core.tag_warnings import TagWarnings
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.core.upload import Uploader
from orthanc_tw.core.utc import utc_text
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.dicom.uids import accepted_sop_classes, accepted_transfer_syntaxes
from orthanc_tw.index.gateway import StorageLimits
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.metrics import Metrics
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import OverwriteInstances
from orthanc_tw.rest.auth import AuthSettings
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.files import FileAnswers
from orthanc_tw.rest.routes.attachments import AttachmentRoutes
from orthanc_tw.rest.routes.changes import ChangeRoutes
from orthanc_tw.rest.routes.explorer import ExplorerRoutes
from orthanc_tw.rest.routes.export import FileExportRoutes
from orthanc_tw.rest.routes.exports import ExportRoutes
from orthanc_tw.rest.routes.find import FindRoutes
from orthanc_tw.rest.routes.labels import LabelRoutes
from orthanc_tw.rest.routes.metadata import MetadataRoutes
from orthanc_tw.rest.routes.openapi import OpenApiRoutes
from orthanc_tw.rest.routes.reconstruct import ReconstructRoutes
from orthanc_tw.rest.routes.resources import ResourceRoutes
from orthanc_tw.rest.routes.settings import SettingsRoutes
from orthanc_tw.rest.routes.slices import SliceRoutes
from orthanc_tw.rest.routes.system import SystemRoutes, SystemSettings
from orthanc_tw.rest.routes.tags import TagRoutes
from orthanc_tw.rest.routes.tools import ToolsRoutes, levels_enabled
from orthanc_tw.rest.routes.upload import UploadRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from orthanc_tw.testing.requests import InMemorySite
from orthanc_tw.testing.workers import run_here

REFERENCE = Path(__file__).parents[1] / "reference"
DATA = Path(pydicom.__file__).parent / "data"
MEBIBYTE = 1024 * 1024
NOW_S = 1_800_000_000.25


def in_thread(function, *args, **kwargs):
    """Run at once: the Deferred has fired."""
    return maybeDeferred(function, *args, **kwargs)


class Server:
    """A server in memory, with the options that topics of the corpus set.

    :ivar events: ``reset`` and ``shutdown``, when they were asked for
    """

    def __init__(self, configuration=None, *, index=None, storage=None, per_slice=None, find=None):
        options = dict(configuration or {})
        option = options.get
        self.index = MemoryIndex() if index is None else index
        self.storage = MemoryStorage() if storage is None else storage
        self.events = []
        self.export = ExportSettings(option("RestApiExportDirectory"))
        tags = MainDicomTags.from_configuration(option("ExtraMainDicomTags"))
        default_tags = MainDicomTags.from_configuration()
        self.runtime = RuntimeOptions(
            Encoding.parse(option("DefaultEncoding", "Latin1")),
            accepted_transfer_syntaxes(["1.2.840.10008.1.*"]),
            accepted_sop_classes(),
            option("UnknownSopClassAccepted", False),
        )
        self.clock = Clock()
        self.clock.advance(NOW_S)
        self.stable_age_s = option("StableAge", 60)
        overwrite = option("OverwriteInstances", False)
        overwrite = {False: "Never", True: "Always"}.get(overwrite, overwrite)
        compress = option("StorageCompression", False)
        signatures = {level: tags.signature(level) for level in ResourceType}

        def summary(file, size_bytes):
            return read_summary(file, size_bytes, tags, self.runtime.default_encoding)

        self.reconstructor = Reconstructor(
            self.index, self.storage, summary, in_thread, signatures, per_page=per_slice or 100
        )
        store = InstanceStore(
            self.index,
            self.storage,
            StoreSettings(
                signatures=signatures,
                limits=StorageLimits(
                    option("MaximumStorageSize", 0) * MEBIBYTE,
                    option("MaximumPatientCount", 0),
                    option("MaximumStorageMode", "Recycle") == "Recycle",
                ),
                overwrite=OverwriteInstances(overwrite),
                compress=compress,
            ),
            read_summary=summary,
            in_thread=in_thread,
            spawn=lambda work, failed: in_thread(work).addErrback(failed),
            clock=self.clock.seconds,
            timer=lambda: 0.0,
        )
        files_allowed = option("StorageAccessOnFind", "Always") != "Never"
        check_revisions = option("CheckRevisions", False)
        self.metrics = Metrics(self.clock, enabled=option("MetricsEnabled", True))
        self.documents = Documents(self.storage, in_thread, self.runtime)
        names = metadata_names(option("UserMetadata", {}))
        self.indexed = IndexedTags(
            {level: frozenset(tags.tags(level)) for level in ResourceType},
            frozenset(tag for level in ResourceType for tag in default_tags.tags(level)),
        )
        settings = BrowseSettings(files_allowed=files_allowed)
        if per_slice is not None:
            settings = BrowseSettings(per_slice, per_slice, files_allowed)
        self.warned = []
        warnings = TagWarnings(option("Warnings", ()), signatures, self.indexed, self.warned.append)
        self.browser = Browser(self.index, self.documents, names, self.indexed, settings, warnings)
        find_settings = find or FindSettings(
            option("LimitFindResults", 0), option("LimitFindInstances", 0), files_allowed
        )
        self.finder = Finder(self.index, self.documents, find_settings)
        deleter = ResourceDeleter(self.index, self.storage, in_thread, self.clock.seconds)
        streamer = Streamer(in_thread)
        send = streamer.send_chunks
        files = FileAnswers(self.storage, streamer, in_thread, self.metrics.inc)
        levels = levels_enabled(option("PatientLevelEnabled", True))
        system = SystemSettings(
            name=option("Name", "MyOrthanc"),
            database_server_identifier="identifier",
            dicom_aet=option("DicomAet", "ORTHANC"),
            dicom_port=9242,
            http_port=80,
            main_dicom_tags={
                level: [format_tag(tag) for tag in tags.tags(level)] for level in ResourceType
            },
            check_revisions=check_revisions,
            ingest_transcoding=option("IngestTranscoding", ""),
            maximum_patient_count=option("MaximumPatientCount", 0),
            maximum_storage_mode=option("MaximumStorageMode", "Recycle"),
            maximum_storage_size_mb=option("MaximumStorageSize", 0),
            overwrite_instances=overwrite,
            patient_level_enabled=option("PatientLevelEnabled", True),
            storage_compression=compress,
            store_md5=option("StoreMD5ForAttachments", True),
            user_metadata=option("UserMetadata", {}),
            performance={"ConcurrentJobs": 2},
            third_party_versions={"twisted": "1"},
        )
        self.attachments = Attachments(
            self.index,
            self.storage,
            in_thread,
            self.clock,
            compress=compress,
            check_revisions=check_revisions,
        )
        content_types = {
            name: value if isinstance(value, int) else tuple(value)
            for name, value in option("UserContentType", {}).items()
        }
        providers = [
            UploadRoutes(Uploader(store, in_thread, ArchiveLimits())),
            SystemRoutes(self.index, system),
            SettingsRoutes(self.runtime, LogLevels(), self.metrics, accepted_transfer_syntaxes),
            ToolsRoutes(
                self.index,
                self.clock,
                lambda: UUID(int=42, version=4),
                reset=partial(self.events.append, "reset"),
                shutdown=partial(self.events.append, "shutdown"),
            ),
            ExplorerRoutes(enabled=option("OrthancExplorerEnabled", True)),
            ResourceRoutes(self.browser, deleter, send, levels),
            MetadataRoutes(
                Metadata(self.index, self.clock, check_revisions=check_revisions), names, levels
            ),
            AttachmentRoutes(
                self.attachments,
                AttachmentNames(content_types),
                files,
                self.storage.new_spool,
                levels,
            ),
            LabelRoutes(self.index, levels),
            ChangeRoutes(self.index, send),
            ExportRoutes(self.index),
            SliceRoutes(self.index),
            ReconstructRoutes(self.reconstructor, levels),
            FileExportRoutes(
                Instances(self.index, self.documents),
                Exporter(self.storage, in_thread, self.export, lambda: "export"),
            ),
            TagRoutes(
                Instances(self.index, self.documents, per_slice=per_slice or 100),
                self.documents,
                files,
                send,
                in_thread,
                levels,
                FileTranscoder(self.storage, run_here),
            ),
            FindRoutes(
                self.index,
                self.finder,
                self.browser,
                deleter,
                names,
                self.indexed,
                find_settings,
                send,
            ),
        ]
        providers.append(OpenApiRoutes(providers))
        self.site = InMemorySite(
            *providers,
            storage=self.storage,
            errors=ErrorSettings(describe_errors=option("HttpDescribeErrors", True)),
            auth=AuthSettings(
                enabled=option("AuthenticationEnabled", False),
                users=option("RegisteredUsers", {}),
            ),
        )

    def ask(self, method, path, body=None, headers=None):
        """Send a request and take the answer; text and JSON values are encoded."""
        if isinstance(body, str):
            body = body.encode()
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.site.ask(method, path, body, headers)

    def upload(self, name):
        """Upload a file of pydicom and return its public identifiers."""
        answer = self.ask("POST", "/instances", (DATA / name).read_bytes())
        assert answer.status == 200, answer
        return answer.json()

    def pass_time(self, seconds):
        """Let time go by, and what is due become stable."""
        self.clock.advance(seconds)
        now_s = self.clock.seconds()
        self.index.write(
            lambda tx: tx.mark_stable(
                older_than_s=now_s - self.stable_age_s, date=utc_text(now_s), limit=1000
            )
        )


def load_replayer():
    """The replayer of the reference corpus as a module."""
    spec = importlib.util.spec_from_file_location("reference_replay", REFERENCE / "replay.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


replayer = load_replayer()


class MemorySession(replayer.Session):
    """Sends the exchanges of a recording to a `Server`."""

    def __init__(self, server):
        self.server = server
        self.data = str(DATA)
        self.auth = None
        self.literal = set()
        self.variables = {"A_DICOM_PORT": 9242, "A_HTTP_PORT": 80}

    def request(self, ex):
        """Status, headers and body of an answer."""
        headers = dict(replayer.substitute(ex.get("headers", {}), self.variables))
        body = self.part(ex)
        if body is None and ex["method"] in ("POST", "PUT", "PATCH"):
            body = b""
        path = quote(replayer.substitute(ex["path"], self.variables), safe="/?&=;%:,*+-.()!$@~")
        answer = self.server.ask(ex["method"], path, body, headers)
        return answer.status, answer.headers, answer.body

    def execute(self, ex):
        """Run an exchange without waiting."""
        if "sleep" in ex:
            self.server.pass_time(ex["sleep"])
        quick = {key: value for key, value in ex.items() if key not in ("sleep", "retry")}
        if "wait" in quick:
            self.server.pass_time(quick.pop("wait").get("timeout", 60))
        return super().execute(quick)


def replay(topic):
    """Mismatches of a topic by the number of the exchange."""
    recording = json.loads((REFERENCE / "recordings" / f"{topic}.json").read_text("utf-8"))
    session = MemorySession(Server({**recording["base_config"], **recording["config"]}))
    session.literal = set(recording.get("literal", ()))
    mismatches = {}
    for number, exchange in enumerate(recording["exchanges"]):
        if "response" in exchange and exchange.get("server", "A") == "A":
            bad, _ = replayer.compare(exchange, session.execute(exchange), recording["volatile"])
            if bad:
                mismatches[number] = bad
    return mismatches
