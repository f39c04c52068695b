"""The list of members of an archive: read from the index in few statements, in a fixed order.

Patients, studies and series are ordered by their public identifier, instances of a
series by their arrival, as in the recordings (20-jobs-archives). A plan holds some
hundred bytes a member and nothing of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orthanc_tw.core.archives import names
from orthanc_tw.index.gateway import ArchiveInstance, ArchiveTree, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, ContentType

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
    tags: Mapping[str, str]
    children: dict[str, _Node] = field(default_factory=dict)
    instances: dict[int, ArchiveInstance] = field(default_factory=dict)


def make_plan(tx: ReadTransaction, request: PlanRequest) -> list[Member]:
    """The members of an archive, in their order. One statement of the index a resource.

    :raises OrthancError: INEXISTENT_ITEM or UNKNOWN_RESOURCE: a resource is not there, or is of
        another level than was asked for
    """
    root = _Node({})
    for public_id in request.resources:
        tree = tx.archive_tree(public_id, request.level)
        if tree is None:
            raise _missing(public_id, request.level)
        _collect(tree, root)
    if request.media:
        instances = (i for series in _walk_series(root) for i in _instances(series))
        return [_member(f"IMAGES/IM{index}", instance) for index, instance in enumerate(instances)]
    return list(_named(root, request))


def _missing(public_id: str, level: ResourceType | None) -> OrthancError:
    if level is None:
        return OrthancError(ErrorCode.UNKNOWN_RESOURCE)
    return OrthancError(
        ErrorCode.INEXISTENT_ITEM, f"Missing resource while creating an archive: {public_id}"
    )


@dataclass(frozen=True, slots=True)
class PlanSize:
    """How much an archive will hold, uncompressed."""

    instances: int
    size_bytes: int


def measure_plan(tx: ReadTransaction, request: PlanRequest) -> PlanSize:
    """Count instances and bytes; a look-up for a single patient, study or series.

    :raises OrthancError: as `make_plan` does
    """
    if is_measured_at_once(request):
        (public_id,) = request.resources
        assert request.level is not None
        size = tx.archive_size(public_id, request.level)
        if size is None:
            raise _missing(public_id, request.level)
        return PlanSize(*size)
    members = make_plan(tx, request)
    return PlanSize(len(members), sum(member.size_bytes for member in members))


def is_measured_at_once(request: PlanRequest) -> bool:
    """Whether `measure_plan` is one short statement."""
    return len(request.resources) == 1 and request.level not in (None, ResourceType.INSTANCE)


def _collect(tree: ArchiveTree, root: _Node) -> None:
    """Add a resource with all that is above and below it to the tree."""
    nodes: dict[int, _Node] = {}
    for folder in tree.folders:
        above = root if folder.parent_id is None else nodes[folder.parent_id]
        nodes[folder.internal_id] = above.children.setdefault(folder.public_id, _Node(folder.tags))
    for instance in tree.instances:
        nodes[instance.series_internal_id].instances[instance.internal_id] = instance


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
        name = names.unique(names.instance_file(series.tags, instance.number, position), taken)
        yield _member(f"{path}{name}.dcm", instance)


def _instances(series: _Node) -> Iterable[ArchiveInstance]:
    return (instance for _arrival, instance in sorted(series.instances.items()))


def _walk_series(root: _Node) -> Iterator[_Node]:
    nodes: Iterable[_Node] = (root,)
    for _level in (ResourceType.PATIENT, ResourceType.STUDY, ResourceType.SERIES):
        nodes = [child for node in nodes for _id, child in sorted(node.children.items())]
    return iter(nodes)


def _member(name: str, instance: ArchiveInstance) -> Member:
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
