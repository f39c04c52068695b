"""Queries as values; part of the contract in `orthanc_tw.index.gateway`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.model.levels import ResourceType


@dataclass(frozen=True, slots=True)
class TagConstraint:
    """A constraint on one main DICOM tag of ``level`` (the level that owns the tag).

    Exactly one kind of matching: ``values`` (equality with any of them; list matching),
    ``wildcard`` (PS3.4 C.2.2.2.4, ``*`` and ``?``), or ``lower``/``upper`` (range, inclusive).
    Values are already normalized by the caller if ``case_sensitive`` is false.
    """

    tag: str
    level: ResourceType
    case_sensitive: bool
    values: Sequence[str] = ()
    wildcard: str | None = None
    lower: str | None = None
    upper: str | None = None
    mandatory: bool = True


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One criterion of ``OrderBy``: a tag ``gggg,eeee`` or the number of a metadata.

    A tag is that of the resource itself or of its nearest ancestor that has it.

    :ivar cast: ``Text``, ``Int`` or ``Float``
    :ivar level: the one level that keeps the tag, None if there are several or none
    """

    tag: str | None
    metadata: int | None
    cast: str
    descending: bool
    level: ResourceType | None = None


@dataclass(frozen=True, slots=True)
class FindQuery:
    """What the index alone can answer of ``/tools/find``.

    Ordered by ``order`` and then by arrival, or by public identifier if there is none.
    ``after`` is the key to page by: only identifiers greater than it. ``since`` is
    Orthanc's offset, counted after the constraints. ``limit`` 0 is no limit.
    ``parent`` restricts to descendants of a public identifier at the given level.
    """

    level: ResourceType
    constraints: Sequence[TagConstraint] = ()
    labels: Sequence[str] = ()
    labels_constraint: str = "All"
    parent: tuple[ResourceType, str] | None = None
    order: Sequence[OrderKey] = ()
    after: str | None = None
    since: int = 0
    limit: int = 0
