"""Statements of ``/exports``."""

from __future__ import annotations

import sqlite3

from orthanc_tw.index.gateway import Export, ExportsPage
from orthanc_tw.index.rows import LEVELS, Row, fetch

_COLUMNS = (
    "level, public_id, remote_modality, date,"
    " patient_id, study_instance_uid, series_instance_uid, sop_instance_uid"
)
_INSERT = f"INSERT INTO exports ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PAGE = f"SELECT seq, {_COLUMNS} FROM exports WHERE seq > ? ORDER BY seq LIMIT ?"
_LAST = f"SELECT seq, {_COLUMNS} FROM exports ORDER BY seq DESC LIMIT 1"
CLEAR = "DELETE FROM exports"


def _export(row: Row) -> Export:
    return Export(row[0], LEVELS[row[1]], *row[2:])


def exports_page(connection: sqlite3.Connection, since: int, limit: int) -> ExportsPage:
    """One page, oldest first; ``limit`` is 0 or more."""
    rows = fetch(connection, f"seq, {_COLUMNS}", _PAGE, (since, limit + 1))
    return ExportsPage([_export(row) for row in rows[:limit]], len(rows) <= limit)


def last_export(connection: sqlite3.Connection) -> Export | None:
    """The newest one that is still there."""
    row = connection.execute(_LAST).fetchone()
    return None if row is None else _export(row)


def log_export(connection: sqlite3.Connection, export: Export) -> None:
    """Append; ``seq`` is not read."""
    connection.execute(
        _INSERT,
        (
            int(export.level),
            export.public_id,
            export.remote_modality,
            export.date,
            export.patient_id,
            export.study_instance_uid,
            export.series_instance_uid,
            export.sop_instance_uid,
        ),
    )
