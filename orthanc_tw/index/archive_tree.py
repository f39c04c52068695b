"""What the index tells of an archive: folders and instances, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression


class ArchiveFolder(NamedTuple):
    """A patient, study or series of an archive."""

    internal_id: int
    level: ResourceType
    parent_id: int | None
    public_id: str
    tags: Mapping[str, str]


class ArchiveInstance(NamedTuple):
    """An instance of an archive, and its DICOM file. ``size_bytes`` is before compression.

    ``number`` is InstanceNumber; ``transfer_syntax`` is '' if it is not known.
    """

    series_internal_id: int
    internal_id: int
    public_id: str
    number: str | None
    uuid: str
    compression: Compression
    size_bytes: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class ArchiveTree:
    """A resource with all that is above and below it: ``folders`` by level, parents first.

    Instances without a DICOM file are left out.
    """

    folders: Sequence[ArchiveFolder]
    instances: Sequence[ArchiveInstance]
