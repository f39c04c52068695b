"""One job as the engine keeps it in memory, and the row it is saved as.

The row's JSON is copied through text: the index serializes it on another thread while the
kind goes on changing its own objects, and what cannot be saved is found at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.jobs.interface import JobResult
from orthanc_tw.jobs.machine import JobEvents, Lifecycle, job_machine
from orthanc_tw.jobs.outputs import StoredOutput
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.jobs.run import Prepared, Run
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject


@dataclass(slots=True, eq=False)
class JobEntry:
    """One job. Times are POSIX seconds; ``order`` is the order of submission since start.

    :ivar prepared: the job object made at submission, for its first run
    :ivar run: the run under way, if the job is running
    :ivar retry_call: what ends the delay, in state Retry
    :ivar waiters: to be fired when the job has ended
    :ivar retry: what to do about transient failures, if anything
    :ivar attempts: how often it was tried, of which a run that was paused is no try
    :ivar has_folder: whether a folder of it may be on the disk
    """

    job_id: str
    kind: str
    durable: bool
    order: int
    parameters: JsonObject
    priority: int
    user_data: object
    has_user_data: bool
    created_s: float
    events: JobEvents
    lifecycle: Lifecycle
    content: JsonObject = field(default_factory=dict)
    cursor: JsonObject | None = None
    progress: float = 0.0
    error_code: int = 0
    error_details: str = ""
    started_s: float | None = None
    completed_s: float | None = None
    runtime_s: float = 0.0
    retry_at_s: float | None = None
    retry: RetryPolicy | None = None
    attempts: int = 0
    outputs: dict[str, StoredOutput] = field(default_factory=dict)
    failed_instances: dict[str, str] = field(default_factory=dict)
    attachment: object = None
    prepared: Prepared | None = None
    run: Run | None = None
    retry_call: IDelayedCall | None = None
    waiters: list[Deferred[JobResult]] = field(default_factory=list)
    has_folder: bool = False
    saved_s: float = 0.0

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        return self.lifecycle.state

    def result(self) -> JobResult:
        """How the job ended."""
        return JobResult(
            self.job_id,
            self.state is JobState.SUCCESS,
            self.error_code,
            self.error_details,
            self.content,
        )

    def failures(self) -> Mapping[str, str]:
        """Public id to reason, of the instances that failed up to now."""
        return self.failed_instances if self.run is None else self.run.context.failed_instances

    def start_over(self) -> None:
        """Forget what earlier runs left, before a resubmission."""
        self.cursor = None
        self.progress = 0.0
        self.error_code = 0
        self.error_details = ""
        self.completed_s = None
        self.runtime_s = 0.0
        self.attempts = 0
        self.outputs = {}
        self.failed_instances = {}


def json_copy(value: object) -> Any:
    """A copy that shares nothing with ``value``.

    :raises TypeError, ValueError: if it is no JSON
    """
    return json.loads(json.dumps(value))


def _row_copy(value: JsonObject | None) -> Any:
    """The same for what is copied at every save: several times as fast."""
    return None if value is None else msgspec.json.decode(msgspec.json.encode(value))


def to_row(entry: JobEntry, state: JobState | None = None) -> JobRow:
    """The row of a job as it stands, or as it stands but for its state.

    :raises TypeError, ValueError: if its cursor or content is no JSON
    """
    return JobRow(
        job_id=entry.job_id,
        kind=entry.kind,
        state=(state or entry.state).value,
        priority=entry.priority,
        parameters=entry.parameters,
        cursor=_row_copy(entry.cursor),
        content=_row_copy(entry.content),
        user_data=entry.user_data,
        has_user_data=entry.has_user_data,
        progress=entry.progress,
        error_code=entry.error_code,
        error_details=entry.error_details,
        created_s=entry.created_s,
        started_s=entry.started_s,
        completed_s=entry.completed_s,
        runtime_s=entry.runtime_s,
        retry_at_s=entry.retry_at_s,
        outputs={
            key: {
                "file": output.file,
                "mime": output.mime,
                "filename": output.filename,
                "size": output.size_bytes,
            }
            for key, output in entry.outputs.items()
        },
        failed_instances=dict(entry.failed_instances),
        retry=None
        if entry.retry is None
        else {**entry.retry.to_json(), "Attempts": entry.attempts},
    )


def _stored_outputs(saved: JsonObject) -> dict[str, StoredOutput]:
    return {
        key: StoredOutput(
            str(output["file"]), str(output["mime"]), str(output["filename"]), int(output["size"])
        )
        for key, output in cast(dict[str, dict[str, Any]], saved).items()
    }


def from_row(row: JobRow, order: int) -> JobEntry:
    """A job of an earlier process: one that ran, waited or was to be retried is pending again.

    :raises ValueError, KeyError, TypeError: if the row was not written by `to_row`
    """
    state = JobState(row.state)
    attempts = 0 if row.retry is None else int(cast(int, row.retry["Attempts"]))
    if state is JobState.RUNNING and attempts:
        # The try that the end of that process cut short.
        attempts -= 1
    if state in (JobState.RUNNING, JobState.RETRY):
        state = JobState.PENDING
    events, lifecycle = job_machine(state)
    return JobEntry(
        job_id=row.job_id,
        kind=row.kind,
        durable=True,
        order=order,
        parameters=row.parameters,
        priority=row.priority,
        user_data=row.user_data,
        has_user_data=row.has_user_data,
        created_s=row.created_s,
        events=events,
        lifecycle=lifecycle,
        content=row.content,
        cursor=row.cursor,
        progress=row.progress,
        error_code=row.error_code if state.is_final else 0,
        error_details=row.error_details if state.is_final else "",
        started_s=row.started_s,
        completed_s=row.completed_s,
        runtime_s=row.runtime_s,
        retry=None if row.retry is None else RetryPolicy.from_json(row.retry),
        attempts=attempts,
        outputs=_stored_outputs(row.outputs),
        failed_instances=cast(dict[str, str], dict(row.failed_instances)),
        has_folder=True,
    )
