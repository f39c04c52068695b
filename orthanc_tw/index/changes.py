"""Statements of ``/changes``. Without ``since``, ``to`` reads backwards from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orthanc_tw.index.gateway import Change, ChangesPage
from orthanc_tw.index.rows import LEVELS, Row, fetch
from orthanc_tw.model.registries import ChangeType

_COLUMNS = "SELECT c.seq, c.change_type, r.level, r.public_id, c.date"
_JOIN = " CROSS JOIN resources r ON r.internal_id = c.internal_id"
LAST = f"{_COLUMNS} FROM changes c{_JOIN} ORDER BY c.seq DESC LIMIT 1"
LAST_SEQ = "SELECT last_change_seq FROM counters"


def change_row(row: Row) -> Change:
    """From the columns of `LAST`."""
    return Change(row[0], row[1], LEVELS[row[2]], row[3], row[4])


def page_statement(
    since: int | None, to: int | None, types: Sequence[int], limit: int
) -> tuple[str, list[object]]:
    """At most ``limit + 1`` rows, newest first if only ``to`` is given."""
    conditions = ""
    bounds: list[object] = []
    if since is not None:
        conditions += " AND seq > ?"
        bounds.append(since)
    if to is not None:
        conditions += " AND seq <= ?"
        bounds.append(to)
    direction = "DESC" if since is None and to is not None else "ASC"
    distinct = sorted({int(number) for number in types})
    if not distinct or ChangeType.NEW_INSTANCE in distinct:
        # NewInstance is dense in the table: reading on in order meets enough of them.
        if distinct:
            conditions += f" AND +change_type IN ({', '.join('?' * len(distinct))})"
            bounds += distinct
        sql = f"{_COLUMNS} FROM changes c{_JOIN} WHERE 1 = 1{conditions}"
        return f"{sql} ORDER BY c.seq {direction} LIMIT ?", [*bounds, limit + 1]
    # Each branch is ordered by its index, SQLite merges them. The comparison with 4 is there
    # for the planner: it makes the partial index usable.
    branch = f"SELECT * FROM changes WHERE change_type = ? AND change_type <> 4{conditions}"
    merged = " UNION ALL ".join([branch] * len(distinct)) + f" ORDER BY seq {direction} LIMIT ?"
    parameters: list[object] = [value for number in distinct for value in (number, *bounds)]
    sql = f"{_COLUMNS} FROM ({merged}) c{_JOIN} ORDER BY c.seq {direction} LIMIT -1"
    return sql, [*parameters, limit + 1]


def changes_page(
    connection: sqlite3.Connection,
    since: int | None,
    to: int | None,
    types: Sequence[int],
    limit: int,
) -> ChangesPage:
    """One page, oldest first."""
    if limit < 0:
        rows: list[Row] = []
    else:
        sql, parameters = page_statement(since, to, types, limit)
        rows = fetch(connection, "seq, change_type, level, public_id, date", sql, parameters)
    done = limit < 0 or len(rows) <= limit
    rows = rows[: max(limit, 0)]
    if since is None and to is not None:
        rows.reverse()
    if rows:
        last = int(rows[-1][0])
    else:
        (last,) = connection.execute(LAST_SEQ).fetchone()
    return ChangesPage([change_row(row) for row in rows], done, last)
