"""What all parts of a server stand on: handed to everything that makes one of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.app import settings
from orthanc_tw.config import Configuration
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.index.gateway import Index
from orthanc_tw.index.read_only import ReadOnlyIndex
from orthanc_tw.index.sqlite import SqliteIndex
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.metrics import Metrics
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.workers.pool import WorkerPool

InThread = Callable[..., Deferred[Any]]


def new_uuid() -> str:
    """A random UUID in lower case. Any thread."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Base:
    """What all parts stand on.

    :ivar index: the database
    :ivar served_index: what clients may do to it: nothing but read where the server is read-only
    :ivar in_thread: runs a blocking function in a thread
    :ivar runtime: options that the REST API changes
    """

    configuration: Configuration
    reactor: Any
    main_tags: MainDicomTags
    index: SqliteIndex
    served_index: Index
    storage: FilesystemStorage
    in_thread: InThread
    runtime: RuntimeOptions
    metrics: Metrics
    log_levels: LogLevels
    workers: WorkerPool

    @property
    def is_read_only(self) -> bool:
        """``ReadOnly``."""
        return self.configuration.boolean("ReadOnly")

    def deleter(self, index: Index) -> ResourceDeleter:
        """What deletes resources of one of the two."""
        return ResourceDeleter(index, self.storage, self.in_thread, time.time)


def make_base(
    configuration: Configuration,
    reactor: Any,
    main_tags: MainDicomTags,
    index: SqliteIndex,
    storage: FilesystemStorage,
    in_thread: InThread,
    log_levels: LogLevels,
) -> Base:
    """Over an open index and a storage area; no worker process is started yet."""
    return Base(
        configuration,
        reactor,
        main_tags,
        index,
        ReadOnlyIndex(index) if configuration.boolean("ReadOnly") else index,
        storage,
        in_thread,
        settings.runtime(configuration),
        Metrics(reactor, enabled=configuration.boolean("MetricsEnabled")),
        log_levels,
        WorkerPool(reactor.spawnProcess, reactor, settings.workers(configuration)),
    )
