"""Which failures of the DICOM network may pass, so that a job is worth another try."""

from __future__ import annotations

from orthanc_tw.jobs.interface import TransientFailure
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.errors import AssociationError, AssociationRejected, NoPresentationContext
from orthanc_tw.net.query.client import DimseFailure

_REJECTED_PERMANENT = 1


def job_failure(error: OrthancError) -> OrthancError:
    """The error that a step of a job is to fail with: a `TransientFailure` if it may pass."""
    if is_transient(error):
        return TransientFailure(error.code, error.details)
    return error


def is_transient(error: OrthancError) -> bool:
    """Nobody there, silence, an abort, a peer without resources: not a refusal for good.

    Sources: PS3.8 9.3.4 (rejections), PS3.4 B.2.3 and C.4.2 (0xA7xx: out of resources).
    """
    if isinstance(error, DimseFailure):
        return error.status >> 8 == 0xA7
    if isinstance(error, AssociationRejected):
        return error.result != _REJECTED_PERMANENT
    return isinstance(error, AssociationError) and not isinstance(error, NoPresentationContext)
