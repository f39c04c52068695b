"""`ReadTransaction.expand`: a constant number of statements for any 500 resources.

Lists of identifiers go in as one JSON array, so that each statement is prepared once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    ResourceRecord,
    ResourceRow,
    Tags,
)
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    attachment_row,
    chunks,
    decode_metadata,
    to_json,
)
from orthanc_tw.model.levels import ResourceType

_BASE = """
SELECT r.internal_id, p.public_id, r.unstable_since_s, r.last_update,
       d.tags, d.metadata,
       r.level = 1 AND NOT EXISTS (
         SELECT 1 FROM patient_recycling q WHERE q.internal_id = r.internal_id)
FROM json_each(?) j
CROSS JOIN resources r ON r.internal_id = j.value
CROSS JOIN resource_data d ON d.internal_id = r.internal_id
LEFT JOIN resources p ON p.internal_id = r.parent_id
"""
_CHILDREN = """
SELECT c.parent_id, c.public_id
FROM json_each(?) j CROSS JOIN resources c ON c.parent_id = j.value
ORDER BY j.key, c.public_id
"""
_CHILDREN_COUNT = """
SELECT j.value, (SELECT count(*) FROM resources c WHERE c.parent_id = j.value) FROM json_each(?) j
"""
_ATTACHMENTS = f"""
SELECT {ATTACHMENT_COLUMNS}, internal_id
FROM json_each(?) j CROSS JOIN attachments a ON a.internal_id = j.value
ORDER BY content_type
"""
_LABELS = """
SELECT internal_id, label
FROM json_each(?) j CROSS JOIN labels l ON l.internal_id = j.value
ORDER BY label
"""


def _ancestors_statement(up: int) -> str:
    joins = "".join(
        f" CROSS JOIN resources a{n} ON a{n}.internal_id = a{n - 1}.parent_id"
        for n in range(1, up + 1)
    )
    return (
        "SELECT a0.internal_id, a0.level, d.tags FROM json_each(?) j"
        f" CROSS JOIN resources a0 ON a0.internal_id = j.value{joins}"
        f" CROSS JOIN resource_data d ON d.internal_id = a{up}.internal_id"
    )


_ANCESTORS = {up: _ancestors_statement(up) for up in (1, 2, 3)}


def _ancestors(
    connection: sqlite3.Connection, identifiers: str, wanted: frozenset[ResourceType]
) -> dict[int, dict[ResourceType, Tags]]:
    found: dict[int, dict[ResourceType, Tags]] = {}
    parsed: dict[str, Tags] = {}
    for up, statement in _ANCESTORS.items():
        # Rows of a list share their parents: each parent's JSON is parsed once.
        for internal_id, level, tags in connection.execute(statement, (identifiers,)):
            ancestor = ResourceType(level - up)
            if ancestor in wanted:
                if tags not in parsed:
                    parsed[tags] = json.loads(tags)
                found.setdefault(internal_id, {})[ancestor] = parsed[tags]
    return found


def _expand_chunk(
    connection: sqlite3.Connection, rows: Mapping[int, ResourceRow], parts: ExpandParts
) -> dict[int, ResourceRecord]:
    identifiers = to_json(list(rows))
    children: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    attachments: dict[int, list[Attachment]] = {}
    labels: dict[int, list[str]] = {}
    ancestors: dict[int, dict[ResourceType, Tags]] = {}
    if parts.children:
        for parent, public_id in connection.execute(_CHILDREN, (identifiers,)):
            children.setdefault(parent, []).append(public_id)
    else:
        counts = dict(connection.execute(_CHILDREN_COUNT, (identifiers,)).fetchall())
    if parts.attachments:
        for row in connection.execute(_ATTACHMENTS, (identifiers,)):
            attachments.setdefault(row[8], []).append(attachment_row(row))
    if parts.labels:
        for internal_id, label in connection.execute(_LABELS, (identifiers,)):
            labels.setdefault(internal_id, []).append(label)
    if parts.ancestors:
        ancestors = _ancestors(connection, identifiers, parts.ancestors)
    records: dict[int, ResourceRecord] = {}
    for (
        internal_id,
        parent,
        unstable,
        last_update,
        tags,
        metadata,
        is_protected,
    ) in connection.execute(_BASE, (identifiers,)):
        row = rows[internal_id]
        own = children.get(internal_id, ())
        records[internal_id] = ResourceRecord(
            internal_id=internal_id,
            public_id=row.public_id,
            level=row.level,
            parent_public_id=parent,
            is_stable=unstable is None,
            is_protected=bool(is_protected),
            last_update=last_update or "",
            tags=json.loads(tags),
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
