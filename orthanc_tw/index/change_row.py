"""A row of ``/changes``, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.model.levels import ResourceType


@dataclass(frozen=True, slots=True)
class Change:
    """A row of ``/changes``. ``date`` is UTC, ``YYYYMMDDTHHMMSS``."""

    seq: int
    change_type: int
    level: ResourceType
    public_id: str
    date: str
    deleted_level: ResourceType | None = None


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """One answer of ``/changes``: rows oldest first."""

    changes: Sequence[Change]
    done: bool
    last_seq: int
