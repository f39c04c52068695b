"""An index and a storage area in memory that hold what an archive is made of."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pydicom
from twisted.internet.defer import Deferred, maybeDeferred

from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.index.archive_tree import ArchiveFolder, ArchiveInstance, ArchiveTree
from orthanc_tw.index.gateway import (
    Attachment,
    MetadataValue,
    ResourceRow,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, ContentType, MetadataType
from orthanc_tw.testing.memory_storage import MemoryStorage
from orthanc_tw.testing.workers import run_here

_TAGS = {
    ResourceType.PATIENT: ("0010,0010", "0010,0020"),
    ResourceType.STUDY: ("0008,0050", "0008,1030"),
    ResourceType.SERIES: ("0020,0011", "0008,0060", "0008,103e"),
    ResourceType.INSTANCE: ("0020,0013",),
}
Tags = Mapping[str, str]


@dataclass
class Resource:
    row: ResourceRow
    tags: Tags
    attachments: list[Attachment] = field(default_factory=list)
    metadata: dict[int, MetadataValue] = field(default_factory=dict)


def transcoder(index: FakeIndex) -> FileTranscoder:
    """Transcodes the files of that index."""
    storage = MemoryStorage()
    storage.files = index.files
    return FileTranscoder(storage, run_here)


class FakeIndex:
    """`Index` of a dictionary; a transaction is the index itself.

    :ivar files: storage UUID -> DICOM file
    :ivar queries: how many operations were called
    :ivar opened: UUIDs in the order in which they were opened
    """

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.files: dict[str, bytes] = {}
        self.queries = 0
        self.opened: list[str] = []

    # what a test fills it with

    def add(
        self, identifiers: DicomIdentifiers, tags: Mapping[ResourceType, Tags], content: bytes
    ) -> str:
        """An instance, with the resources above it; its public id."""
        parent: ResourceRow | None = None
        for level in ResourceType:
            public_id = identifiers.public_id(level)
            if public_id not in self.resources:
                row = ResourceRow(
                    len(self.resources) + 1,
                    public_id,
                    level,
                    None if parent is None else parent.internal_id,
                )
                self.resources[public_id] = Resource(row, tags[level])
            parent = self.resources[public_id].row
        assert parent is not None
        instance = self.resources[parent.public_id]
        instance.metadata[MetadataType.TRANSFER_SYNTAX] = MetadataValue("1.2.840.10008.1.2.1", 0)
        self.put_file(parent.public_id, content)
        return parent.public_id

    def put_file(self, public_id: str, content: bytes) -> str:
        """Give an instance a (new) file; its UUID."""
        uuid = f"uuid-{public_id[:8]}-{len(self.files)}"
        size = len(content)
        self.files[uuid] = content
        attachment = Attachment(uuid, ContentType.DICOM, size, "", size, "", Compression.NONE)
        self.resources[public_id].attachments = [attachment]
        return uuid

    def add_test_file(self, name: str) -> str:
        """A file below ``pydicom/data``, such as ``test_files/CT_small.dcm``."""
        path = os.path.join(os.path.dirname(pydicom.__file__), "data", name)
        with open(path, "rb") as file:
            content = file.read()
        dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        keyword = {tag: f"{tag[:4]}{tag[5:]}" for tags in _TAGS.values() for tag in tags}
        tags = {
            level: {
                tag: str(dataset[keyword[tag]].value).strip()
                for tag in _TAGS[level]
                if keyword[tag] in dataset
            }
            for level in ResourceType
        }
        identifiers = DicomIdentifiers(
            str(dataset.get("PatientID", "")),
            str(dataset.StudyInstanceUID),
            str(dataset.SeriesInstanceUID),
            str(dataset.SOPInstanceUID),
        )
        return self.add(identifiers, tags, content)

    def delete(self, public_id: str) -> None:
        """Remove an instance and its file."""
        for attachment in self.resources.pop(public_id).attachments:
            del self.files[attachment.uuid]

    # Storage

    def open_file(self, uuid: str, compression: Compression) -> BinaryIO:
        self.opened.append(uuid)
        if uuid not in self.files:
            raise OrthancError(ErrorCode.INEXISTENT_FILE)
        return io.BytesIO(self.files[uuid])

    # Index

    def read(self, fn: Callable[[Any], Any]) -> Deferred[Any]:
        return maybeDeferred(fn, self)

    def read_now(self, fn: Callable[[Any], Any]) -> Any:
        return fn(self)

    def read_one(self, fn: Callable[[Any], Any]) -> Any:
        return fn(self)

    def read_in_thread(self, fn: Callable[[Any], Any]) -> Any:
        return fn(self)

    # ReadTransaction

    def lookup(self, public_id: str, level: ResourceType | None = None) -> ResourceRow | None:
        self.queries += 1
        found = self.resources.get(public_id)
        return None if found is None or level not in (None, found.row.level) else found.row

    def ancestors(self, row: ResourceRow) -> Sequence[ResourceRow]:
        by_id = {item.row.internal_id: item.row for item in self.resources.values()}
        found = []
        while row.parent_id is not None:
            row = by_id[row.parent_id]
            found.append(row)
        return found

    def descendants(
        self, row: ResourceRow, level: ResourceType, *, after: str | None = None, limit: int = 0
    ) -> Sequence[ResourceRow]:
        rows = {row.internal_id}
        found = [row] if row.level is level else []
        for current in range(row.level + 1, level + 1):
            found = [
                item.row
                for item in self.resources.values()
                if item.row.level == current and item.row.parent_id in rows
            ]
            rows = {item.internal_id for item in found}
        return sorted(found, key=lambda item: item.public_id)

    def archive_size(self, public_id: str, level: ResourceType) -> tuple[int, int] | None:
        tree = self.archive_tree(public_id, level)
        if tree is None:
            return None
        return len(tree.instances), sum(instance.size_bytes for instance in tree.instances)

    def archive_tree(self, public_id: str, level: ResourceType | None) -> ArchiveTree | None:
        self.queries += 1
        found = self.resources.get(public_id)
        if found is None or level not in (None, found.row.level):
            return None
        rows = [*reversed(self.ancestors(found.row))]
        for below in ResourceType:
            rows += self.descendants(found.row, below)
        folders = [
            ArchiveFolder(row.internal_id, row.level, row.parent_id, row.public_id, item.tags)
            for row in rows
            if row.level is not ResourceType.INSTANCE and (item := self.resources[row.public_id])
        ]
        return ArchiveTree(
            folders, [self._instance(row) for row in rows if row.level is ResourceType.INSTANCE]
        )

    def _instance(self, row: ResourceRow) -> ArchiveInstance:
        item = self.resources[row.public_id]
        (attachment,) = item.attachments
        syntax = item.metadata.get(MetadataType.TRANSFER_SYNTAX)
        assert row.parent_id is not None
        return ArchiveInstance(
            row.parent_id,
            row.internal_id,
            row.public_id,
            item.tags.get("0020,0013"),
            attachment.uuid,
            attachment.compression,
            attachment.size_bytes,
            "" if syntax is None else syntax.value,
        )

    def attachment(self, internal_id: int, content_type: int) -> Attachment | None:
        for item in self.resources.values():
            if item.row.internal_id == internal_id:
                return item.attachments[0]
        return None
