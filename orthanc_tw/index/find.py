"""The SQL of `find` and `count`: which index to start from, and how to join from there.

One constraint, the parent or a label drives the query: the one with the fewest matches,
found by counting each up to a bound. From its level the joins go up and down to all other
levels that the query names (CROSS JOIN fixes SQLite's order), the other constraints filter.
When all are broad and a limit is set, the level is read in the order of the answer instead,
until the limit is reached.

A tag that is absent matches no mandatory constraint, not even ``*``; one that is empty is
an empty string.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.index.gateway import FindQuery, TagConstraint
from orthanc_tw.index.normalize import (
    IDENTIFIER_TAGS,
    TRIGRAM_SLOTS,
    TRIGRAM_STRIDE,
    normalize,
    tag_number,
)
from orthanc_tw.index.rows import to_json
from orthanc_tw.model.levels import ResourceType

#: Matches counted of each candidate before it is called broad.
BOUND = 2000
#: Guess of the children of a resource of each level, to compare candidates across levels.
_FAN_OUT = {ResourceType.PATIENT: 2, ResourceType.STUDY: 4, ResourceType.SERIES: 50}
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its parameters."""

    sql: str
    parameters: tuple[object, ...]


_NOTHING = Statement(
    "SELECT internal_id, public_id, level, parent_id FROM resources WHERE internal_id IS NULL", ()
)


@dataclass(frozen=True, slots=True)
class _Driver:
    """SQL that gives ``internal_id`` of resources of ``level``."""

    level: ResourceType
    sql: str
    parameters: tuple[object, ...]
    constraint: TagConstraint | None = None


def _is_universal(constraint: TagConstraint) -> bool:
    return (
        not constraint.values
        and constraint.wildcard is None
        and constraint.lower is None
        and constraint.upper is None
    )


def glob_pattern(wildcard: str) -> str:
    """DICOM wildcards as a GLOB pattern: ``[`` is the one other special character there."""
    return wildcard.replace("[", "[[]")


def literal_prefix(wildcard: str) -> str:
    """What stands before the first ``*`` or ``?``."""
    for position, character in enumerate(wildcard):
        if character in "*?":
            return wildcard[:position]
    return wildcard


def _has_trigram(wildcard: str) -> bool:
    return any(len(run) >= 3 for run in wildcard.replace("?", "*").split("*"))


def _identifier_driver(constraint: TagConstraint, trigrams: bool) -> _Driver | None:
    """How an index answers this constraint; for a case-sensitive one a superset of it."""
    if (
        not constraint.mandatory
        or constraint.tag not in IDENTIFIER_TAGS[constraint.level]
        or constraint.wildcard == "*"
    ):
        return None
    sql = "SELECT internal_id FROM identifiers WHERE tag = ?"
    parameters: list[object] = [tag_number(constraint.tag)]
    if constraint.wildcard is not None:
        wildcard = normalize(constraint.wildcard)
        pattern = glob_pattern(wildcard)
        prefix = literal_prefix(wildcard)
        slot = TRIGRAM_SLOTS.get(constraint.tag)
        if not prefix and trigrams and slot is not None and _has_trigram(wildcard):
            return _Driver(
                constraint.level,
                f"SELECT rowid / {TRIGRAM_STRIDE} AS internal_id FROM trigrams"
                f" WHERE value GLOB ? AND rowid % {TRIGRAM_STRIDE} = ?",
                (pattern, slot),
                constraint,
            )
        if prefix:
            sql += " AND value >= ? AND value < ?"
            parameters += [prefix, prefix + _LAST_CHARACTER]
        sql += " AND value GLOB ?"
        parameters.append(pattern)
    elif constraint.values:
        sql += " AND value IN (SELECT value FROM json_each(?))"
        parameters.append(to_json(sorted({normalize(value) for value in constraint.values})))
    else:
        if constraint.lower is not None:
            sql += " AND value >= ?"
            parameters.append(normalize(constraint.lower))
        if constraint.upper is not None:
            sql += " AND value <= ?"
            parameters.append(normalize(constraint.upper))
    return _Driver(constraint.level, sql, tuple(parameters), constraint)


def _filter(constraint: TagConstraint) -> tuple[str, list[object]]:
    """A condition on alias ``r<level>``."""
    alias = f"r{int(constraint.level)}"
    operand: list[object]
    if not constraint.case_sensitive and constraint.tag in IDENTIFIER_TAGS[constraint.level]:
        expression = (
            f"(SELECT i.value FROM identifiers i WHERE i.internal_id = {alias}.internal_id"
            " AND i.tag = ?)"
        )
        operand = [tag_number(constraint.tag)]
    else:
        value = "json_extract(t.tags, ?)"
        if not constraint.case_sensitive:
            value = f"tw_normalize({value})"
        expression = (
            f"(SELECT {value} FROM resource_data t WHERE t.internal_id = {alias}.internal_id)"
        )
        operand = [f'$."{constraint.tag}"']
    conditions: list[str] = []
    parameters: list[object] = []

    def condition(comparison: str, value: object) -> None:
        conditions.append(f"{expression} {comparison}")
        parameters.extend([*operand, value])

    if constraint.wildcard is not None:
        condition("GLOB ?", glob_pattern(constraint.wildcard))
    elif constraint.values:
        condition("IN (SELECT value FROM json_each(?))", to_json(list(constraint.values)))
    else:
        if constraint.lower is not None:
            condition(">= ?", constraint.lower)
        if constraint.upper is not None:
            condition("<= ?", constraint.upper)
    sql = " AND ".join(conditions)
    if not constraint.mandatory:
        sql = f"({expression} IS NULL OR ({sql}))"
        parameters = [*operand, *parameters]
    return sql, parameters


def _label_filter(query: FindQuery) -> tuple[list[str], list[object]]:
    alias = f"r{int(query.level)}"
    one = f"EXISTS (SELECT 1 FROM labels l WHERE l.internal_id = {alias}.internal_id AND l.label"
    if not query.labels:
        return [], []
    if query.labels_constraint == "All":
        return [f"{one} = ?)" for _ in query.labels], list(query.labels)
    anything = f"{one} IN (SELECT value FROM json_each(?)))"
    if query.labels_constraint == "None":
        anything = f"NOT {anything}"
    elif query.labels_constraint != "Any":
        raise ValueError(f"Unknown constraint on labels: {query.labels_constraint}")
    return [anything], [to_json(list(query.labels))]


def _label_driver(query: FindQuery) -> _Driver | None:
    if not query.labels or query.labels_constraint == "None":
        return None
    labels = query.labels[:1] if query.labels_constraint == "All" else query.labels
    return _Driver(
        query.level,
        "SELECT DISTINCT internal_id FROM labels WHERE label IN (SELECT value FROM json_each(?))",
        (to_json(list(labels)),),
    )


def _cost(connection: sqlite3.Connection, driver: _Driver, level: ResourceType) -> int:
    (count,) = connection.execute(
        f"SELECT count(*) FROM ({driver.sql} LIMIT {BOUND})", driver.parameters
    ).fetchone()
    cost = int(count)
    for above in range(driver.level, level):
        cost *= _FAN_OUT[ResourceType(above)]
    return cost


def _choose(
    connection: sqlite3.Connection, query: FindQuery, drivers: Sequence[_Driver]
) -> _Driver | None:
    """The driver with the fewest matches, or None to read the level in its order."""
    if not drivers:
        return None
    if len(drivers) == 1 and not query.limit:
        return drivers[0]
    costs = [(_cost(connection, driver, query.level), n) for n, driver in enumerate(drivers)]
    cost, number = min(costs)
    # A broad query with a limit fills its page early when read in order.
    return None if query.limit and cost >= BOUND else drivers[number]


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


def _body(
    connection: sqlite3.Connection, query: FindQuery, trigrams: bool
) -> tuple[str, list[object], bool]:
    """``FROM ... WHERE ...``, its parameters, and whether rows of the answer repeat."""
    constraints = [c for c in query.constraints if not _is_universal(c)]
    candidates = [_identifier_driver(c, trigrams) for c in constraints]
    candidates.append(_label_driver(query))
    if query.parent is not None:
        candidates.append(
            _Driver(
                query.parent[0],
                "SELECT internal_id FROM resources WHERE level = ? AND public_id = ?",
                (int(query.parent[0]), query.parent[1]),
            )
        )
    driver = _choose(connection, query, [c for c in candidates if c is not None])
    levels = [query.level, *(c.level for c in constraints)]
    conditions: list[str] = []
    tail: list[object] = []
    if query.parent is not None:
        levels.append(query.parent[0])
        conditions.append(f"r{int(query.parent[0])}.public_id = ?")
        tail.append(query.parent[1])
    parameters: list[object] = []
    start = query.level if driver is None else driver.level
    if driver is None:
        sql = f"FROM resources r{int(start)}"
        conditions.append(f"r{int(start)}.level = ?")
        tail.append(int(start))
    else:
        alias = f"r{int(start)}"
        sql = (
            f"FROM ({driver.sql}) d"
            f" CROSS JOIN resources {alias} ON {alias}.internal_id = d.internal_id"
        )
        parameters += driver.parameters
    sql += _joins(start, max(levels), min(levels))
    for constraint in constraints:
        if driver is not None and driver.constraint is constraint and not constraint.case_sensitive:
            continue
        condition, more = _filter(constraint)
        conditions.append(condition)
        tail += more
    labels, more = _label_filter(query)
    conditions += labels
    tail += more
    where = " AND ".join(conditions)
    return f"{sql} WHERE {where or '1 = 1'}", parameters + tail, max(levels) > query.level


def find_statement(
    connection: sqlite3.Connection, query: FindQuery, *, trigrams: bool
) -> Statement:
    """Rows ``internal_id, public_id, level, parent_id`` ordered by public identifier."""
    if query.parent is not None and query.parent[0] > query.level:
        return _NOTHING
    body, parameters, repeats = _body(connection, query, trigrams)
    alias = f"r{int(query.level)}"
    sql = (
        f"SELECT {'DISTINCT ' if repeats else ''}{alias}.internal_id, {alias}.public_id,"
        f" {alias}.level, {alias}.parent_id {body}"
    )
    if query.after is not None:
        sql += f" AND {alias}.public_id > ?"
        parameters.append(query.after)
    sql += f" ORDER BY {alias}.public_id LIMIT ? OFFSET ?"
    parameters += [query.limit or -1, query.since]
    return Statement(sql, tuple(parameters))


def count_statement(
    connection: sqlite3.Connection, query: FindQuery, *, trigrams: bool
) -> Statement:
    """One row with the number of matches; ``after``, ``since`` and ``limit`` do not count."""
    if query.parent is not None and query.parent[0] > query.level:
        return Statement("SELECT 0", ())
    unpaged = FindQuery(
        level=query.level,
        constraints=query.constraints,
        labels=query.labels,
        labels_constraint=query.labels_constraint,
        parent=query.parent,
    )
    body, parameters, repeats = _body(connection, unpaged, trigrams)
    what = f"DISTINCT r{int(query.level)}.internal_id" if repeats else "*"
    return Statement(f"SELECT count({what}) {body}", tuple(parameters))
