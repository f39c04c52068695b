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
    :ivar pixel_data_offset: offset in bytes of the pixel data element (7FE0,0010), or None; None
        also where the reference gives none: deflated files, no preamble, unknown syntax
    :ivar pixel_data_vr: VR of the pixel data if it is not the usual one, for metadata
        ``PixelDataVR``; None if there is nothing to store
    :ivar expected_instances: number of instances the series should have, or None
    :ivar index_in_series: text for metadata ``IndexInSeries`` (may be empty, or no number), or
        None for no such metadata
    :ivar has_meta_header: whether the file has preamble, ``DICM`` and group 0002 (PS3.10)
    """

    identifiers: DicomIdentifiers
    tags: Mapping[ResourceType, Mapping[str, str]]
    sequences: Mapping[ResourceType, Mapping[str, JsonValue]]
    transfer_syntax: str
    sop_class_uid: str
    pixel_data_offset: int | None
    pixel_data_vr: str | None
    expected_instances: int | None
    index_in_series: str | None
    has_meta_header: bool
