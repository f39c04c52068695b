"""The JSON of a resource, from what the index holds of it.

Source: REST API, ``GET /{level}/{id}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from orthanc_tw.core.content import Content, View
from orthanc_tw.core.metadata_text import shown
from orthanc_tw.core.names import Names
from orthanc_tw.dicom.main_tag_json import format_main_tags, plain_tags
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.index.gateway import Attachment, ResourceRecord
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

_ORIGINS = tuple(
    (kind.label, int(kind)) for kind in (MetadataType.ANONYMIZED_FROM, MetadataType.MODIFIED_FROM)
)
_EXPECTED = MetadataType.EXPECTED_NUMBER_OF_INSTANCES
_SEQUENCES = int(MetadataType.MAIN_DICOM_SEQUENCES)


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


class ResourceJson:
    """Shows resources of one level in one way, without their ``RequestedTags``.

    What is the same for all of them is looked at once: of a list of hundreds it would take
    longer than the rest.

    :param names: names of metadata
    :param dictionary: names of tags that the configuration adds
    """

    def __init__(
        self, level: ResourceType, view: View, names: Names, dictionary: UserDictionary | None
    ) -> None:
        content = view.content
        self._names = names
        self._format = view.format
        self._dictionary = dictionary
        # Of text, as nearly all tags are; sequences (``ExtraMainDicomTags``) come from metadata.
        is_plain = view.format is TagFormat.SIMPLIFY and not dictionary
        self._text_tags = plain_tags if is_plain else self._tags
        self._level = level
        self._type = level.label
        self._has_main_tags = Content.MAIN_DICOM_TAGS in content
        self._has_patient = self._has_main_tags and level is ResourceType.STUDY
        parent = level.parent if Content.PARENT in content else None
        self._parent = None if parent is None else f"Parent{parent.label}"
        self._children = level.children_label if Content.CHILDREN in content else None
        self._has_labels = Content.LABELS in content
        self._is_stable = Content.IS_STABLE in content and level is not ResourceType.INSTANCE
        self._is_protected = Content.IS_PROTECTED in content and level is ResourceType.PATIENT
        self._has_status = Content.STATUS in content and level is ResourceType.SERIES
        self._has_metadata = Content.METADATA in content
        self._has_attachments = Content.ATTACHMENTS in content
        self._is_legacy = Content.LEGACY in content

    def __call__(self, record: ResourceRecord) -> JsonObject:
        """The JSON of a resource of the level."""
        answer: JsonObject = {"ID": record.public_id, "Type": self._type}
        metadata = record.metadata
        if self._has_main_tags:
            sequences = metadata.get(_SEQUENCES)
            answer["MainDicomTags"] = (
                self._text_tags(record.tags)
                if sequences is None
                else self._tags({**record.tags, **json.loads(sequences)})
            )
        if self._has_patient:
            patient = record.ancestors_tags.get(ResourceType.PATIENT, {})
            answer["PatientMainDicomTags"] = self._text_tags(patient)
        if self._parent is not None:
            answer[self._parent] = record.parent_public_id
        if self._children is not None:
            answer[self._children] = list(record.children)
        if self._has_labels:
            answer["Labels"] = sorted(record.labels)
        if self._is_stable:
            answer["IsStable"] = record.is_stable
        if self._is_protected:
            answer["IsProtected"] = record.is_protected
        if self._has_status:
            answer["Status"] = _status(record)
        if self._has_metadata:
            answer["Metadata"] = {
                self._names.label(number): shown(value)
                for number, value in sorted(metadata.items())
            }
        if self._has_attachments:
            answer["Attachments"] = [attachment_json(item) for item in record.attachments]
        if self._is_legacy:
            self._add_legacy(answer, record)
        return answer

    def _add_legacy(self, answer: JsonObject, record: ResourceRecord) -> None:
        """Fields taken from metadata and attachments, shown unless ``ResponseContent`` is given."""
        metadata = record.metadata
        for name, number in _ORIGINS:
            if number in metadata:
                answer[name] = metadata[number]
        if self._level is not ResourceType.INSTANCE:
            answer["LastUpdate"] = record.last_update
            if self._level is ResourceType.SERIES:
                answer[_EXPECTED.label] = _integer(record, _EXPECTED)
            return
        answer["IndexInSeries"] = _integer(record, MetadataType.INDEX_IN_SERIES)
        for attachment in record.attachments:
            if attachment.content_type == ContentType.DICOM:
                answer["FileSize"] = attachment.size_bytes
                answer["FileUuid"] = attachment.uuid

    def _tags(self, tags: Mapping[str, JsonValue]) -> JsonObject:
        return format_main_tags(tags, self._format, self._dictionary)


def _integer(record: ResourceRecord, number: MetadataType) -> int | None:
    value = record.metadata.get(number)
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def _status(record: ResourceRecord) -> str:
    """Whether a series is complete, by the number of its instances."""
    expected = _integer(record, _EXPECTED)
    if expected is None:
        return "Unknown"
    count = len(record.children)
    if count == expected:
        return "Complete"
    return "Missing" if count < expected else "Inconsistent"
