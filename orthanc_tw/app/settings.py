"""Translates the configuration into the settings of each part; nothing else reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from orthanc_tw.app.dictionary import user_dictionary
from orthanc_tw.app.transfer_syntaxes import transfer_syntaxes
from orthanc_tw.config import Configuration
from orthanc_tw.config.derived import (
    authentication_enabled,
    concurrent_jobs,
    index_directory,
    stable_age_s,
    storage_directory,
)
from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.core.browse import BrowseSettings
from orthanc_tw.core.find import FindSettings
from orthanc_tw.core.names import AttachmentNames
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import StoreSettings
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.uids import accepted_sop_classes
from orthanc_tw.index.gateway import StorageLimits
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import OverwriteInstances
from orthanc_tw.rest.auth import AuthSettings
from orthanc_tw.rest.routes.archives import ArchiveRoutesSettings
from orthanc_tw.rest.routes.system import SystemSettings
from orthanc_tw.rest.site import SiteSettings
from orthanc_tw.rest.tls import TlsSettings
from orthanc_tw.startup import StartupError
from orthanc_tw.workers.settings import WorkerSettings

MB = 1024 * 1024
#: Libraries that ``/system`` names.
LIBRARIES = (
    "twisted",
    "klein",
    "pydicom",
    "treq",
    "prometheus-client",
    "isal",
    "deflate",
    "zlib-ng",
    "automat",
)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where data is kept, absolute."""

    storage: Path
    index: Path

    @property
    def jobs(self) -> Path:
        """Folders of the jobs."""
        return self.storage / "jobs"


def folders(configuration: Configuration) -> Folders:
    """``StorageDirectory`` and ``IndexDirectory``."""
    return Folders(storage_directory(configuration), index_directory(configuration))


def main_tags(configuration: Configuration) -> MainDicomTags:
    """The tags that the index keeps (``ExtraMainDicomTags``).

    :raises StartupError: if the option names an unknown tag or level
    """
    extra = configuration.mapping("ExtraMainDicomTags")
    try:
        return MainDicomTags.from_configuration(extra, user_dictionary(configuration))
    except (OrthancError, ValueError) as error:
        raise StartupError(f"ExtraMainDicomTags: a known tag was expected: {error}") from None


def overwrite_instances(configuration: Configuration) -> OverwriteInstances:
    """``OverwriteInstances``, which may also be a boolean."""
    value = configuration.to_json().get("OverwriteInstances", "Never")
    if isinstance(value, bool):
        return OverwriteInstances.ALWAYS if value else OverwriteInstances.NEVER
    return OverwriteInstances(value)


def signatures(tags: MainDicomTags) -> dict[ResourceType, str]:
    """``MainDicomTagsSignature`` of each level."""
    return {level: tags.signature(level) for level in ResourceType}


def store(configuration: Configuration, tags: MainDicomTags) -> StoreSettings:
    """Settings of ingest."""
    return StoreSettings(
        overwrite=overwrite_instances(configuration),
        compress=configuration.boolean("StorageCompression")
        and configuration.boolean("StoreDicom"),
        limits=StorageLimits(
            maximum_storage_bytes=configuration.integer("MaximumStorageSize") * MB,
            maximum_patients=configuration.integer("MaximumPatientCount"),
            recycle=configuration.text("MaximumStorageMode") == "Recycle",
        ),
        signatures=signatures(tags),
    )


def maximum_body_bytes(configuration: Configuration) -> int:
    """``MaximumRequestBodySizeMB`` in bytes, 0 for no limit."""
    return configuration.integer("MaximumRequestBodySizeMB") * MB


def uploads(configuration: Configuration) -> ArchiveLimits:
    """Limits of uploaded archives: what they inflate to counts as if it were sent."""
    return ArchiveLimits(
        maximum_bytes=maximum_body_bytes(configuration),
        maximum_entry_bytes=configuration.integer("MaximumFileSizeInArchiveMB") * MB,
    )


def archives(configuration: Configuration) -> ArchiveRoutesSettings:
    """Settings of the archive routes."""
    return ArchiveRoutesSettings(
        stream=configuration.boolean("SynchronousZipStream"),
        utf8=configuration.boolean("ZipUseUtf8"),
    )


def find(configuration: Configuration) -> FindSettings:
    """Limits of searches."""
    return FindSettings(
        limit_results=configuration.integer("LimitFindResults"),
        limit_instances=configuration.integer("LimitFindInstances"),
        files_allowed=files_allowed(configuration),
    )


def files_allowed(configuration: Configuration) -> bool:
    """Whether a search may open files (``StorageAccessOnFind``)."""
    return configuration.text("StorageAccessOnFind") != "Never"


def exports_logged(configuration: Configuration) -> bool:
    """``LogExportedResources``; a database that is only read takes no log."""
    return configuration.boolean("LogExportedResources") and not configuration.boolean("ReadOnly")


def browse(configuration: Configuration) -> BrowseSettings:
    """Settings of the listings."""
    return BrowseSettings(files_allowed=files_allowed(configuration))


def attachment_names(configuration: Configuration) -> AttachmentNames:
    """Names of attachments (``UserContentType``)."""
    user: dict[str, int | tuple[int, str]] = {
        name: value if isinstance(value, int) else (value[0], value[1])
        for name, value in configuration.mapping("UserContentType").items()
    }
    return AttachmentNames(user)


def runtime(configuration: Configuration) -> RuntimeOptions:
    """Options that the REST API may change."""
    return RuntimeOptions(
        default_encoding=Encoding.parse(configuration.text("DefaultEncoding")),
        accepted_transfer_syntaxes=transfer_syntaxes(configuration),
        accepted_sop_classes=accepted_sop_classes(
            configuration.strings("AcceptedSopClasses"), configuration.strings("RejectedSopClasses")
        ),
        unknown_sop_class_accepted=configuration.boolean("UnknownSopClassAccepted"),
    )


def auth(configuration: Configuration) -> AuthSettings:
    """Who may ask."""
    return AuthSettings(
        enabled=authentication_enabled(configuration),
        users=configuration.mapping("RegisteredUsers"),
        remote_access_allowed=configuration.boolean("RemoteAccessAllowed"),
    )


def site(configuration: Configuration) -> SiteSettings:
    """Settings of the HTTP server."""
    return SiteSettings(
        maximum_body_bytes=maximum_body_bytes(configuration),
        request_timeout_s=configuration.integer("HttpRequestTimeout"),
        keep_alive=configuration.boolean("KeepAlive"),
        keep_alive_timeout_s=configuration.integer("KeepAliveTimeout"),
        tcp_no_delay=configuration.boolean("TcpNoDelay"),
    )


def tls(configuration: Configuration) -> TlsSettings | None:
    """Settings of HTTPS, None where ``SslEnabled`` is false."""
    if not configuration.boolean("SslEnabled"):
        return None
    certificate = configuration.path("SslCertificate")
    trusted = configuration.path("SslTrustedClientCertificates")
    return TlsSettings(
        certificate=str(certificate),
        trusted_clients=str(trusted) if configuration.boolean("SslVerifyPeers") else None,
        minimum_version=configuration.integer("SslMinimumProtocolVersion"),
        ciphers=configuration.strings("SslCiphersAccepted"),
    )


def bind_addresses(configuration: Configuration) -> tuple[str, ...]:
    """Addresses to listen on; '' is every IPv4 address.

    Without remote access nothing but the loopback interface is listened on.
    """
    if configuration.is_set("HttpBindAddresses"):
        return configuration.strings("HttpBindAddresses")
    return ("",) if configuration.boolean("RemoteAccessAllowed") else ("127.0.0.1",)


def system(configuration: Configuration, tags: MainDicomTags, database_uuid: str) -> SystemSettings:
    """What ``/system`` says."""
    identifier = configuration.optional_text("DatabaseServerIdentifier") or database_uuid
    return SystemSettings(
        ingest_transcoding=configuration.optional_text("IngestTranscoding") or "",
        name=configuration.text("Name"),
        database_server_identifier=identifier,
        dicom_aet=configuration.text("DicomAet"),
        dicom_port=configuration.integer("DicomPort"),
        http_port=configuration.integer("HttpPort"),
        main_dicom_tags={
            level: [f"{tag >> 16:04x},{tag & 0xFFFF:04x}" for tag in tags.tags(level)]
            for level in ResourceType
        },
        is_http_server_secure=authentication_enabled(configuration)
        or not configuration.boolean("RemoteAccessAllowed"),
        check_revisions=configuration.boolean("CheckRevisions"),
        maximum_patient_count=configuration.integer("MaximumPatientCount"),
        maximum_storage_mode=configuration.text("MaximumStorageMode"),
        maximum_storage_size_mb=configuration.integer("MaximumStorageSize"),
        overwrite_instances=overwrite_instances(configuration).value,
        patient_level_enabled=configuration.boolean("PatientLevelEnabled"),
        storage_compression=configuration.boolean("StorageCompression"),
        store_md5=configuration.boolean("StoreMD5ForAttachments"),
        user_metadata=configuration.mapping("UserMetadata"),
        read_only=configuration.boolean("ReadOnly"),
        performance={
            "ConcurrentJobs": concurrent_jobs(configuration),
            "CpuCount": os.cpu_count() or 1,
        },
        third_party_versions=library_versions(),
    )


def library_versions() -> Mapping[str, str]:
    """Versions of the libraries in use, of those whose metadata is installed."""
    installed = {
        distribution.metadata["Name"].lower().replace("_", "-"): distribution.version
        for library in LIBRARIES
        for distribution in distributions(name=library)
    }
    return {name: installed[name] for name in LIBRARIES if name in installed}


def stable_age(configuration: Configuration) -> float:
    """``StableAge`` in seconds."""
    return float(stable_age_s(configuration))


def workers(configuration: Configuration) -> WorkerSettings:
    """Limits of the worker processes."""
    return WorkerSettings(
        workers=configuration.integer("WorkerProcesses") or os.cpu_count() or 1,
        memory_bytes=configuration.integer("WorkerMemoryMB") * MB,
        deadline_s=float(configuration.integer("WorkerTimeout")),
    )
