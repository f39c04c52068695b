"""The spatial order of the slices of a series (``/series/{id}/ordered-slices``).

PS3.3 C.7.6.2: instances with the same orientation lie along its normal. Where they do not
make a volume, they are in the order of ``IndexInSeries``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orthanc_tw.index.gateway import ResourceRecord
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import MetadataType

POSITION = "0020,0032"
ORIENTATION = "0020,0037"
FRAMES = "0028,0008"
_TOLERANCE = 1e-4
_MINIMUM_DISTANCE_MM = 1e-6


@dataclass(frozen=True, slots=True)
class OrderedSlices:
    """Instances with their number of frames, in order. ``is_volume``: by their positions."""

    is_volume: bool
    instances: Sequence[tuple[str, int]]


def ordered_slices(records: Iterable[ResourceRecord]) -> OrderedSlices:
    """Order the instances of a series.

    :param records: with tags and metadata
    :raises OrthancError: CANNOT_ORDER_SLICES if they have neither positions nor indices
    """
    instances = list(records)
    distances = _distances(instances)
    if distances is not None:
        order = sorted(range(len(instances)), key=distances.__getitem__)
        return OrderedSlices(True, [_frames(instances[n]) for n in order])
    if len(instances) == 1:
        return OrderedSlices(False, [_frames(instances[0])])
    indices = [_index(record) for record in instances]
    if any(index is None for index in indices):
        raise OrthancError(ErrorCode.CANNOT_ORDER_SLICES)
    order = sorted(range(len(instances)), key=lambda n: indices[n] or 0)
    return OrderedSlices(False, [_frames(instances[n]) for n in order])


def _distances(instances: Sequence[ResourceRecord]) -> list[float] | None:
    """Distance of each instance along the normal in mm; None if they make no volume."""
    if len(instances) < 2:
        return None
    normal: tuple[float, ...] | None = None
    distances = []
    for record in instances:
        position = _numbers(record.tags.get(POSITION, ""), 3)
        orientation = _numbers(record.tags.get(ORIENTATION, ""), 6)
        if position is None or orientation is None or _frames(record)[1] != 1:
            return None
        across = _cross(orientation[:3], orientation[3:])
        if normal is None:
            normal = across
        elif any(abs(a - b) > _TOLERANCE for a, b in zip(normal, across, strict=True)):
            return None
        distances.append(sum(a * b for a, b in zip(normal, position, strict=True)))
    apart = sorted(distances)
    if any(b - a < _MINIMUM_DISTANCE_MM for a, b in itertools.pairwise(apart)):
        return None
    return distances


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    parts = text.split("\\")
    try:
        return tuple(map(float, parts)) if len(parts) == count else None
    except ValueError:
        return None


def _index(record: ResourceRecord) -> int | None:
    index = record.metadata.get(MetadataType.INDEX_IN_SERIES)
    try:
        return None if index is None else int(index)
    except ValueError:
        return None


def _frames(record: ResourceRecord) -> tuple[str, int]:
    try:
        return record.public_id, max(int(record.tags.get(FRAMES, "1")), 1)
    except ValueError:
        return record.public_id, 1
