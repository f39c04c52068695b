"""The public JSON of a job: the fields of ``GET /jobs/{id}`` (REST page "Jobs")."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import islice

from twisted.logger import Logger

from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.model.errors import ErrorCode
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject, JsonValue

_log = Logger()

#: How many failed instances are in the JSON of a job; all are in ``failed-instances``.
SHOWN_FAILURES = 100
# Below this progress an estimate would be noise.
_MINIMUM_PROGRESS = 0.01


def job_time(posix_s: float) -> str:
    """``YYYYMMDDTHHMMSS.ffffff`` in UTC of POSIX seconds."""
    return datetime.fromtimestamp(posix_s, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")


def _error_description(code: int) -> str:
    try:
        return ErrorCode(code).description
    except ValueError:
        return ErrorCode.INTERNAL_ERROR.description


def describe_job(entry: JobEntry, now_s: float) -> JsonObject:
    """The public JSON of a job; ``now_s`` (POSIX seconds) is its ``Timestamp``."""
    run = entry.run
    progress, content = entry.progress, entry.content
    if run is not None:
        try:
            progress, content = max(0.0, min(1.0, run.job.progress())), run.job.content()
        except Exception:
            # One faulty job must not hide the others of a list.
            _log.failure("Job {job_id} cannot describe itself", job_id=entry.job_id)
    runtime_s = entry.runtime_s + (0.0 if run is None else run.runtime_s)
    described: dict[str, JsonValue] = {
        "ID": entry.job_id,
        "Type": entry.kind,
        "State": entry.state.value,
        "Priority": entry.priority,
        "Progress": round(progress * 100),
        "CreationTime": job_time(entry.created_s),
        "Timestamp": job_time(now_s),
        "EffectiveRuntime": round(runtime_s, 3),
        "ErrorCode": entry.error_code,
        "ErrorDescription": _error_description(entry.error_code),
        "ErrorDetails": entry.error_details,
        "Content": content,
    }
    if entry.has_user_data:
        described["UserData"] = entry.user_data  # type: ignore[assignment]
    if entry.state.is_final and entry.completed_s is not None:
        described["CompletionTime"] = job_time(entry.completed_s)
    failures = entry.failures()
    if failures:
        described["FailedInstancesCount"] = len(failures)
        described["FailedInstances"] = dict(islice(failures.items(), SHOWN_FAILURES))
    if entry.retry is not None:
        described["Attempts"] = entry.attempts
        described["MaximumAttempts"] = entry.retry.maximum_attempts
        if entry.retry_at_s is not None:
            described["NextAttempt"] = job_time(entry.retry_at_s)
    if entry.state is JobState.RUNNING and progress > _MINIMUM_PROGRESS:
        remaining_s = runtime_s * (1.0 - progress) / progress
        described["EstimatedTimeOfArrival"] = job_time(now_s + remaining_s)
    return described
