"""A job as the index keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_tw.model.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job. Times are POSIX seconds, UTC; JSON columns are objects here.

    ``sequence`` is set by the index: the order of submission, kept over restarts.
    ``parameters`` and ``cursor`` are the kind's own; ``content`` its public ``Content``;
    ``retry`` is the policy and the number of tries, None where there is no second one;
    ``outputs`` maps an output's key to ``{"file", "mime", "filename", "size"}``.
    """

    job_id: str
    kind: str
    state: str
    priority: int
    parameters: JsonObject
    cursor: JsonObject | None
    content: JsonObject
    user_data: object
    has_user_data: bool
    progress: float
    error_code: int
    error_details: str
    created_s: float
    started_s: float | None
    completed_s: float | None
    runtime_s: float
    retry_at_s: float | None
    outputs: JsonObject
    failed_instances: JsonObject
    sequence: int = 0
    retry: JsonObject | None = None
