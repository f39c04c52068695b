"""How an instance is read for the index, and what the index knows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.model.levels import ResourceType


def summary_reader(
    main_tags: MainDicomTags, runtime: RuntimeOptions
) -> Callable[[BinaryIO, int], InstanceSummary]:
    """The default encoding may change while the server runs."""

    def read(file: BinaryIO, size_bytes: int) -> InstanceSummary:
        return read_summary(file, size_bytes, main_tags, runtime.default_encoding)

    return read


def indexed_tags(main_tags: MainDicomTags) -> IndexedTags:
    """What the index answers by itself, and what it would by default."""
    defaults = MainDicomTags.from_configuration()
    return IndexedTags(
        levels={level: main_tags.tags(level) for level in ResourceType},
        defaults={tag for level in ResourceType for tag in defaults.tags(level)},
        dictionary=main_tags.dictionary,
    )
