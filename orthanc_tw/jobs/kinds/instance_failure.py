"""Names the instances that a job could not read: the storage does not know whose file it is."""

from __future__ import annotations

from collections.abc import Sequence

from orthanc_tw.jobs.interface import TransientFailure
from orthanc_tw.model.errors import OrthancError

_SHOWN = 10


def with_instances(error: OrthancError, public_ids: Sequence[str]) -> OrthancError:
    """The same error, with details if it has none.

    :param public_ids: of the instances that were being read
    """
    if error.details or isinstance(error, TransientFailure):
        return error
    shown = ", ".join(public_ids[:_SHOWN])
    return OrthancError(error.code, f"While this was read: {shown}", http_status=error.http_status)
