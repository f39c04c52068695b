"""Tags that a client asks for beside the main ones: their values, as far as the index has them.

Source: REST API, ``requested-tags`` and ``RequestedTags``. Which tag comes from where is said
by `orthanc_tw.dicom.requested_tags`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from orthanc_tw.dicom.requested_tags import (
    Aggregate,
    ComputedTag,
    RequestedTags,
)
from orthanc_tw.dicom.tags import UserDictionary, format_tag
from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    ReadTransaction,
    ResourceRecord,
    ResourceRow,
)
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

MODALITIES_IN_STUDY = 0x00080061
SOP_CLASS_UID = 0x00080016
_COUNTERS = {
    ResourceType.STUDY: "count_studies",
    ResourceType.SERIES: "count_series",
    ResourceType.INSTANCE: "count_instances",
}
_BARE = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
_METADATA = ExpandParts(children=False, metadata=True, attachments=False, labels=False)
_SLICE = 1000


@dataclass(frozen=True, slots=True)
class IndexedTags:
    """Main DICOM tags (``0xggggeeee``) as configured.

    :ivar levels: tags that the index keeps of each level
    :ivar defaults: tags that it keeps of any level without configuration; what is absent of
        these is absent of the file, while a configured one may just be younger than the file
    :ivar dictionary: names of tags that the configuration adds
    """

    levels: Mapping[ResourceType, Collection[int]]
    defaults: Collection[int]
    dictionary: UserDictionary = field(default_factory=UserDictionary)


@dataclass(slots=True)
class Requested:
    """What the index knows of the requested tags of one resource.

    :ivar values: tag ``gggg,eeee`` -> text
    :ivar from_file: tags to be looked for in ``file``
    :ivar file: attachment of the instance that stands for the resource
    :ivar unread: tags that only the file has, which may not be opened
    :ivar level: of the resource; None if no tags were requested
    :ivar public_id: of the resource
    :ivar signature: its metadata ``MainDicomTagsSignature``, None if it has none
    """

    values: dict[str, str] = field(default_factory=dict)
    from_file: list[int] = field(default_factory=list)
    file: Attachment | None = None
    unread: list[int] = field(default_factory=list)
    level: ResourceType | None = None
    public_id: str = ""
    signature: str | None = None


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
    :raises OrthancError: PARAMETER_OUT_OF_RANGE for SOPClassesInStudy of an instance
    """
    result = Requested()
    if not requested:
        return result
    result.level, result.public_id = record.level, record.public_id
    result.signature = record.metadata.get(MetadataType.MAIN_DICOM_TAGS_SIGNATURE)
    sources = requested.sources(record.level, indexed.levels)
    for computed in sources.computed:
        value = computed_value(tx, row_of(record), computed)
        if value is not None:
            result.values[format_tag(computed.tag)] = value
    from_file = list(sources.from_file)
    for tag in sources.main:
        value = main_tag(record, format_tag(tag))
        if value is not None:
            result.values[format_tag(tag)] = value
        elif tag not in indexed.defaults:
            from_file.append(tag)
    sop_class = record.metadata.get(MetadataType.SOP_CLASS_UID)
    if sop_class is not None and SOP_CLASS_UID in from_file:
        from_file.remove(SOP_CLASS_UID)
        result.values[format_tag(SOP_CLASS_UID)] = sop_class
    if from_file and not files_allowed:
        result.unread = from_file
    elif from_file:
        instance = first_instance(tx, row_of(record))
        if instance is not None:
            result.from_file = from_file
            result.file = tx.attachment(instance.internal_id, ContentType.DICOM)
    return result


def main_tag(record: ResourceRecord, tag: str) -> str | None:
    """Value of a main DICOM tag ``gggg,eeee`` of a resource, or of its nearest ancestor."""
    if tag in record.tags:
        return record.tags[tag]
    for _, tags in sorted(record.ancestors_tags.items(), reverse=True):
        if tag in tags:
            return tags[tag]
    return None


def computed_value(tx: ReadTransaction, row: ResourceRow, computed: ComputedTag) -> str | None:
    """Value of a computed tag; None at another level than its own."""
    if computed.level is not row.level:
        return None
    if computed.aggregate is Aggregate.CONSTANT:
        return computed.value
    if computed.aggregate is Aggregate.COUNT:
        return str(getattr(tx.resource_statistics(row), _COUNTERS[computed.child_level]))
    if computed.source_tag == SOP_CLASS_UID:
        return computed.join(_distinct(tx, row, computed.child_level, _METADATA, _sop_class))
    assert computed.source_tag is not None
    tag = format_tag(computed.source_tag)
    values = _distinct(
        tx, row, computed.child_level, _BARE, lambda record: record.tags.get(tag, "")
    )
    return computed.join(values)


def _sop_class(record: ResourceRecord) -> str:
    return record.metadata.get(MetadataType.SOP_CLASS_UID, "")


def _distinct(
    tx: ReadTransaction,
    row: ResourceRow,
    level: ResourceType,
    parts: ExpandParts,
    value_of: Callable[[ResourceRecord], str],
) -> set[str]:
    """Distinct values of all descendants at a level, slice by slice."""
    values: set[str] = set()
    after: str | None = None
    while rows := tx.descendants(row, level, after=after, limit=_SLICE):
        values.update(value_of(record) for record in tx.expand(rows, parts))
        after = rows[-1].public_id
        if len(rows) < _SLICE:
            break
    return values


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
