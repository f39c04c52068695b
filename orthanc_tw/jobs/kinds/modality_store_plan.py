"""Which instances a job sends, page by page: never all of them in memory, nor in its row.

The place in the list is a resource and the instance after which it goes on. Called in threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.index.gateway import Attachment, ExpandParts, ReadTransaction, ResourceRecord
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

PAGE = 100
_PARTS = ExpandParts(children=False, metadata=True, attachments=True, labels=False)
_SOP_INSTANCE_UID = "0008,0018"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins.

    :ivar resource: index into the resources of the job
    :ivar after: public identifier of the instance that was the last, '' for none
    """

    resource: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance to be sent, and the place after it.

    :ivar attachment: its DICOM file, None if it has none
    """

    public_id: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    attachment: Attachment | None
    following: Place


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a job."""

    public_id: str
    level: ResourceType


def read_page(
    tx: ReadTransaction, resources: Sequence[Resource], place: Place
) -> Sequence[StoredInstance]:
    """The next instances; none when all were read. A resource that is gone has none."""
    index, after = place.resource, place.after
    while index < len(resources):
        resource = resources[index]
        row = tx.lookup(resource.public_id, resource.level)
        if row is not None:
            rows = tx.descendants(row, ResourceType.INSTANCE, after=after or None, limit=PAGE)
            if rows:
                return [_instance(record, index) for record in tx.expand(rows, _PARTS)]
        index, after = index + 1, ""
    return []


def _instance(record: ResourceRecord, index: int) -> StoredInstance:
    metadata = record.metadata

    def text(kind: MetadataType) -> str:
        value = metadata.get(kind)
        return "" if value is None else value.value

    return StoredInstance(
        record.public_id,
        text(MetadataType.SOP_CLASS_UID),
        record.tags.get(_SOP_INSTANCE_UID, ""),
        text(MetadataType.TRANSFER_SYNTAX),
        next((a for a in record.attachments if a.content_type == ContentType.DICOM), None),
        Place(index, record.public_id),
    )
