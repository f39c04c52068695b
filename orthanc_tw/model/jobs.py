"""States of a job as the REST API names them."""

from __future__ import annotations

import enum


class JobState(enum.Enum):
    """``State`` of a job."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILURE = "Failure"
    PAUSED = "Paused"
    RETRY = "Retry"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended (it may still be resubmitted after a failure)."""
        return self in (JobState.SUCCESS, JobState.FAILURE)
