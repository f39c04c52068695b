"""The JSON of a resource, from what the index holds of it.

Source: REST API, ``GET /{level}/{id}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from orthanc_tw.core.content import Content, View
from orthanc_tw.core.metadata_text import shown
from orthanc_tw.core.names import Names
from orthanc_tw.dicom.main_tag_json import format_main_tags
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.index.gateway import Attachment, ResourceRecord
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

# Plain numbers: the operators of a Flag take longer than all the rest.
_ATTACHMENTS = Content.ATTACHMENTS.value
_CHILDREN = Content.CHILDREN.value
_IS_PROTECTED = Content.IS_PROTECTED.value
_IS_STABLE = Content.IS_STABLE.value
_LABELS = Content.LABELS.value
_LEGACY = Content.LEGACY.value
_MAIN_DICOM_TAGS = Content.MAIN_DICOM_TAGS.value
_METADATA = Content.METADATA.value
_PARENT = Content.PARENT.value
_STATUS = Content.STATUS.value


def attachment_json(attachment: Attachment) -> JsonObject:
    """An attachment, as in ``Attachments`` and ``/attachments/{name}/info``."""
    return {
        "CompressedMD5": attachment.stored_md5,
        "CompressedSize": attachment.stored_size_bytes,
        "ContentType": attachment.content_type,
        "UncompressedMD5": attachment.md5,
        "UncompressedSize": attachment.size_bytes,
        "Uuid": attachment.uuid,
    }


def resource_json(
    record: ResourceRecord, view: View, names: Names, dictionary: UserDictionary | None = None
) -> JsonObject:
    """A resource without its ``RequestedTags``.

    :param names: names of metadata
    """
    level, content = record.level, view.bits
    answer: JsonObject = {"ID": record.public_id, "Type": level.label}
    if content & _MAIN_DICOM_TAGS:
        answer["MainDicomTags"] = format_main_tags(_main_tags(record), view.format, dictionary)
        if level is ResourceType.STUDY:
            patient = record.ancestors_tags.get(ResourceType.PATIENT, {})
            answer["PatientMainDicomTags"] = format_main_tags(patient, view.format, dictionary)
    if content & _PARENT and level.parent is not None:
        answer[f"Parent{level.parent.label}"] = record.parent_public_id
    if content & _CHILDREN and level.children_label is not None:
        answer[level.children_label] = list(record.children)
    if content & _LABELS:
        answer["Labels"] = sorted(record.labels)
    if content & _IS_STABLE and level is not ResourceType.INSTANCE:
        answer["IsStable"] = record.is_stable
    if content & _IS_PROTECTED and level is ResourceType.PATIENT:
        answer["IsProtected"] = record.is_protected
    if content & _STATUS and level is ResourceType.SERIES:
        answer["Status"] = _status(record)
    if content & _METADATA:
        answer["Metadata"] = {
            names.label(number): shown(item.value)
            for number, item in sorted(record.metadata.items())
        }
    if content & _ATTACHMENTS:
        answer["Attachments"] = [attachment_json(item) for item in record.attachments]
    if content & _LEGACY:
        answer.update(_legacy(record))
    return answer


def _main_tags(record: ResourceRecord) -> Mapping[str, JsonValue]:
    """Text from the tags, sequences (``ExtraMainDicomTags``) from their metadata."""
    sequences = record.metadata.get(MetadataType.MAIN_DICOM_SEQUENCES)
    if sequences is None:
        return record.tags
    return {**record.tags, **json.loads(sequences.value)}


def _legacy(record: ResourceRecord) -> JsonObject:
    """Fields taken from metadata and attachments, shown unless ``ResponseContent`` is given."""
    answer: JsonObject = {}
    for metadata in (MetadataType.ANONYMIZED_FROM, MetadataType.MODIFIED_FROM):
        if metadata in record.metadata:
            answer[metadata.label] = record.metadata[metadata].value
    if record.level is not ResourceType.INSTANCE:
        answer["LastUpdate"] = record.last_update
    if record.level is ResourceType.SERIES:
        number = MetadataType.EXPECTED_NUMBER_OF_INSTANCES
        answer[number.label] = _integer(record, number)
    if record.level is ResourceType.INSTANCE:
        answer["IndexInSeries"] = _integer(record, MetadataType.INDEX_IN_SERIES)
        for attachment in record.attachments:
            if attachment.content_type == ContentType.DICOM:
                answer["FileSize"] = attachment.size_bytes
                answer["FileUuid"] = attachment.uuid
    return answer


def _integer(record: ResourceRecord, number: MetadataType) -> int | None:
    item = record.metadata.get(number)
    try:
        return None if item is None else int(item.value)
    except ValueError:
        return None


def _status(record: ResourceRecord) -> str:
    """Whether a series is complete, by the number of its instances."""
    expected = _integer(record, MetadataType.EXPECTED_NUMBER_OF_INSTANCES)
    if expected is None:
        return "Unknown"
    if record.children_count == expected:
        return "Complete"
    return "Missing" if record.children_count < expected else "Inconsistent"
