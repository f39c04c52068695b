"""What the tests of the index share: both indexes behind one face, and instances to store."""

from __future__ import annotations

import hashlib
import os
import queue
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.connection import IndexSettings
from orthanc_tw.index.gateway import (
    Attachment,
    ChangesPage,
    Index,
    NewInstance,
    NewResource,
    ReadTransaction,
    ResourceRow,
    StorageLimits,
    StoreOutcome,
    WriteTransaction,
)
from orthanc_tw.index.sqlite import SqliteIndex, open_index
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ChangeType, Compression, OverwriteInstances
from orthanc_tw.testing.memory_index import MemoryIndex

T = TypeVar("T")
DATE = "20260102T030405"
PATIENT, STUDY, SERIES, INSTANCE = ResourceType


def attachment(
    name: str, *, size: int = 1000, stored: int | None = None, kind: int = 1
) -> Attachment:
    """An attachment whose UUID and MD5 come from ``name``."""
    digest = hashlib.md5(name.encode()).hexdigest()
    return Attachment(
        uuid=str(uuid.UUID(digest)),
        content_type=kind,
        size_bytes=size,
        md5=digest,
        stored_size_bytes=size if stored is None else stored,
        stored_md5=digest if stored is None else digest[::-1],
        compression=Compression.NONE if stored is None else Compression.ZLIB_WITH_SIZE,
    )


def instance(
    path: str,
    *,
    file: Attachment | None = None,
    overwrite: OverwriteInstances = OverwriteInstances.NEVER,
    now_s: float = 1000.0,
    expected: int | None = None,
    tags: Mapping[ResourceType, Mapping[str, str]] | None = None,
    date: str = DATE,
    transfer: str = "",
) -> NewInstance:
    """``"patient/study/series/instance"``: the words are the DICOM identifiers."""
    words = path.split("/")
    identifiers = DicomIdentifiers(*words)
    own: dict[ResourceType, dict[str, str]] = {
        PATIENT: {"0010,0020": words[0], "0010,0010": f"{words[0]}^NAME"},
        STUDY: {"0020,000d": words[1], "0008,0050": ""},
        SERIES: {"0020,000e": words[2], "0008,0060": "CT"},
        INSTANCE: {"0008,0018": words[3], "0020,0013": "1"},
    }
    for level, more in (tags or {}).items():
        own[level].update(more)
    return NewInstance(
        resources=tuple(
            NewResource(level, identifiers.public_id(level), own[level], {15: f"sig{int(level)}"})
            for level in ResourceType
        ),
        attachment=file or attachment(path),
        date=date,
        now_s=now_s,
        overwrite=overwrite,
        expected_instances=expected,
        transfer=transfer,
    )


def public_id(path: str) -> str:
    """Orthanc identifier of ``"patient"``, ``"patient/study"``..."""
    words = path.split("/")
    padded = (words + [""] * 3)[:4]
    return DicomIdentifiers(*padded).public_id(ResourceType(len(words)))


class IndexCase(SynchronousTestCase):
    """A test with an index; concrete classes say which."""

    index: Index

    def result(self, deferred: Deferred[T]) -> T:
        """Result of a Deferred of the index."""
        return self.successResultOf(deferred)

    def error(self, deferred: Deferred[Any]) -> BaseException:
        """What a Deferred of the index failed with."""
        failure = self.failureResultOf(deferred)
        assert failure.value is not None
        return failure.value

    def write(self, function: Callable[[WriteTransaction], T]) -> T:
        """Run and commit."""
        return self.result(self.index.write(function))

    def read(self, function: Callable[[ReadTransaction], T]) -> T:
        """Run over a snapshot."""
        return self.result(self.index.read(function))

    def store(self, path: str, limits: StorageLimits | None = None, **how: Any) -> StoreOutcome:
        """Store `instance` of these arguments."""
        new = instance(path, **how)
        return self.write(lambda tx: tx.store_instance(new, limits or StorageLimits()))

    def row(self, path: str) -> ResourceRow:
        """The resource at ``"patient/study/..."``, which must be there."""
        found = self.read(lambda tx: tx.lookup(public_id(path)))
        assert found is not None, path
        return found

    def exists(self, path: str) -> bool:
        """Whether there is a resource."""
        return self.read(lambda tx: tx.lookup(public_id(path))) is not None

    def changes(self, **how: Any) -> ChangesPage:
        """A page of changes."""
        arguments: dict[str, Any] = {"since": 0, "to": None, "types": (), "limit": 100, **how}
        return self.read(lambda tx: tx.changes(**arguments))

    def log(self, **how: Any) -> list[tuple[int, str, str]]:
        """Changes as (seq, type, public identifier)."""
        return [
            (change.seq, ChangeType(change.change_type).label, change.public_id)
            for change in self.changes(**how).changes
        ]


class MemoryCase(IndexCase):
    """Over `MemoryIndex`."""

    def setUp(self) -> None:
        """A new index."""
        self.index = MemoryIndex()
        self.addCleanup(self.index.close)


class SqliteCase(IndexCase):
    """Over `SqliteIndex`, whose calls into the reactor thread wait in a queue."""

    readers = 2

    def setUp(self) -> None:
        """A new folder and its index."""
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        self.calls: queue.Queue[tuple[Callable[..., object], tuple[object, ...]]] = queue.Queue()
        self.index = self.open()
        self.addCleanup(self.close)

    def open(self, **how: Any) -> SqliteIndex:
        """Open the database of this test."""
        return open_index(
            IndexSettings(directory=self.directory, readers=self.readers, cache_size_kib=2000),
            call_from_thread=lambda function, *arguments: self.calls.put((function, arguments)),
            new_uuid=lambda: "5c1d7e2a-0000-4000-8000-000000000001",
            **how,
        )

    def pump(self) -> None:
        """Run one call that a thread made into the reactor thread; waits for it."""
        function, arguments = self.calls.get(timeout=60)
        function(*arguments)

    def wait(self, deferred: Deferred[Any]) -> None:
        """Until it has fired."""
        while not deferred.called:
            self.pump()

    def result(self, deferred: Deferred[T]) -> T:
        """Wait for the result."""
        self.wait(deferred)
        return super().result(deferred)

    def error(self, deferred: Deferred[Any]) -> BaseException:
        """Wait for the failure."""
        self.wait(deferred)
        return super().error(deferred)

    def close(self) -> None:
        """Close the index."""
        self.result(self.index.close())

    def reopen(self) -> None:
        """As a restart of the server does."""
        self.close()
        self.index = self.open()
