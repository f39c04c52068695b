"""The list of members of an archive: read from the index in few queries, in a fixed order.

Patients, studies and series are ordered by their public identifier, instances of a
series by their arrival, as in the recordings (20-jobs-archives). A plan holds some
hundred bytes a member and nothing of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from orthanc_tw.core.archives import names
from orthanc_tw.index.gateway import (
    ExpandParts,
    ReadTransaction,
    ResourceRecord,
    ResourceRow,
    Tags,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, ContentType, MetadataType

_BATCH = 500
_FOLDER_PARTS = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
_INSTANCE_PARTS = ExpandParts(children=False, metadata=True, attachments=True, labels=False)
_UNCOMPRESSED_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        # RLE Lossless: runs only, deflate still finds a lot
        "1.2.840.10008.1.2.5",
        "",
    }
)
# below this the header weighs more than the pixels, and there is little to be saved
_STORE_FROM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One instance in an archive.

    :ivar name: path in the ZIP
    :ivar public_id: of the instance
    :ivar uuid: of its file in the storage area, when the plan was made
    :ivar size_bytes: of the DICOM file, uncompressed
    :ivar transfer_syntax: UID, or '' if it is not known
    """

    name: bytes
    public_id: str
    uuid: str
    compression: Compression
    size_bytes: int
    transfer_syntax: str

    @property
    def is_deflated(self) -> bool:
        """Whether deflate is worth its time: not for pixels that are compressed already."""
        return self.transfer_syntax in _UNCOMPRESSED_SYNTAXES or self.size_bytes < _STORE_FROM_BYTES


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What an archive is made of.

    :ivar resources: public identifiers
    :ivar level: the level they must have, or None for any
    :ivar base: level of the outermost folders; SERIES leaves patient and study out
    :ivar media: ``IMAGES/IM0`` instead of folders
    """

    resources: Sequence[str]
    level: ResourceType | None = None
    base: ResourceType = ResourceType.PATIENT
    media: bool = False
    utf8: bool = False


@dataclass(slots=True)
class _Node:
    tags: Tags
    children: dict[str, _Node] = field(default_factory=dict)
    instances: dict[int, _Instance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Instance:
    public_id: str
    tags: Tags
    uuid: str
    compression: Compression
    size_bytes: int
    transfer_syntax: str


def make_plan(tx: ReadTransaction, request: PlanRequest) -> list[Member]:
    """The members of an archive, in their order.

    :raises OrthancError: INEXISTENT_ITEM or UNKNOWN_RESOURCE, see `find_resources`
    """
    root = _Node({})
    for row in find_resources(tx, request):
        _collect(tx, row, root)
    if request.media:
        instances = (i for series in _walk_series(root) for i in _instances(series))
        return [_member(f"IMAGES/IM{index}", instance) for index, instance in enumerate(instances)]
    return list(_named(root, request))


def find_resources(tx: ReadTransaction, request: PlanRequest) -> list[ResourceRow]:
    """Look up what an archive is to be made of.

    :raises OrthancError: one is not there, or is of another level than was asked for
    """
    rows = []
    for public_id in request.resources:
        row = tx.lookup(public_id, request.level)
        if row is None and request.level is not None:
            raise OrthancError(
                ErrorCode.INEXISTENT_ITEM,
                f"Missing resource while creating an archive: {public_id}",
            )
        if row is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class PlanSize:
    """How much an archive will hold, uncompressed.

    :ivar syntaxes: transfer syntaxes of its instances, if they were asked for
    """

    instances: int
    size_bytes: int
    syntaxes: frozenset[str] = frozenset()


def measure_plan(
    tx: ReadTransaction, request: PlanRequest, *, with_syntaxes: bool = False
) -> PlanSize:
    """Count instances and bytes; cheaper than `make_plan` for a single resource.

    :raises OrthancError: as `find_resources` does
    """
    rows = find_resources(tx, request)
    if len(rows) == 1 and rows[0].level is not ResourceType.INSTANCE and not with_syntaxes:
        statistics = tx.resource_statistics(rows[0])
        return PlanSize(statistics.count_instances, statistics.dicom_uncompressed_size_bytes)
    members = make_plan(tx, request)
    return PlanSize(
        len(members),
        sum(member.size_bytes for member in members),
        frozenset(member.transfer_syntax for member in members),
    )


def _collect(tx: ReadTransaction, row: ResourceRow, root: _Node) -> None:
    """Add a resource with all that is above and below it to the tree."""
    nodes: dict[int, _Node] = {}
    parent = root
    above = [*reversed(tx.ancestors(row))]
    for ancestor, record in zip(above, _expand(tx, above, _FOLDER_PARTS), strict=True):
        parent = parent.children.setdefault(ancestor.public_id, _Node(record.tags))
        nodes[ancestor.internal_id] = parent
    for level in ResourceType:
        if level < row.level:
            continue
        rows = tx.descendants(row, level) if level > row.level else [row]
        if level is ResourceType.INSTANCE:
            for instance, record in _paired(tx, rows, _INSTANCE_PARTS):
                assert instance.parent_id is not None
                found = _instance(record)
                if found is not None:
                    nodes[instance.parent_id].instances[instance.internal_id] = found
        else:
            for folder, record in _paired(tx, rows, _FOLDER_PARTS):
                above_it = root if folder.parent_id is None else nodes[folder.parent_id]
                nodes[folder.internal_id] = above_it.children.setdefault(
                    folder.public_id, _Node(record.tags)
                )


def _paired(
    tx: ReadTransaction, rows: Sequence[ResourceRow], parts: ExpandParts
) -> Iterator[tuple[ResourceRow, ResourceRecord]]:
    """Rows with their records, loaded by batches so that only a batch of records is held."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        yield from zip(batch, _expand(tx, batch, parts), strict=True)


def _expand(
    tx: ReadTransaction, rows: Sequence[ResourceRow], parts: ExpandParts
) -> list[ResourceRecord]:
    by_id = {record.internal_id: record for record in tx.expand(rows, parts)} if rows else {}
    return [by_id[row.internal_id] for row in rows]


def _instance(record: ResourceRecord) -> _Instance | None:
    attachment = next((a for a in record.attachments if a.content_type == ContentType.DICOM), None)
    if attachment is None:
        return None
    syntax = record.metadata.get(MetadataType.TRANSFER_SYNTAX)
    number = record.tags.get(names.INSTANCE_NUMBER)
    return _Instance(
        record.public_id,
        {} if number is None else {names.INSTANCE_NUMBER: number},
        attachment.uuid,
        attachment.compression,
        attachment.size_bytes,
        "" if syntax is None else syntax.value,
    )


_FOLDERS: dict[ResourceType, Callable[..., str]] = {
    ResourceType.PATIENT: names.patient_folder,
    ResourceType.STUDY: names.study_folder,
    ResourceType.SERIES: names.series_folder,
}


def _named(root: _Node, request: PlanRequest) -> Iterator[Member]:
    def folders(node: _Node, level: ResourceType, path: str, taken: set[str]) -> Iterator[Member]:
        for _public_id, child in sorted(node.children.items()):
            inside, taken_inside = path, taken
            if level >= request.base:
                folder = names.unique(_FOLDERS[level](child.tags, utf8=request.utf8), taken)
                inside, taken_inside = f"{path}{folder}/", set()
            if level is ResourceType.SERIES:
                yield from _files(child, inside)
            else:
                yield from folders(child, ResourceType(level + 1), inside, taken_inside)

    yield from folders(root, ResourceType.PATIENT, "", set())


def _files(series: _Node, path: str) -> Iterator[Member]:
    taken: set[str] = set()
    for position, instance in enumerate(_instances(series)):
        name = names.unique(names.instance_file(series.tags, instance.tags, position), taken)
        yield _member(f"{path}{name}.dcm", instance)


def _instances(series: _Node) -> Iterable[_Instance]:
    return (instance for _arrival, instance in sorted(series.instances.items()))


def _walk_series(root: _Node) -> Iterator[_Node]:
    nodes: Iterable[_Node] = (root,)
    for _level in (ResourceType.PATIENT, ResourceType.STUDY, ResourceType.SERIES):
        nodes = [child for node in nodes for _id, child in sorted(node.children.items())]
    return iter(nodes)


def _member(name: str, instance: _Instance) -> Member:
    return Member(
        name.encode("utf-8"),
        instance.public_id,
        instance.uuid,
        instance.compression,
        instance.size_bytes,
        instance.transfer_syntax,
    )


def find_current(tx: ReadTransaction, member: Member) -> Member | None:
    """A member as it stands now: with another file if it was overwritten, None if deleted."""
    row = tx.lookup(member.public_id, ResourceType.INSTANCE)
    attachment = None if row is None else tx.attachment(row.internal_id, ContentType.DICOM)
    if attachment is None:
        return None
    return replace(
        member,
        uuid=attachment.uuid,
        compression=attachment.compression,
        size_bytes=attachment.size_bytes,
    )
