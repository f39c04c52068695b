"""Tags that a client asks for beside the main ones: where the value of each comes from.

Source: REST API, ``requested-tags`` and ``RequestedTags``; PS3.4 C.3.4 and C.6.1.1 for the
computed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from orthanc_tw.dicom.tags import format_tag, parse_tag
from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    ReadTransaction,
    ResourceRecord,
    ResourceRow,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

MODALITIES_IN_STUDY = "0008,0061"
SOP_CLASSES_IN_STUDY = "0008,0062"
INSTANCE_AVAILABILITY = "0008,0056"
RETRIEVE_URL = "0008,1190"
SOP_CLASS_UID = "0008,0016"
MODALITY = "0008,0060"
_COUNTS: Mapping[str, tuple[ResourceType, str]] = {
    "0020,1200": (ResourceType.PATIENT, "count_studies"),
    "0020,1202": (ResourceType.PATIENT, "count_series"),
    "0020,1204": (ResourceType.PATIENT, "count_instances"),
    "0020,1206": (ResourceType.STUDY, "count_series"),
    "0020,1208": (ResourceType.STUDY, "count_instances"),
    "0020,1209": (ResourceType.SERIES, "count_instances"),
}
COMPUTED = frozenset(
    (*_COUNTS, MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY, INSTANCE_AVAILABILITY, RETRIEVE_URL)
)
_BARE = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
_METADATA = ExpandParts(children=False, metadata=True, attachments=False, labels=False)
_SLICE = 1000


@dataclass(frozen=True, slots=True)
class RequestedTags:
    """Tags ``gggg,eeee`` in the order they were asked for."""

    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags)

    @classmethod
    def parse(cls, names: Iterable[str]) -> RequestedTags:
        """From names or numbers of tags.

        :raises OrthancError: UNKNOWN_DICOM_TAG with the name as details
        """
        return cls(tuple(dict.fromkeys(format_tag(parse_tag(name)) for name in names)))


@dataclass(frozen=True, slots=True)
class IndexedTags:
    """Main DICOM tags as configured.

    :ivar levels: tags that the index keeps of each level
    :ivar defaults: tags that it keeps of any level without configuration; what is absent of
        these is absent of the file, while a configured one may just be younger than the file
    """

    levels: Mapping[ResourceType, Collection[str]]
    defaults: Collection[str]


@dataclass(slots=True)
class Requested:
    """What the index knows of the requested tags of one resource.

    :ivar values: tag -> text
    :ivar from_file: tags to be looked for in ``file``
    :ivar file: attachment of the instance that stands for the resource
    """

    values: dict[str, str] = field(default_factory=dict)
    from_file: list[str] = field(default_factory=list)
    file: Attachment | None = None


def requested_of(
    tx: ReadTransaction,
    record: ResourceRecord,
    requested: RequestedTags,
    indexed: IndexedTags,
    *,
    files_allowed: bool,
) -> Requested:
    """Resolve the requested tags of a resource as far as the index can.

    :param record: with its metadata and the tags of all its ancestors
    :param files_allowed: option ``StorageAccessOnFind``
    :raises OrthancError: PARAMETER_OUT_OF_RANGE for InstanceAvailability of an instance
    """
    result = Requested()
    for tag in requested.tags:
        if tag in COMPUTED:
            value = computed_value(tx, row_of(record), tag)
        else:
            value, is_known = _indexed(record, tag, indexed)
            if not is_known and files_allowed:
                result.from_file.append(tag)
        if value is not None:
            result.values[tag] = value
    if result.from_file:
        instance = first_instance(tx, row_of(record))
        if instance is not None:
            result.file = tx.attachment(instance.internal_id, ContentType.DICOM)
    return result


def _indexed(record: ResourceRecord, tag: str, indexed: IndexedTags) -> tuple[str | None, bool]:
    """Value of a tag in the index, and whether the index is sure of it."""
    if tag == SOP_CLASS_UID and record.level is ResourceType.INSTANCE:
        item = record.metadata.get(MetadataType.SOP_CLASS_UID)
        return (None, False) if item is None else (item.value, True)
    is_indexed = False
    for level in sorted(ResourceType, reverse=True):
        if level <= record.level and tag in indexed.levels.get(level, ()):
            is_indexed = True
            tags = record.tags if level is record.level else record.ancestors_tags.get(level, {})
            if tag in tags:
                return tags[tag], True
    return None, is_indexed and tag in indexed.defaults


def computed_value(tx: ReadTransaction, row: ResourceRow, tag: str) -> str | None:
    """Value of a computed tag; None at another level than its own.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE for InstanceAvailability of an instance
    """
    if tag in _COUNTS:
        level, counter = _COUNTS[tag]
        if level is not row.level:
            return None
        return str(getattr(tx.resource_statistics(row), counter))
    if tag == INSTANCE_AVAILABILITY and row.level is ResourceType.INSTANCE:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
    if row.level is not ResourceType.STUDY:
        return None
    if tag == MODALITIES_IN_STUDY:
        return "\\".join(modalities_in_study(tx, row))
    if tag == SOP_CLASSES_IN_STUDY:
        return "\\".join(_sop_classes_in_study(tx, row))
    return None


def modalities_in_study(tx: ReadTransaction, study: ResourceRow) -> list[str]:
    """Modality of each series of a study, sorted, each once."""

    def modality(record: ResourceRecord) -> str:
        return record.tags.get(MODALITY, "")

    return _distinct(tx, study, ResourceType.SERIES, _BARE, modality)


def _sop_classes_in_study(tx: ReadTransaction, study: ResourceRow) -> list[str]:
    def sop_class(record: ResourceRecord) -> str:
        item = record.metadata.get(MetadataType.SOP_CLASS_UID)
        return "" if item is None else item.value

    return _distinct(tx, study, ResourceType.INSTANCE, _METADATA, sop_class)


def _distinct(
    tx: ReadTransaction,
    row: ResourceRow,
    level: ResourceType,
    parts: ExpandParts,
    value_of: Callable[[ResourceRecord], str],
) -> list[str]:
    """Distinct values that are not empty, of all descendants at a level, slice by slice."""
    values: set[str] = set()
    after: str | None = None
    while rows := tx.descendants(row, level, after=after, limit=_SLICE):
        values.update(value_of(record) for record in tx.expand(rows, parts))
        after = rows[-1].public_id
        if len(rows) < _SLICE:
            break
    return sorted(values - {""})


def first_instance(tx: ReadTransaction, row: ResourceRow) -> ResourceRow | None:
    """The instance that stands for a resource: of the oldest child of the oldest child."""
    while row.level is not ResourceType.INSTANCE:
        children = tx.descendants(row, ResourceType(row.level + 1))
        if not children:
            return None
        row = min(children, key=lambda child: child.internal_id)
    return row


def row_of(record: ResourceRecord) -> ResourceRow:
    """The row that a record was loaded from (its parent left out)."""
    return ResourceRow(record.internal_id, record.public_id, record.level, None)
