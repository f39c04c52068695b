"""What ingest needs to know of a DICOM file, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """Result of reading the header of a DICOM file; text is decoded, padding stripped.

    :ivar tags: main DICOM tags of each level, ``{"gggg,eeee": text}``; absent tags are absent
    :ivar sequences: main DICOM sequences (``ExtraMainDicomTags``) of each level, as the
        "full" JSON format of the REST API
    :ivar transfer_syntax: UID (that of the meta header, or the one found by sniffing)
    :ivar pixel_data_offset: offset in bytes of the pixel data element (group 7FE0), or None
    :ivar expected_instances: number of instances the series should have, or None
    :ivar index_in_series: for metadata ``IndexInSeries``, or None
    """

    identifiers: DicomIdentifiers
    tags: Mapping[ResourceType, Mapping[str, str]]
    sequences: Mapping[ResourceType, Mapping[str, JsonValue]]
    transfer_syntax: str
    sop_class_uid: str
    pixel_data_offset: int | None
    pixel_data_vr: str | None
    expected_instances: int | None
    index_in_series: int | None
    has_meta_header: bool
