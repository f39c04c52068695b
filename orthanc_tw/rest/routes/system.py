"""``/system`` and ``/statistics``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twisted.web.server import Request

from orthanc_tw.index.gateway import Index, Statistics
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.http import JSON_TYPE, Route, json_body
from orthanc_tw.rest.spec import NATURAL, STRING, answer, fields, json_spec

ORTHANC_VERSION = "1.13.0"
API_VERSION = 31
# What clients ask for before they use a feature of the database.
_CAPABILITIES: JsonObject = {
    "HasExtendedChanges": True,
    "HasExtendedFind": True,
    "HasKeyValueStores": True,
    "HasQueues": True,
    "HasReserveQueueValue": True,
}
DATABASE_VERSION = 6
BYTES_PER_MB = 1024 * 1024

_SYSTEM = json_spec(
    fields(
        {"Version": STRING, "ApiVersion": NATURAL, "Name": STRING, "DicomAet": STRING},
        ["Version", "ApiVersion", "Name", "DicomAet"],
    )
)
_STATISTICS = json_spec(
    answer(
        {
            **{f"Count{name}": NATURAL for name in ("Patients", "Studies", "Series", "Instances")},
            **{f"Total{name}": schema for name, schema in parts.SIZES.items()},
        }
    )
)


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """What ``/system`` says, mostly options of the same name.

    :ivar is_http_server_secure: false if anybody on the network may do anything
    :ivar main_dicom_tags: tags ``gggg,eeee`` of each level, in order
    :ivar is_http_server_secure: whether strangers are kept out: authentication is enabled, or
        remote access is not allowed
    :ivar maximum_storage_size_mb: ``MaximumStorageSize``
    :ivar overwrite_instances: ``Never``, ``Always`` or ``IfChanged``
    :ivar performance: numbers of threads and sizes of caches, as they are here
    :ivar third_party_versions: name -> version of the libraries in use
    """

    name: str
    database_server_identifier: str
    dicom_aet: str
    dicom_port: int
    http_port: int
    main_dicom_tags: Mapping[ResourceType, Iterable[str]]
    is_http_server_secure: bool = True
    check_revisions: bool = False
    ingest_transcoding: str = ""
    maximum_patient_count: int = 0
    maximum_storage_mode: str = "Recycle"
    maximum_storage_size_mb: int = 0
    overwrite_instances: str = "Never"
    patient_level_enabled: bool = True
    read_only: bool = False
    storage_compression: bool = False
    store_md5: bool = True
    dicom_default_retrieve_method: str = "C-MOVE"
    user_metadata: Mapping[str, int] = field(default_factory=dict)
    performance: Mapping[str, int] = field(default_factory=dict)
    third_party_versions: Mapping[str, str] = field(default_factory=dict)


def system_json(settings: SystemSettings) -> JsonObject:
    """The answer of ``/system``."""
    tags: JsonObject = {
        level.label: ";".join(settings.main_dicom_tags.get(level, ())) for level in ResourceType
    }
    return {
        "ApiVersion": API_VERSION,
        "Capabilities": _CAPABILITIES,
        "CheckRevisions": settings.check_revisions,
        "DatabaseBackendPlugin": None,
        "DatabaseServerIdentifier": settings.database_server_identifier,
        "DatabaseVersion": DATABASE_VERSION,
        "DicomAet": settings.dicom_aet,
        "DicomDefaultRetrieveMethod": settings.dicom_default_retrieve_method,
        "DicomPort": settings.dicom_port,
        "HasLabels": True,
        "HttpPort": settings.http_port,
        "IngestTranscoding": settings.ingest_transcoding,
        "IsHttpServerSecure": settings.is_http_server_secure,
        "MainDicomTags": tags,
        "MaximumPatientCount": settings.maximum_patient_count,
        "MaximumStorageMode": settings.maximum_storage_mode,
        "MaximumStorageSize": settings.maximum_storage_size_mb,
        "Name": settings.name,
        "OverwriteInstances": settings.overwrite_instances != "Never",
        "OverwriteInstancesMode": settings.overwrite_instances,
        "PatientLevelEnabled": settings.patient_level_enabled,
        "Performance": dict(settings.performance),
        "PluginsEnabled": True,
        "ReadOnly": settings.read_only,
        "StorageAreaPlugin": None,
        "StorageCompression": settings.storage_compression,
        "StoreMD5ForAttachments": settings.store_md5,
        "ThirdPartyPatches": [],
        "ThirdPartyVersions": dict(settings.third_party_versions),
        "UserMetadata": _both_ways(settings.user_metadata),
        "Version": ORTHANC_VERSION,
    }


def _both_ways(numbers: Mapping[str, int]) -> JsonObject:
    """Numbers of user metadata, by name and by themselves."""
    answer: JsonObject = dict(numbers)
    answer.update({str(number): number for number in numbers.values()})
    return answer


def sizes_json(prefix: str, disk_bytes: int, uncompressed_bytes: int) -> JsonObject:
    """Sizes in bytes as text (they may not fit a double) and in whole mebibytes."""
    sizes: dict[str, JsonValue] = {}
    for name, size in (("DiskSize", disk_bytes), ("UncompressedSize", uncompressed_bytes)):
        sizes[prefix + name] = str(size)
        sizes[f"{prefix}{name}MB"] = size // BYTES_PER_MB
    return sizes


def statistics_json(statistics: Statistics) -> JsonObject:
    """The answer of ``/statistics``."""
    return {
        "CountInstances": statistics.count_instances,
        "CountPatients": statistics.count_patients,
        "CountSeries": statistics.count_series,
        "CountStudies": statistics.count_studies,
        **sizes_json("Total", statistics.disk_size_bytes, statistics.uncompressed_size_bytes),
    }


class SystemRoutes:
    """What the server is, and how much it holds."""

    def __init__(self, index: Index, settings: SystemSettings) -> None:
        self._index = index
        self._system = system_json(settings)
        self._body = b""

    def routes(self) -> Iterable[Route]:
        """The two of them."""
        yield Route(
            "GET",
            "/system",
            self.get_system,
            "Get the description of the server",
            hot=True,
            spec=_SYSTEM,
        )
        yield Route(
            "GET",
            "/statistics",
            self.get_statistics,
            "Get what the server holds",
            hot=True,
            spec=_STATISTICS,
        )

    def get_system(self, request: Request) -> bytes:
        """Name, version, and the options that clients depend on."""
        if not self._body:
            self._body = json_body(request, self._system)
        request.responseHeaders.setRawHeaders(b"content-type", [JSON_TYPE])
        return self._body

    async def get_statistics(self, request: Request) -> bytes:
        """Counters and sizes."""
        statistics = await self._index.read(lambda tx: tx.statistics())
        return json_body(request, statistics_json(statistics))
