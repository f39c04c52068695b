"""Registered numbers that the index stores: metadata, attachments, changes, compression.

The numbers and names are Orthanc's own, since clients address user metadata and
user attachments by number (1024 and above).
"""

from __future__ import annotations

import enum


class MetadataType(enum.IntEnum):
    """Built-in metadata; user metadata are plain integers in [1024, 65535]."""

    INDEX_IN_SERIES = 1
    RECEPTION_DATE = 2
    REMOTE_AET = 3
    EXPECTED_NUMBER_OF_INSTANCES = 4
    MODIFIED_FROM = 5
    ANONYMIZED_FROM = 6
    LAST_UPDATE = 7
    ORIGIN = 8
    TRANSFER_SYNTAX = 9
    SOP_CLASS_UID = 10
    REMOTE_IP = 11
    CALLED_AET = 12
    HTTP_USERNAME = 13
    PIXEL_DATA_OFFSET = 14
    MAIN_DICOM_TAGS_SIGNATURE = 15
    MAIN_DICOM_SEQUENCES = 16
    PIXEL_DATA_VR = 17
    RECYCLING_ORDER = 19

    @property
    def label(self) -> str:
        """Name in the REST API, such as ``ReceptionDate``."""
        return _METADATA[self]


_METADATA = {
    MetadataType.INDEX_IN_SERIES: "IndexInSeries",
    MetadataType.RECEPTION_DATE: "ReceptionDate",
    MetadataType.REMOTE_AET: "RemoteAET",
    MetadataType.EXPECTED_NUMBER_OF_INSTANCES: "ExpectedNumberOfInstances",
    MetadataType.MODIFIED_FROM: "ModifiedFrom",
    MetadataType.ANONYMIZED_FROM: "AnonymizedFrom",
    MetadataType.LAST_UPDATE: "LastUpdate",
    MetadataType.ORIGIN: "Origin",
    MetadataType.TRANSFER_SYNTAX: "TransferSyntax",
    MetadataType.SOP_CLASS_UID: "SopClassUid",
    MetadataType.REMOTE_IP: "RemoteIP",
    MetadataType.CALLED_AET: "CalledAET",
    MetadataType.HTTP_USERNAME: "HttpUsername",
    MetadataType.PIXEL_DATA_OFFSET: "PixelDataOffset",
    MetadataType.MAIN_DICOM_TAGS_SIGNATURE: "MainDicomTagsSignature",
    MetadataType.MAIN_DICOM_SEQUENCES: "MainDicomSequences",
    MetadataType.PIXEL_DATA_VR: "PixelDataVR",
    MetadataType.RECYCLING_ORDER: "PatientRecyclingOrder",
}


class ContentType(enum.IntEnum):
    """Built-in attachments; user attachments are integers in [1024, 65535]."""

    DICOM = 1
    DICOM_AS_JSON = 2
    DICOM_UNTIL_PIXEL_DATA = 3

    @property
    def label(self) -> str:
        """Name in the REST API."""
        return {1: "dicom", 2: "dicom-as-json", 3: "dicom-until-pixel-data"}[self]


class Compression(enum.IntEnum):
    """How an attachment is stored."""

    NONE = 1
    ZLIB_WITH_SIZE = 2


class ChangeType(enum.IntEnum):
    """``ChangeType`` of ``/changes``."""

    COMPLETED_SERIES = 1
    DELETED = 2
    NEW_CHILD_INSTANCE = 3
    NEW_INSTANCE = 4
    NEW_PATIENT = 5
    NEW_SERIES = 6
    NEW_STUDY = 7
    ANONYMIZED_STUDY = 8
    ANONYMIZED_SERIES = 9
    MODIFIED_STUDY = 10
    MODIFIED_SERIES = 11
    ANONYMIZED_PATIENT = 12
    MODIFIED_PATIENT = 13
    STABLE_PATIENT = 14
    STABLE_STUDY = 15
    STABLE_SERIES = 16
    UPDATED_ATTACHMENT = 17
    UPDATED_METADATA = 18

    @property
    def label(self) -> str:
        """Name in the REST API, such as ``NewInstance``."""
        return "".join(part.capitalize() for part in self.name.split("_"))


class StoreStatus(enum.Enum):
    """``Status`` of the answer to an upload."""

    SUCCESS = "Success"
    ALREADY_STORED = "AlreadyStored"
    FILTERED_OUT = "FilteredOut"
    STORAGE_FULL = "StorageFull"


class OverwriteInstances(enum.Enum):
    """Option ``OverwriteInstances``."""

    NEVER = "Never"
    ALWAYS = "Always"
    IF_CHANGED = "IfChanged"


class RequestOrigin(enum.Enum):
    """Metadata ``Origin``: the door an instance came in by."""

    REST_API = "RestApi"
    DICOM_PROTOCOL = "DicomProtocol"
    LUA = "Lua"
    PLUGINS = "Plugins"
    WEBDAV = "WebDav"
    UNKNOWN = "Unknown"
