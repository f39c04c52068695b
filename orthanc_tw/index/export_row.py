"""Rows of ``/exports``; part of the contract in `orthanc_tw.index.gateway`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.model.levels import ResourceType


@dataclass(frozen=True, slots=True)
class Export:
    """A row of ``/exports``. ``date`` is UTC, ``YYYYMMDDTHHMMSS``; an identifier is '' where the
    resource has none. ``seq`` is given by the index.
    """

    seq: int
    level: ResourceType
    public_id: str
    remote_modality: str
    date: str
    patient_id: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class ExportsPage:
    """One answer of ``/exports``: rows oldest first."""

    exports: Sequence[Export]
    done: bool
