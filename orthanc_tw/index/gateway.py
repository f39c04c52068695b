"""The index as a typed Protocol of named operations; no SQL and no driver shows through it.

`Index.write` runs a function on the one writer thread, in a savepoint of the
transaction that groups all that waits; its Deferred fires after the commit.
`Index.read` runs one on a reader connection over a WAL snapshot.
`Index.read_now` runs a point look-up in the calling (reactor) thread.

Resources are addressed by their public identifier from outside and by
``internal_id`` between operations of one transaction. Main DICOM tags are kept as
``{"gggg,eeee": text}``; sequences asked for by ``ExtraMainDicomTags`` are kept in
the metadata ``MainDicomSequences`` by whoever ingests.

What lists are made of are structs, which take a quarter of the time of frozen data classes. Some
are decoded as they come out of the database, as lists: their fields are in the order of its
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from orthanc_tw.index.archive_tree import ArchiveInstance as ArchiveInstance
from orthanc_tw.index.archive_tree import ArchiveTree as ArchiveTree
from orthanc_tw.index.change_row import Change as Change
from orthanc_tw.index.change_row import ChangesPage as ChangesPage
from orthanc_tw.index.export_row import Export as Export
from orthanc_tw.index.export_row import ExportsPage as ExportsPage
from orthanc_tw.index.job_row import JobRow as JobRow
from orthanc_tw.index.query import FindQuery as FindQuery
from orthanc_tw.index.query import OrderKey as OrderKey
from orthanc_tw.index.query import TagConstraint as TagConstraint
from orthanc_tw.index.taken_back import TakenBack as TakenBack
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import (
    ChangeType,
    Compression,
    OverwriteInstances,
    StoreStatus,
)

T = TypeVar("T")
Tags = Mapping[str, str]


class ResourceRow(Struct, frozen=True):
    """One resource, as the other operations want it."""

    internal_id: int
    public_id: str
    level: ResourceType
    parent_id: int | None


class Attachment(Struct, frozen=True, array_like=True):
    """One attachment of a resource. Sizes in bytes; MD5 as lower-case hexadecimal or ''."""

    uuid: str
    content_type: int
    size_bytes: int
    md5: str
    stored_size_bytes: int
    stored_md5: str
    compression: Compression
    revision: int = 0


class MetadataValue(Struct, frozen=True):
    """A metadata value and its revision."""

    value: str
    revision: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters of the whole index, or of one resource (its own level and above count 1)."""

    count_patients: int
    count_studies: int
    count_series: int
    count_instances: int
    disk_size_bytes: int
    uncompressed_size_bytes: int
    dicom_disk_size_bytes: int = 0
    dicom_uncompressed_size_bytes: int = 0


class ResourceRecord(Struct, frozen=True, array_like=True):
    """What ``expand`` loads of a resource; a part that was not asked for stays empty.

    ``children`` are public identifiers sorted; ``metadata`` maps numbers to values, in any order.
    ``ancestors_tags`` has the main DICOM tags of each level above that was asked for.
    """

    internal_id: int
    public_id: str
    level: ResourceType
    parent_public_id: str | None
    is_stable: bool
    is_protected: bool
    last_update: str
    tags: Tags
    ancestors_tags: Mapping[ResourceType, Tags] = {}
    children: Sequence[str] = ()
    metadata: Mapping[int, str] = {}
    attachments: Sequence[Attachment] = ()
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ExpandParts:
    """Which parts `ReadTransaction.expand` loads."""

    children: bool = True
    metadata: bool = True
    attachments: bool = True
    labels: bool = True
    ancestors: frozenset[ResourceType] = frozenset()


@dataclass(frozen=True, slots=True)
class NewResource:
    """A resource that an instance needs at one level, created if it is not there."""

    level: ResourceType
    public_id: str
    tags: Tags
    metadata: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class NewInstance:
    """All that one ingest writes. ``resources`` are patient, study, series, instance, in order.

    ``date`` is the UTC time of reception, ``YYYYMMDDTHHMMSS``; ``now_s`` the same as POSIX
    seconds, from the injected clock (what ``StableAge`` is counted from).
    ``expected_instances``, if known, completes the series. ``transfer`` names the transfer that
    may take it back, '' for anybody else.
    """

    resources: Sequence[NewResource]
    attachment: Attachment
    date: str
    now_s: float
    overwrite: OverwriteInstances
    expected_instances: int | None = None
    transfer: str = ""


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """``MaximumStorageSize`` in bytes, ``MaximumPatientCount``; 0 is no limit."""

    maximum_storage_bytes: int = 0
    maximum_patients: int = 0
    recycle: bool = True


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """Result of `WriteTransaction.store_instance`.

    ``removed`` are the storage UUIDs that no row names any more (overwritten or recycled):
    to be deleted from the storage area after the commit. On anything but SUCCESS the new
    attachment was not recorded, and its file is the caller's to delete.
    """

    status: StoreStatus
    instance_internal_id: int | None
    removed: Sequence[str] = ()
    is_new_instance: bool = False


@dataclass(frozen=True, slots=True)
class DeleteOutcome:
    """Result of a deletion: files to remove, and the nearest ancestor that remains."""

    removed: Sequence[str]
    remaining_ancestor: ResourceRow | None


class ReadTransaction(Protocol):
    """A consistent snapshot. Valid only inside the function it was handed to."""

    def lookup(self, public_id: str, level: ResourceType | None = None) -> ResourceRow | None: ...
    def is_kept(self, public_id: str, transfer: str = "") -> bool:
        """Whether an instance is there, and not just for other transfers that have not ended.

        One statement.
        """
        ...

    def transfers(self) -> Sequence[str]:
        """Those that instances are here for and that have not ended, in order."""
        ...

    def ancestors(self, row: ResourceRow) -> Sequence[ResourceRow]:
        """The parent first, the patient last."""
        ...

    def descendants(
        self, row: ResourceRow, level: ResourceType, *, after: str | None = None, limit: int = 0
    ) -> Sequence[ResourceRow]:
        """Resources of ``level`` below ``row`` (or itself), ordered by public identifier."""
        ...

    def oldest_instance(self, row: ResourceRow) -> ResourceRow | None:
        """The instance below ``row`` (or itself) that was stored first, None if all are gone."""
        ...

    def archive_size(self, public_id: str, level: ResourceType) -> tuple[int, int] | None:
        """Instances of a patient, study or series, and bytes of their DICOM files before
        compression; None if it is not there. One statement.
        """
        ...

    def archive_tree(self, public_id: str, level: ResourceType | None) -> ArchiveTree | None:
        """What an archive of a resource is made of; None if it is not there. One statement.

        Without ``level`` any level will do, of several the lowest.
        """
        ...

    def page(
        self, level: ResourceType, *, after: str | None = None, since: int = 0, limit: int = 0
    ) -> Sequence[ResourceRow]: ...
    def find(self, query: FindQuery) -> Sequence[ResourceRow]: ...
    def find_identifiers(self, query: FindQuery) -> Sequence[str]:
        """Public identifiers of what `find` finds, at less than half of its cost."""
        ...

    def count(self, query: FindQuery) -> int: ...
    def lookup_identifier(self, tag: str, value: str) -> Sequence[ResourceRow]:
        """Resources whose PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID or
        AccessionNumber (``gggg,eeee``) equals ``value``: ``/tools/lookup``.
        """
        ...

    def notes(self, key: Hashable) -> dict[int, Any]:
        """What was kept under ``key`` by ``internal_id``, of just this state of the database.

        To be filled by the caller, who finds it again, or an empty one, in a later transaction
        of the same thread.
        """
        ...

    def expand(
        self, rows: Sequence[ResourceRow], parts: ExpandParts
    ) -> Sequence[ResourceRecord]: ...
    def attachments(self, internal_id: int) -> Sequence[Attachment]: ...
    def attachment(self, internal_id: int, content_type: int) -> Attachment | None: ...
    def attachment_of(
        self, level: ResourceType, public_id: str, content_type: int
    ) -> Attachment | None:
        """The attachment of a resource; None if either is not there."""
        ...

    def attachment_uuids(self, after: str, limit: int) -> Sequence[str]:
        """Storage UUIDs in order, for the sweep at start."""
        ...

    def metadata(self, internal_id: int) -> Mapping[int, MetadataValue]: ...
    def labels(self, internal_id: int) -> Sequence[str]: ...
    def all_labels(self) -> Sequence[str]: ...
    def labelled_resources(self, public_ids: Sequence[str], labels: Sequence[str]) -> Sequence[str]:
        """Of these resources those that have one of the labels, themselves or an ancestor."""
        ...

    def is_protected(self, internal_id: int) -> bool: ...
    def statistics(self) -> Statistics: ...
    def resource_statistics(self, row: ResourceRow) -> Statistics: ...
    def changes(
        self,
        *,
        since: int | None,
        to: int | None,
        types: Sequence[int],
        limit: int,
    ) -> ChangesPage: ...
    def last_change(self) -> Change | None: ...
    def last_change_seq(self) -> int: ...
    def exports(self, *, since: int, limit: int) -> ExportsPage: ...
    def last_export(self) -> Export | None: ...
    def global_property(self, name: str) -> str | None: ...
    def job(self, job_id: str) -> JobRow | None: ...
    def jobs(
        self, *, states: Sequence[str] = (), after: int = 0, limit: int = 0
    ) -> Sequence[JobRow]:
        """Jobs by ``sequence`` ascending, greater than ``after``; ``limit`` 0 is all."""
        ...


class WriteTransaction(ReadTransaction, Protocol):
    """A savepoint of the writer's transaction."""

    def store_instance(self, instance: NewInstance, limits: StorageLimits) -> StoreOutcome: ...
    def delete_resource(self, row: ResourceRow, date: str) -> DeleteOutcome: ...
    def keep_transfer(self, transfer: str) -> None:
        """It has succeeded: the instances that are here for it stay, whatever others do."""
        ...

    def take_back(self, transfer: str, limit: int) -> TakenBack:
        """It has failed: delete at most so many of the instances that are here for it alone."""
        ...

    def replace_main_tags(
        self, internal_id: int, tags: Tags, metadata: Mapping[int, str | None]
    ) -> bool:
        """Replace all main DICOM tags of a resource, with what queries match of them, and the
        metadata that are named (None removes one). Says whether anything changed: False too
        for a resource that is not there.
        """
        ...

    def set_metadata(
        self, internal_id: int, metadata_type: int, value: str, revision: int
    ) -> None: ...
    def delete_metadata(self, internal_id: int, metadata_type: int) -> bool: ...
    def put_attachment(self, internal_id: int, attachment: Attachment) -> Sequence[str]:
        """Record it in the place of that content type; returns UUIDs no longer named."""
        ...

    def delete_attachment(self, internal_id: int, content_type: int) -> Sequence[str]: ...
    def add_label(self, internal_id: int, label: str) -> None: ...
    def remove_label(self, internal_id: int, label: str) -> None: ...
    def set_protected(self, internal_id: int, protected: bool) -> None: ...
    def log_change(self, change_type: ChangeType, row: ResourceRow, date: str) -> None: ...
    def clear_changes(self) -> None: ...
    def log_export(self, export: Export) -> None: ...
    def clear_exports(self) -> None: ...
    def mark_stable(self, *, older_than_s: float, date: str, limit: int) -> int:
        """Log Stable* for patients, studies and series untouched since ``older_than_s``
        (POSIX seconds); returns how many, at most ``limit`` a call.
        """
        ...

    def set_global_property(self, name: str, value: str) -> None: ...
    def put_jobs(self, jobs: Sequence[JobRow]) -> None:
        """Insert or replace the rows of jobs, each named once. Their ``sequence`` is not read:
        new ones get the next numbers in this order, others keep theirs.
        """
        ...

    def delete_jobs(self, job_ids: Sequence[str]) -> int:
        """Returns how many there were."""
        ...


class Index(Protocol):
    """The database. All but `submit` and `read_in_thread` is called in the reactor thread."""

    def write(self, fn: Callable[[WriteTransaction], T]) -> Deferred[T]:
        """Run ``fn`` on the writer thread; fires after the commit, or fails with what it raised."""
        ...

    def submit(
        self, fn: Callable[[WriteTransaction], T], ended: Callable[[T | Failure], object]
    ) -> None:
        """As `write`, from any thread: ``ended`` is called in the reactor thread.

        :raises OrthancError: DATABASE_UNAVAILABLE if the index is closed
        """
        ...

    def read(self, fn: Callable[[ReadTransaction], T]) -> Deferred[T]:
        """Run ``fn`` on a reader thread."""
        ...

    def read_now(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run a point look-up in this thread, on a connection of its own."""
        ...

    def read_in_thread(self, fn: Callable[[ReadTransaction], T]) -> T:
        """Run ``fn`` in the calling thread, which is not the reactor's; for who is in one
        already. Blocks.
        """
        ...

    def read_one(self, fn: Callable[[ReadTransaction], T]) -> T:
        """As `read_now`, for an ``fn`` that calls one operation that is one statement, once.

        Such are `lookup`, `is_kept`, `attachment_of` and `archive_size`. A statement is a
        snapshot without a transaction around it.
        """
        ...

    def close(self) -> Deferred[None]:
        """Finish what is queued, check-point, close every connection."""
        ...


def public_ids(rows: Iterable[ResourceRow]) -> list[str]:
    """Public identifiers of rows, in their order."""
    return [row.public_id for row in rows]
