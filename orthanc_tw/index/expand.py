"""`ReadTransaction.expand`: a constant number of statements for any 500 resources.

Lists of identifiers go in as one JSON array, so that each statement is prepared once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

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

_BASE = """
SELECT r.internal_id, p.public_id AS parent, r.unstable_since_s, r.last_update,
       d.tags, d.metadata,
       r.level = 1 AND NOT EXISTS (
         SELECT 1 FROM patient_recycling q WHERE q.internal_id = r.internal_id) AS is_protected
FROM json_each(?) j
CROSS JOIN resources r ON r.internal_id = j.value
CROSS JOIN resource_data d ON d.internal_id = r.internal_id
LEFT JOIN resources p ON p.internal_id = r.parent_id
"""
_BASE_COLUMNS = (
    "internal_id, parent, unstable_since_s, last_update, json(tags), json(metadata), is_protected"
)
_CHILDREN = """
SELECT c.parent_id, c.public_id
FROM json_each(?) j CROSS JOIN resources c ON c.parent_id = j.value
ORDER BY j.key, c.public_id LIMIT -1
"""
_CHILDREN_COUNT = """
SELECT j.value, (SELECT count(*) FROM resources c WHERE c.parent_id = j.value) AS amount
FROM json_each(?) j
"""
_ATTACHMENTS = f"""
SELECT {ATTACHMENT_COLUMNS}, internal_id
FROM json_each(?) j CROSS JOIN attachments a ON a.internal_id = j.value
ORDER BY content_type LIMIT -1
"""
_LABELS = """
SELECT internal_id, label
FROM json_each(?) j CROSS JOIN labels l ON l.internal_id = j.value
ORDER BY label LIMIT -1
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


def _expand_chunk(
    connection: sqlite3.Connection, rows: Mapping[int, ResourceRow], parts: ExpandParts
) -> dict[int, ResourceRecord]:
    arguments = (_list(rows),)
    children: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    attachments: dict[int, list[Attachment]] = {}
    labels: dict[int, list[str]] = {}
    ancestors: dict[int, dict[ResourceType, Tags]] = {}
    if parts.children:
        for parent, public_id in fetch(connection, "parent_id, public_id", _CHILDREN, arguments):
            children.setdefault(parent, []).append(public_id)
    else:
        counts = dict(fetch(connection, "value, amount", _CHILDREN_COUNT, arguments))
    if parts.attachments:
        columns = f"{ATTACHMENT_COLUMNS}, internal_id"
        for row in fetch(connection, columns, _ATTACHMENTS, arguments):
            attachments.setdefault(row[8], []).append(attachment_row(row))
    if parts.labels:
        for internal_id, label in fetch(connection, "internal_id, label", _LABELS, arguments):
            labels.setdefault(internal_id, []).append(label)
    if parts.ancestors:
        ancestors = _ancestors(connection, rows, parts.ancestors)
    records: dict[int, ResourceRecord] = {}
    for (
        internal_id,
        parent,
        unstable,
        last_update,
        tags,
        metadata,
        is_protected,
    ) in fetch(connection, _BASE_COLUMNS, _BASE, arguments):
        resource = rows[internal_id]
        own = children.get(internal_id, ())
        records[internal_id] = ResourceRecord(
            internal_id=internal_id,
            public_id=resource.public_id,
            level=resource.level,
            parent_public_id=parent,
            is_stable=unstable is None,
            is_protected=bool(is_protected),
            last_update=last_update or "",
            tags=tags,
            ancestors_tags=ancestors.get(internal_id, {}),
            children=own,
            children_count=len(own) if parts.children else counts.get(internal_id, 0),
            metadata=decode_metadata(metadata, last_update) if parts.metadata else {},
            attachments=attachments.get(internal_id, ()),
            labels=labels.get(internal_id, ()),
        )
    return records


def expand(
    connection: sqlite3.Connection, rows: Sequence[ResourceRow], parts: ExpandParts
) -> list[ResourceRecord]:
    """Records in the order of ``rows``; a row that was deleted since is left out."""
    by_id = {row.internal_id: row for row in rows}
    records: dict[int, ResourceRecord] = {}
    for chunk in chunks(by_id):
        records.update(_expand_chunk(connection, {n: by_id[n] for n in chunk}, parts))
    return [records[row.internal_id] for row in rows if row.internal_id in records]
