"""The instances that an identifier of C-MOVE or C-GET names (PS3.4 C.4.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    FindQuery,
    Index,
    ReadTransaction,
    ResourceRecord,
    ResourceRow,
    TagConstraint,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

_UNIQUE_KEYS = {
    ResourceType.PATIENT: 0x00100020,
    ResourceType.STUDY: 0x0020000D,
    ResourceType.SERIES: 0x0020000E,
    ResourceType.INSTANCE: 0x00080018,
}
_ACCESSION_NUMBER = 0x00080050
_SOP_INSTANCE_UID = "0008,0018"
_PARTS = ExpandParts(children=False, metadata=True, attachments=True, labels=False)
_SLICE = 500


@dataclass(frozen=True, slots=True)
class TransferInstance:
    """An instance to be sent.

    :ivar transfer_syntax: UID, '' if it is not known
    :ivar file: its DICOM file
    :ivar number: its place in the series, as far as that is known
    """

    public_id: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    file: Attachment
    number: int = 0


def retrieve(
    index: Index, level: ResourceType | None, keys: Mapping[int, str]
) -> Deferred[list[TransferInstance]]:
    """What an identifier names, study by study, series by series; empty if there is nothing.

    The resources are those whose unique key of the level is in its list of values, below the
    study and series of the identifier, if it names them. As in Orthanc, studies may be named by
    AccessionNumber, and PatientID restricts nothing below the level of patients.

    :param level: None: the lowest level whose unique key is given
    :param keys: text by tag
    :raises OrthancError: BAD_REQUEST if there is no unique key of the level
    """
    query = _query(level, keys)

    def read(tx: ReadTransaction) -> list[TransferInstance]:
        return [instance for row in tx.find(query) for instance in transfer_instances(tx, row)]

    return index.read(read)


def found_resources(
    index: Index, level: ResourceType | None, keys: Mapping[int, str]
) -> Deferred[tuple[list[ResourceRow], int]]:
    """The resources themselves, see `retrieve`, and how many instances they have."""
    query = _query(level, keys)

    def read(tx: ReadTransaction) -> tuple[list[ResourceRow], int]:
        rows = list(tx.find(query))
        return rows, sum(tx.resource_statistics(row).count_instances for row in rows)

    return index.read(read)


def transfer_instances(tx: ReadTransaction, row: ResourceRow) -> Iterator[TransferInstance]:
    """The instances of a resource, those without a DICOM file left out.

    Studies and series come in the order of their public identifiers, the instances of a series in
    that of their numbers, as those of Orthanc: a receiver sees series become whole.
    """
    for above in (ResourceType.STUDY, ResourceType.SERIES):
        if row.level < above:
            for child in tx.descendants(row, above):
                yield from transfer_instances(tx, child)
            return
    if row.level is ResourceType.INSTANCE:
        yield from transfer_page(tx, row, after=None, limit=1)
        return
    yield from sorted(_of_series(tx, row), key=lambda found: (found.number, found.public_id))


def _of_series(tx: ReadTransaction, series: ResourceRow) -> Iterator[TransferInstance]:
    after: str | None = None
    while page := transfer_page(tx, series, after=after, limit=_SLICE):
        yield from page
        after = page[-1].public_id


def transfer_page(
    tx: ReadTransaction, row: ResourceRow, *, after: str | None, limit: int
) -> list[TransferInstance]:
    """Some of the instances of a resource; none when there are no more after ``after``."""
    while rows := tx.descendants(row, ResourceType.INSTANCE, after=after, limit=limit):
        found = [
            _instance(record, file)
            for record in tx.expand(rows, _PARTS)
            for file in record.attachments
            if file.content_type == ContentType.DICOM
        ]
        if found:
            return found
        after = rows[-1].public_id
    return []


def _instance(record: ResourceRecord, file: Attachment) -> TransferInstance:
    def metadata(number: MetadataType) -> str:
        return record.metadata.get(number, "")

    return TransferInstance(
        record.public_id,
        metadata(MetadataType.SOP_CLASS_UID),
        record.tags.get(_SOP_INSTANCE_UID, ""),
        metadata(MetadataType.TRANSFER_SYNTAX),
        file,
        _integer(metadata(MetadataType.INDEX_IN_SERIES)),
    )


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _query(level: ResourceType | None, keys: Mapping[int, str]) -> FindQuery:
    if level is None:
        named = [found for found, tag in _UNIQUE_KEYS.items() if _values(keys, tag)]
        level = max(named) if named else ResourceType.STUDY
    key, owner = _UNIQUE_KEYS[level], level
    if level is ResourceType.STUDY and not _values(keys, key):
        key = _ACCESSION_NUMBER
    constraints = [_constraint(owner, key, keys)]
    if not constraints[0].values:
        raise OrthancError(
            ErrorCode.BAD_REQUEST,
            f"The identifier has no {format_tag(_UNIQUE_KEYS[level])} of what is to be retrieved",
        )
    constraints.extend(
        _constraint(above, _UNIQUE_KEYS[above], keys)
        for above in (ResourceType.STUDY, ResourceType.SERIES)
        if above < level and _values(keys, _UNIQUE_KEYS[above])
    )
    return FindQuery(level, constraints)


def _constraint(level: ResourceType, tag: int, keys: Mapping[int, str]) -> TagConstraint:
    return TagConstraint(format_tag(tag), level, case_sensitive=True, values=_values(keys, tag))


def _values(keys: Mapping[int, str], tag: int) -> list[str]:
    stripped = (value.strip(" ") for value in keys.get(tag, "").split("\\"))
    return [value for value in stripped if value]
