"""How instances come into the index, at ingest and anew, and what it knows of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import BinaryIO

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base, new_uuid
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.rewrite_files import FileRewriter
from orthanc_tw.core.store import InstanceStore, Spawn
from orthanc_tw.core.transcoding.ingest import IngestTranscoder
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.storage.index_only import IndexOnlyStorage


def make_store(base: Base, ingest: IngestTranscoder | None, spawn: Spawn) -> InstanceStore:
    """What takes in all instances.

    :param spawn: see `InstanceStore`
    """
    is_stored = base.configuration.boolean("StoreDicom")
    return InstanceStore(
        base.index,
        base.storage if is_stored else IndexOnlyStorage(base.storage, new_uuid),
        settings.store(base.configuration, base.main_tags),
        read_summary=_summary_reader(base),
        in_thread=base.in_thread,
        spawn=spawn,
        clock=time.time,
        observe=base.metrics.observe,
        ingest=ingest,
    )


def make_reconstructor(base: Base, index: Index) -> Reconstructor:
    """What reads resources again.

    :param index: one of the two of ``base``
    """
    return Reconstructor(
        index,
        base.storage,
        _summary_reader(base),
        base.in_thread,
        settings.signatures(base.main_tags),
    )


def make_rewriter(base: Base, ingest: IngestTranscoder | None) -> FileRewriter:
    """What writes stored files anew, for clients."""
    return FileRewriter(
        base.served_index,
        base.storage,
        _summary_reader(base),
        base.in_thread,
        settings.signatures(base.main_tags),
        compress=base.configuration.boolean("StorageCompression"),
        ingest=ingest,
    )


def indexed_tags(main_tags: MainDicomTags) -> IndexedTags:
    """What the index answers by itself, and what it would by default."""
    defaults = MainDicomTags.from_configuration()
    return IndexedTags(
        levels={level: main_tags.tags(level) for level in ResourceType},
        defaults={tag for level in ResourceType for tag in defaults.tags(level)},
        dictionary=main_tags.dictionary,
    )


def _summary_reader(base: Base) -> Callable[[BinaryIO, int], InstanceSummary]:
    main_tags, runtime = base.main_tags, base.runtime

    def read(file: BinaryIO, size_bytes: int) -> InstanceSummary:
        # The default encoding may change while the server runs.
        return read_summary(file, size_bytes, main_tags, runtime.default_encoding)

    return read
