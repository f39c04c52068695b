"""The SQL of `find` and `count`: which index to start from, and how to join from there.

One constraint, the parent or a label drives the query: the one with the fewest matches,
found by counting each up to a bound. From its level the joins go up and down to all other
levels that the query names (CROSS JOIN fixes SQLite's order), the other constraints filter.
When all are broad and a limit is set, the level is read in the order of the answer instead,
until the limit is reached.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orthanc_tw.index.constraints import (
    Driver,
    identifier_driver,
    is_universal,
    label_driver,
    label_filter,
    tag_filter,
)
from orthanc_tw.index.find_order import Walk, order_columns, order_walk
from orthanc_tw.index.gateway import FindQuery, TagConstraint
from orthanc_tw.model.levels import ResourceType

#: Matches counted of each candidate before it is called broad: at least, and at most.
BOUND = 2000
MAXIMUM_BOUND = 50_000
#: Guess of the children of a resource of each level, to compare candidates across levels.
_FAN_OUT = {ResourceType.PATIENT: 2, ResourceType.STUDY: 4, ResourceType.SERIES: 50}
#: Guess of the share of resources that a constraint without an index lets through.
_UNKNOWN_SHARE = 0.1
_NUMBERS = "SELECT value AS internal_id FROM json_each(?)"
_LEVEL_COUNTS = "SELECT count_patients, count_studies, count_series, count_instances FROM counters"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its parameters.

    :ivar is_partial: whether what comes last is left out: fewer rows than the limit are not all
    :ivar any_order: one column, ``public_id``, of the same rows and one more than the limit, in
        any order; None where that is not known to be quicker. To put some thousand rows in
        order takes SQLite longer than to find them.
    """

    sql: str
    parameters: tuple[object, ...]
    is_partial: bool = False
    any_order: Statement | None = None


@dataclass(frozen=True, slots=True)
class _Body:
    """``FROM ... WHERE ...`` and its parameters.

    :ivar repeats: whether rows of the answer do
    :ivar walks: whether rows are read in the order of the answer, by the index given for that
    :ivar is_short: whether they start from a list of few
    """

    sql: str
    parameters: tuple[object, ...]
    repeats: bool
    walks: bool
    is_short: bool


_NOTHING = Statement(
    "SELECT internal_id, public_id, level, parent_id FROM resources WHERE internal_id IS NULL", ()
)


def level_count(connection: sqlite3.Connection, level: ResourceType) -> int:
    """Resources of a level, from the counters."""
    row = connection.execute(_LEVEL_COUNTS).fetchone()
    return int(row[level - 1])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A driver that was run up to a bound.

    :ivar count: its matches, at most the bound
    :ivar resources: how many resources of the query's level that may be
    :ivar numbers: the matches, as a JSON list
    """

    driver: Driver
    count: int
    resources: float
    numbers: str

    def found(self) -> Driver:
        """The same without looking again."""
        return replace(self.driver, sql=_NUMBERS, parameters=(self.numbers,))


def _run(
    connection: sqlite3.Connection, driver: Driver, level: ResourceType, bound: int
) -> _Candidate:
    count, numbers = connection.execute(
        "SELECT count(*), json_group_array(internal_id)"
        f" FROM (SELECT internal_id FROM ({driver.sql}) LIMIT {bound})",
        driver.parameters,
    ).fetchone()
    resources = float(count)
    for above in range(driver.level, level):
        resources *= _FAN_OUT[ResourceType(above)]
    return _Candidate(driver, int(count), resources, numbers)


def _choose(
    connection: sqlite3.Connection,
    query: FindQuery,
    drivers: Sequence[Driver],
    others: int,
    streams: bool,
) -> Driver | None:
    """The driver with the fewest matches, or None to read the level in its order.

    To read in order takes as many rows as it takes to meet ``limit`` matches, if those are
    spread evenly; to start from a driver takes all that it matches.

    :param others: constraints that no index answers
    :param streams: whether the level can be read in order until there are enough
    """
    if not drivers:
        return None
    if len(drivers) == 1 and not streams:
        return drivers[0]
    total = max(level_count(connection, query.level), 1)
    bound = BOUND
    if streams:
        # Where both ways cost the same, if this is the only constraint.
        bound = max(BOUND, min(math.isqrt((query.since + query.limit) * total), MAXIMUM_BOUND))
    tried = [_run(connection, driver, query.level, bound) for driver in drivers]
    best = min(tried, key=lambda candidate: candidate.resources)
    cut = best.count >= bound
    if not streams:
        return best.driver if cut else best.found()
    in_order = float(query.since + query.limit) * (1 / _UNKNOWN_SHARE) ** others
    for candidate in tried:
        if candidate.count < bound:
            in_order *= max(total / max(candidate.resources, 1.0), 1.0)
    return None if cut or min(in_order, total) < best.resources else best.found()


def _joins(start: ResourceType, lowest: ResourceType, highest: ResourceType) -> str:
    """Joins from ``r<start>`` up to the level ``highest`` and down to the level ``lowest``."""
    parts = [
        f" CROSS JOIN resources r{n} ON r{n}.internal_id = r{n + 1}.parent_id"
        for n in range(start - 1, highest - 1, -1)
    ]
    parts += [
        f" CROSS JOIN resources r{n} ON r{n}.parent_id = r{n - 1}.internal_id"
        for n in range(start + 1, lowest + 1)
    ]
    return "".join(parts)


def _below(level: ResourceType, constraints: Sequence[TagConstraint]) -> tuple[str, list[object]]:
    """That one resource below ``r<level>`` meets all constraints of lower levels."""
    lowest = max(constraint.level for constraint in constraints)
    first = level + 1
    conditions = [f"r{first}.parent_id = r{int(level)}.internal_id"]
    parameters: list[object] = []
    for constraint in constraints:
        condition, more = tag_filter(constraint)
        conditions.append(condition)
        parameters += more
    joins = _joins(ResourceType(first), lowest, ResourceType(first))
    where = " AND ".join(conditions)
    return f"EXISTS (SELECT 1 FROM resources r{first}{joins} WHERE {where})", parameters


def _body(
    connection: sqlite3.Connection, query: FindQuery, trigrams: bool, walk: Walk | None = None
) -> _Body:
    """The part of the statement that says which resources.

    :param walk: what has them in order
    """
    constraints = [c for c in query.constraints if not is_universal(c)]
    answered = [(c, identifier_driver(c, trigrams)) for c in constraints]
    candidates = [driver for _, driver in answered]
    candidates.append(label_driver(query))
    if query.parent is not None:
        candidates.append(
            Driver(
                query.parent[0],
                "SELECT internal_id FROM resources WHERE level = ? AND public_id = ?",
                (int(query.parent[0]), query.parent[1]),
            )
        )
    others = sum(driver is None for _, driver in answered) + (query.labels_constraint == "None")
    streams = bool(query.limit) and (not query.order or walk is not None)
    drivers = [driver for driver in candidates if driver is not None]
    driver = None
    # A walk over what the only constraint matches is the best that there is.
    if walk is None or drivers != [walk.driver]:
        driver = _choose(connection, query, drivers, others, streams)
    walks = walk is not None and (driver is None or walk.follows(driver))
    if walks and walk is not None:
        driver = walk.driver
    return _join(query, constraints, driver, walks=walks)


def _join(
    query: FindQuery, constraints: Sequence[TagConstraint], driver: Driver | None, *, walks: bool
) -> _Body:
    """From the driver, or from the level in its order, to all levels that are asked about."""
    start = query.level if driver is None else driver.level
    # Where the query starts from below, its rows repeat; else what is below is only asked for.
    lower = [c for c in constraints if c.level > query.level] if start <= query.level else []
    joined = [c for c in constraints if c not in lower]
    # What the driver answers need not be asked again.
    left = [
        c
        for c in joined
        if driver is None or driver.constraint is not c or driver.constraint.case_sensitive
    ]
    levels_beside = [query.level, *(c.level for c in left)]
    conditions: list[str] = []
    tail: list[object] = []
    if query.parent is not None:
        levels_beside.append(query.parent[0])
        conditions.append(f"r{int(query.parent[0])}.public_id = ?")
        tail.append(query.parent[1])
    parameters: list[object] = []
    alias = f"r{int(start)}"
    if driver is None:
        sql = f"FROM resources {alias}"
        conditions.append(f"{alias}.level = ?")
        tail.append(int(start))
    else:
        sql = f"FROM ({driver.sql}) d CROSS JOIN resources"
        if start < query.level and min(levels_beside) > start:
            # Nothing more is asked of the resources to start from than their children.
            start = ResourceType(start + 1)
            sql += f" r{int(start)} ON r{int(start)}.parent_id = d.internal_id"
        else:
            sql += f" {alias} ON {alias}.internal_id = d.internal_id"
        parameters += driver.parameters
    sql += _joins(start, max(levels_beside), min(start, *levels_beside))
    for constraint in left:
        condition, more = tag_filter(constraint)
        conditions.append(condition)
        tail += more
    if lower:
        condition, more = _below(query.level, lower)
        conditions.append(condition)
        tail += more
    labels, more = label_filter(query)
    if driver is None or not driver.answers_labels:
        conditions += labels
        tail += more
    where = " AND ".join(conditions)
    repeats = max(start, *levels_beside) > query.level
    is_short = driver is not None and driver.sql == _NUMBERS
    return _Body(f"{sql} WHERE {where or '1 = 1'}", (*parameters, *tail), repeats, walks, is_short)


def find_statement(
    connection: sqlite3.Connection, query: FindQuery, *, trigrams: bool, walk: bool = True
) -> Statement:
    """Rows ``internal_id, public_id, level, parent_id`` in the order of the query.

    :param walk: whether an index may be followed for ``order``
    """
    if query.parent is not None and query.parent[0] > query.level:
        return _NOTHING
    index = None
    if walk and query.order:
        total = level_count(connection, query.level)
        index = order_walk(connection, query, total, trigrams=trigrams)
    body = _body(connection, query, trigrams, index)
    alias = f"r{int(query.level)}"
    # The level as a number: the indexes by parent then have all that is asked for.
    level = int(query.level)
    columns = f"{alias}.internal_id, {alias}.public_id, {level} AS level, {alias}.parent_id"
    order = f"{alias}.public_id"
    keys = order_columns(query, walks=body.walks)
    if keys:
        columns += "".join(f", {key.sql} AS k{n}" for n, key in enumerate(keys))
        terms = [f"k{n} {'DESC' if key.descending else 'ASC'}" for n, key in enumerate(keys)]
        order = ", ".join([*terms, f"{alias}.internal_id"])
    any_order = None
    if body.is_short and query.limit and not (keys or query.after or query.since):
        distinct = "DISTINCT " if body.repeats else ""
        any_order = Statement(
            f"SELECT {distinct}{alias}.public_id {body.sql} LIMIT ?",
            (*body.parameters, query.limit + 1),
        )
    parameters = [parameter for key in keys for parameter in key.parameters]
    parameters += body.parameters
    sql = f"SELECT {'DISTINCT ' if body.repeats else ''}{columns} {body.sql}"
    if query.after is not None:
        sql += f" AND {alias}.public_id > ?"
        parameters.append(query.after)
    sql += f" ORDER BY {order} LIMIT ? OFFSET ?"
    is_partial = body.walks and index is not None and not index.is_whole
    return Statement(sql, (*parameters, query.limit or -1, query.since), is_partial, any_order)


def count_statement(
    connection: sqlite3.Connection, query: FindQuery, *, trigrams: bool
) -> Statement:
    """One row with the number of matches; ``after``, ``since`` and ``limit`` do not count."""
    if query.parent is not None and query.parent[0] > query.level:
        return Statement("SELECT 0", ())
    unpaged = replace(query, order=(), after=None, since=0, limit=0)
    only = query.constraints[0] if len(query.constraints) == 1 else None
    is_plain = only is not None and not is_universal(only) and not only.case_sensitive
    if only is not None and is_plain and only.level is query.level:
        driver = identifier_driver(only, trigrams)
        if driver is not None and not query.labels and query.parent is None:
            return Statement(f"SELECT count(*) FROM ({driver.sql})", driver.parameters)
    body = _body(connection, unpaged, trigrams)
    what = f"DISTINCT r{int(query.level)}.internal_id" if body.repeats else "*"
    return Statement(f"SELECT count({what}) {body.sql}", body.parameters)
