"""A job as the index keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_tw.model.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job. Times are POSIX seconds, UTC; ``parameters``, ``content`` and
    ``user_data`` (None: there is none) are JSON text, since most are never looked at; the other
    JSON columns are objects.

    ``sequence`` is set by the index: the order of submission, kept over restarts.
    ``parameters`` and ``cursor`` are the kind's own; ``content`` its public ``Content``;
    ``retry`` is the policy and the number of tries, None where there is no second one;
    ``outputs`` maps an output's key to ``{"file", "mime", "filename", "size"}``.
    """

    job_id: str
    kind: str
    state: str
    priority: int
    parameters: str
    cursor: JsonObject | None
    content: str
    user_data: str | None
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
