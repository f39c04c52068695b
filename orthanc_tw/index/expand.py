"""`ReadTransaction.expand`: one statement for any 500 resources, one more a level above.

What a list shows of each resource is gathered by SQLite, as one text: a statement more is a
turn at the interpreter lock more, and so is each row. Columns that hold JSON are put into the
text as they are, since to have SQLite parse them takes longer than all the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    ResourceRecord,
    ResourceRow,
    Tags,
)
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    LEVELS,
    attachment_row,
    chunks,
    decode_metadata,
    fetch,
    to_json,
)
from orthanc_tw.model.levels import ResourceType

_CHILDREN = """
(SELECT json_group_array(public_id) FROM (
  SELECT c.public_id FROM resources c WHERE c.parent_id = r.internal_id
  ORDER BY c.public_id LIMIT -1))
"""
_CHILDREN_COUNT = "(SELECT count(*) FROM resources c WHERE c.parent_id = r.internal_id)"
_ATTACHMENTS = f"""
(SELECT json_group_array(json_array({ATTACHMENT_COLUMNS})) FROM (
  SELECT {ATTACHMENT_COLUMNS} FROM attachments a WHERE a.internal_id = r.internal_id
  ORDER BY content_type LIMIT -1))
"""
_LABELS = """
(SELECT json_group_array(label) FROM (
  SELECT l.label FROM labels l WHERE l.internal_id = r.internal_id ORDER BY l.label LIMIT -1))
"""
_IS_PROTECTED = """
(r.level = 1 AND NOT EXISTS (
  SELECT 1 FROM patient_recycling q WHERE q.internal_id = r.internal_id))
"""
_SOURCE = """
FROM json_each(?) j
CROSS JOIN resources r ON r.internal_id = j.value
CROSS JOIN resource_data d ON d.internal_id = r.internal_id
LEFT JOIN resources p ON p.internal_id = r.parent_id
LEFT JOIN resource_data pd ON pd.internal_id = r.parent_id
"""
_PARENTS = """
SELECT r.internal_id, r.level, r.parent_id
FROM json_each(?) j CROSS JOIN resources r ON r.internal_id = j.value
"""
_TAGS = """
SELECT d.internal_id, d.tags
FROM json_each(?) j CROSS JOIN resource_data d ON d.internal_id = j.value
"""


def _ancestors(
    connection: sqlite3.Connection,
    rows: Mapping[int, ResourceRow],
    wanted: frozenset[ResourceType],
) -> dict[int, dict[ResourceType, Tags]]:
    """Tags of the ancestors of each row. Rows of a list share them: each is read once."""
    parents = {number: row.parent_id for number, row in rows.items()}
    levels = {number: row.level for number, row in rows.items()}
    # Above the topmost level that is wanted nothing has to be known: studies need no look-up.
    top = min(wanted)
    for row in rows.values():
        if row.parent_id is not None and row.level.parent is top:
            levels.setdefault(row.parent_id, top)
            parents.setdefault(row.parent_id, None)
    above = {parent for parent in parents.values() if parent is not None and parent not in parents}
    while above:
        found = fetch(connection, "internal_id, level, parent_id", _PARENTS, (_list(above),))
        for internal_id, level, parent in found:
            levels[internal_id] = LEVELS[level]
            parents[internal_id] = parent
        above = {parent for _, _, parent in found if parent is not None and parent not in parents}
    needed = {n for n, level in levels.items() if level in wanted and n not in rows}
    # A row may be an ancestor of another one, if levels are mixed.
    needed |= {parent for parent in parents.values() if parent is not None} & set(rows)
    tags: dict[int, Tags] = dict(
        fetch(connection, "internal_id, json(tags)", _TAGS, (_list(needed),))
    )
    ancestors: dict[int, dict[ResourceType, Tags]] = {}
    for number in rows:
        own = ancestors.setdefault(number, {})
        parent = parents[number]
        while parent is not None and parent in levels:
            if levels[parent] in wanted and parent in tags:
                own[levels[parent]] = tags[parent]
            parent = parents[parent]
    return ancestors


def _list(numbers: Iterable[int]) -> str:
    return to_json(sorted(numbers))


@lru_cache(maxsize=64)
def _statement(parts: ExpandParts, *, with_parent_tags: bool) -> str:
    """SQL of one text: a JSON list of a list for each resource."""
    columns = (
        "r.internal_id",
        "json_quote(p.public_id)",
        "(r.unstable_since_s IS NULL)",
        "json_quote(r.last_update)",
        _IS_PROTECTED,
        "d.tags",
        "d.metadata" if parts.metadata else "'{}'",
        "ifnull(pd.tags, 'null')" if with_parent_tags else "'null'",
        _CHILDREN if parts.children else _CHILDREN_COUNT,
        _ATTACHMENTS if parts.attachments else "'[]'",
        _LABELS if parts.labels else "'[]'",
    )
    row = " || ',' || ".join(columns)
    return f"SELECT '[' || ifnull(group_concat('[' || {row} || ']', ','), '') || ']' {_SOURCE}"


def _expand_chunk(
    connection: sqlite3.Connection, rows: Mapping[int, ResourceRow], parts: ExpandParts
) -> dict[int, ResourceRecord]:
    ancestors: dict[int, dict[ResourceType, Tags]] = {}
    above = {row.level.parent for row in rows.values()}
    # All that is wanted may be the tags of the parents: those of studies always are.
    from_parents = bool(parts.ancestors) and above == parts.ancestors
    if parts.ancestors and not from_parents:
        ancestors = _ancestors(connection, rows, parts.ancestors)
    statement = _statement(parts, with_parent_tags=from_parents)
    (text,) = connection.execute(statement, (_list(rows),)).fetchone()
    found: list[Any] = msgspec.json.decode(text)
    records: dict[int, ResourceRecord] = {}
    above_level = next(iter(above)) if from_parents else None
    with_children, with_metadata = parts.children, parts.metadata
    nothing: Mapping[ResourceType, Tags] = {}
    for row in found:
        number, parent, stable, updated, protected, tags, metadata = row[:7]
        parent_tags, children, attachments, labels = row[7:]
        resource = rows[number]
        if above_level is not None and parent_tags is not None:
            own: Mapping[ResourceType, Tags] = {above_level: parent_tags}
        else:
            own = ancestors.get(number, nothing)
        # By position: names would take a third of the time of all that is done here.
        records[number] = ResourceRecord(
            number,
            resource.public_id,
            resource.level,
            parent,
            bool(stable),
            bool(protected),
            updated or "",
            tags,
            own,
            children if with_children else (),
            len(children) if with_children else children,
            decode_metadata(metadata, updated) if with_metadata else {},
            _attachments(attachments) if attachments else (),
            labels,
        )
    return records


def _attachments(rows: Sequence[Any]) -> Sequence[Attachment]:
    return [attachment_row(row) for row in rows]


def expand(
    connection: sqlite3.Connection, rows: Sequence[ResourceRow], parts: ExpandParts
) -> list[ResourceRecord]:
    """Records in the order of ``rows``; a row that was deleted since is left out."""
    by_id = {row.internal_id: row for row in rows}
    records: dict[int, ResourceRecord] = {}
    for chunk in chunks(by_id):
        records.update(_expand_chunk(connection, {n: by_id[n] for n in chunk}, parts))
    return [records[row.internal_id] for row in rows if row.internal_id in records]
