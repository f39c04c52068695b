"""Rows of the ``jobs`` table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.index.rows import Row, to_json

_COLUMNS = (
    "job_id, kind, state, priority, parameters, cursor, content, user_data, progress,"
    " error_code, error_details, created_s, started_s, completed_s, runtime_s, retry_at_s,"
    " outputs, failed_instances, retry"
)
_NAMES = [name.strip() for name in _COLUMNS.split(",")]
_SELECT = f"SELECT {_COLUMNS}, sequence FROM jobs"
_VALUES = ", ".join(f"json_extract(value, '$[{n}]') AS {name}" for n, name in enumerate(_NAMES))
_ROWS = f"SELECT key, {_VALUES} FROM json_each(?)"
_UPDATE = (
    f"UPDATE jobs SET {', '.join(f'{name} = new.{name}' for name in _NAMES[1:])}"
    f" FROM ({_ROWS}) new WHERE jobs.job_id = new.job_id"
)
_INSERT = (
    f"INSERT INTO jobs ({_COLUMNS}, sequence) SELECT {_COLUMNS},"
    " (SELECT last_job_seq FROM counters) + row_number() OVER (ORDER BY key)"
    f" FROM ({_ROWS}) new WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = new.job_id)"
)
_COUNT = "UPDATE counters SET last_job_seq = last_job_seq + ?"
_DELETE = "DELETE FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))"


def _job(row: Row) -> JobRow:
    return JobRow(
        job_id=row[0],
        kind=row[1],
        state=row[2],
        priority=row[3],
        parameters=json.loads(row[4]),
        cursor=None if row[5] is None else json.loads(row[5]),
        content=json.loads(row[6]),
        user_data=None if row[7] is None else json.loads(row[7]),
        has_user_data=row[7] is not None,
        progress=row[8],
        error_code=row[9],
        error_details=row[10],
        created_s=row[11],
        started_s=row[12],
        completed_s=row[13],
        runtime_s=row[14],
        retry_at_s=row[15],
        outputs=json.loads(row[16]),
        failed_instances=json.loads(row[17]),
        retry=None if row[18] is None else json.loads(row[18]),
        sequence=row[19],
    )


def job(connection: sqlite3.Connection, job_id: str) -> JobRow | None:
    """The job, or None."""
    row = connection.execute(f"{_SELECT} WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else _job(row)


def jobs(
    connection: sqlite3.Connection, states: Sequence[str], after: int, limit: int
) -> list[JobRow]:
    """Jobs by sequence, in any of ``states`` if some are given."""
    sql = f"{_SELECT} WHERE sequence > ?"
    parameters: list[object] = [after]
    if states:
        sql += f" AND state IN ({', '.join('?' * len(states))})"
        parameters += states
    parameters.append(limit or -1)
    return [_job(row) for row in connection.execute(f"{sql} ORDER BY sequence LIMIT ?", parameters)]


def put_jobs(connection: sqlite3.Connection, jobs: Sequence[JobRow]) -> None:
    """Insert or replace, each job named once; a replaced job keeps its sequence number.

    All in two statements, since each is a turn at the interpreter lock.
    """
    rows = (msgspec.json.encode([_values(job) for job in jobs]).decode(),)
    if connection.execute(_UPDATE, rows).rowcount < len(jobs):
        inserted = connection.execute(_INSERT, rows).rowcount
        connection.execute(_COUNT, (inserted,))


def _values(job: JobRow) -> tuple[object, ...]:
    return (
        job.job_id,
        job.kind,
        job.state,
        job.priority,
        job.parameters,
        job.cursor,
        job.content,
        # a text, or its null would be none
        to_json(job.user_data) if job.has_user_data else None,
        job.progress,
        int(job.error_code),
        job.error_details,
        job.created_s,
        job.started_s,
        job.completed_s,
        job.runtime_s,
        job.retry_at_s,
        job.outputs,
        job.failed_instances,
        job.retry,
    )


def delete_jobs(connection: sqlite3.Connection, job_ids: Sequence[str]) -> int:
    """Say how many there were."""
    return connection.execute(_DELETE, (to_json(list(job_ids)),)).rowcount
