"""The constraints of a query as SQL: where an index leads to what matches, and how the rest is
looked at.

A tag that is absent matches no mandatory constraint, not even ``*``; one that is empty is
an empty string.
"""

from __future__ import annotations

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

_IDENTIFIERS = "SELECT internal_id, value FROM identifiers WHERE tag ="
# FTS5 has the candidates; that they match is seen in the identifiers, which are at hand.
_BY_TRIGRAMS = f"""
SELECT i.internal_id FROM (
  SELECT rowid / {TRIGRAM_STRIDE} AS number FROM trigrams
  WHERE trigrams MATCH ? AND rowid % {TRIGRAM_STRIDE} = ?
) m CROSS JOIN identifiers i ON i.internal_id = m.number
WHERE i.tag = ? AND i.value GLOB ?
"""
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Driver:
    """SQL that gives ``internal_id`` of resources of ``level``, by an index also ``value``.

    :ivar constraint: what it answers; of a case-sensitive one it finds too much
    :ivar answers_labels: whether it answers all that the query asks of labels
    """

    level: ResourceType
    sql: str
    parameters: tuple[object, ...]
    constraint: TagConstraint | None = None
    answers_labels: bool = False


def in_value_order(driver: Driver) -> bool:
    """Whether what the driver reads is ordered by ``value``."""
    return driver.sql.startswith(_IDENTIFIERS)


def is_universal(constraint: TagConstraint) -> bool:
    """Whether it asks for nothing, not even that the tag is there."""
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


def _phrases(wildcard: str) -> str:
    """What FTS5 is to look for: each run of at least three characters; '' if there is none."""
    if "\0" in wildcard:
        return ""
    runs = (run for run in wildcard.replace("?", "*").split("*") if len(run) >= 3)
    return " AND ".join('"' + run.replace('"', '""') + '"' for run in runs)


def identifier_driver(constraint: TagConstraint, trigrams: bool) -> Driver | None:
    """How an index answers this constraint; for a case-sensitive one a superset of it."""
    if (
        not constraint.mandatory
        or constraint.tag not in IDENTIFIER_TAGS[constraint.level]
        or constraint.wildcard == "*"
    ):
        return None
    sql = f"{_IDENTIFIERS} ?"
    parameters: list[object] = [tag_number(constraint.tag)]
    if constraint.wildcard is not None:
        wildcard = normalize(constraint.wildcard)
        pattern = glob_pattern(wildcard)
        prefix = literal_prefix(wildcard)
        slot = TRIGRAM_SLOTS.get(constraint.tag)
        phrases = _phrases(wildcard)
        if not prefix and trigrams and slot is not None and phrases:
            return Driver(
                constraint.level, _BY_TRIGRAMS, (phrases, slot, *parameters, pattern), constraint
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
    return Driver(constraint.level, sql, tuple(parameters), constraint)


def tag_filter(constraint: TagConstraint) -> tuple[str, list[object]]:
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


def label_filter(query: FindQuery) -> tuple[list[str], list[object]]:
    """Conditions on the labels of alias ``r<level>``.

    :raises ValueError: for an unknown ``labels_constraint``
    """
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


def label_driver(query: FindQuery) -> Driver | None:
    """How an index answers the labels: for several that are all to be there, the first of them."""
    if not query.labels or query.labels_constraint == "None":
        return None
    is_any = query.labels_constraint == "Any"
    labels = query.labels if is_any else query.labels[:1]
    return Driver(
        query.level,
        "SELECT DISTINCT internal_id FROM labels WHERE label IN (SELECT value FROM json_each(?))",
        (to_json(list(labels)),),
        answers_labels=is_any or len(query.labels) == 1,
    )
