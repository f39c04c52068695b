"""The metadata that ingest gives to the resources of an instance, level by level.

Source: ``/metadata?expand`` of topics 06, 10, 12, 14 and 41 of the corpus. ``LastUpdate``
is the index's to write, since it changes with later instances.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.index.gateway import NewResource
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType, RequestOrigin

_OF_ALL_LEVELS = (MetadataType.MAIN_DICOM_TAGS_SIGNATURE, MetadataType.MAIN_DICOM_SEQUENCES)
#: Metadata of each level that come out of the file, or are absent because of what is in it.
HEADER_METADATA: Mapping[ResourceType, tuple[MetadataType, ...]] = {
    ResourceType.PATIENT: _OF_ALL_LEVELS,
    ResourceType.STUDY: _OF_ALL_LEVELS,
    ResourceType.SERIES: (*_OF_ALL_LEVELS, MetadataType.EXPECTED_NUMBER_OF_INSTANCES),
    ResourceType.INSTANCE: (
        *_OF_ALL_LEVELS,
        MetadataType.TRANSFER_SYNTAX,
        MetadataType.SOP_CLASS_UID,
        MetadataType.INDEX_IN_SERIES,
        MetadataType.PIXEL_DATA_OFFSET,
        MetadataType.PIXEL_DATA_VR,
    ),
}


@dataclass(frozen=True, slots=True)
class StoreOrigin:
    """Where an instance comes from.

    :ivar remote_ip: address of the client, '' if it is not known
    :ivar remote_aet: calling AE title (DICOM protocol), else ''
    :ivar called_aet: called AE title (DICOM protocol), else ''
    :ivar http_username: user of the HTTP request, '' if there is none
    :ivar move_originator_aet: who had it sent by C-MOVE (PS3.7 9.3.1), '' if nobody did
    :ivar association_id: which association of this server it came over (C-GET), else 0
    :ivar transfer: the transfer that it came with, which takes it back if it fails, else ''
    """

    origin: RequestOrigin
    remote_ip: str = ""
    remote_aet: str = ""
    called_aet: str = ""
    http_username: str = ""
    move_originator_aet: str = ""
    association_id: int = 0
    transfer: str = ""


def new_resources(
    summary: InstanceSummary,
    public_ids: Sequence[str],
    origin: StoreOrigin,
    signatures: Mapping[ResourceType, str],
    date: str,
    extra: Mapping[ResourceType, Mapping[int, str]],
) -> list[NewResource]:
    """Patient, study, series and instance as the index wants them.

    :param public_ids: of the four levels, in order
    :param signatures: ``MainDicomTagsSignature`` of each level
    :param date: UTC time of reception
    :param extra: further metadata of each level
    """
    resources = []
    for level, public_id in zip(ResourceType, public_ids, strict=True):
        metadata = header_metadata(level, summary, signatures)
        if level is ResourceType.SERIES:
            metadata[MetadataType.REMOTE_AET] = origin.remote_aet
        elif level is ResourceType.INSTANCE:
            _add_origin(metadata, origin, date)
        metadata.update(extra.get(level, ()))
        resources.append(NewResource(level, public_id, summary.tags.get(level, {}), metadata))
    return resources


def header_metadata(
    level: ResourceType, summary: InstanceSummary, signatures: Mapping[ResourceType, str]
) -> dict[int, str]:
    """What of the metadata comes out of the file; all of it is of `HEADER_METADATA`.

    :param signatures: ``MainDicomTagsSignature`` of each level
    """
    metadata: dict[int, str] = {}
    signature = signatures.get(level)
    if signature is not None:
        metadata[MetadataType.MAIN_DICOM_TAGS_SIGNATURE] = signature
    sequences = summary.sequences.get(level)
    if sequences:
        metadata[MetadataType.MAIN_DICOM_SEQUENCES] = json.dumps(
            sequences, ensure_ascii=False, sort_keys=True
        )
    if level is ResourceType.SERIES:
        if summary.expected_instances is not None:
            metadata[MetadataType.EXPECTED_NUMBER_OF_INSTANCES] = str(summary.expected_instances)
    elif level is ResourceType.INSTANCE:
        metadata[MetadataType.TRANSFER_SYNTAX] = summary.transfer_syntax
        metadata[MetadataType.SOP_CLASS_UID] = summary.sop_class_uid
        if summary.index_in_series is not None:
            metadata[MetadataType.INDEX_IN_SERIES] = str(summary.index_in_series)
        if summary.pixel_data_offset is not None:
            metadata[MetadataType.PIXEL_DATA_OFFSET] = str(summary.pixel_data_offset)
        if summary.pixel_data_vr is not None:
            metadata[MetadataType.PIXEL_DATA_VR] = summary.pixel_data_vr
    return metadata


def _add_origin(metadata: dict[int, str], origin: StoreOrigin, date: str) -> None:
    metadata[MetadataType.RECEPTION_DATE] = date
    metadata[MetadataType.REMOTE_AET] = origin.remote_aet
    metadata[MetadataType.ORIGIN] = origin.origin.value
    if origin.remote_ip:
        metadata[MetadataType.REMOTE_IP] = origin.remote_ip
    if origin.origin is RequestOrigin.DICOM_PROTOCOL:
        metadata[MetadataType.CALLED_AET] = origin.called_aet
    elif origin.origin is RequestOrigin.REST_API:
        metadata[MetadataType.HTTP_USERNAME] = origin.http_username
