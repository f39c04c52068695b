"""`ReadTransaction.expand`: one statement for any 500 resources, one more a level above.

What a list shows of each resource is gathered by SQLite, as one text: a statement more is a
turn at the interpreter lock more, and so is each row. Columns that hold JSON are put into the
text as they are, since to have SQLite parse them takes longer than all the rest. The text is
decoded into records at once, which takes half of what building them here would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from orthanc_tw.index.gateway import (
    ExpandParts,
    ResourceRecord,
    ResourceRow,
    Tags,
)
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    LEVELS,
    SHOWN_ATTACHMENT_COLUMNS,
    chunks,
    fetch,
    to_json,
)
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType

_DECODER = msgspec.json.Decoder(list[ResourceRecord])
_METADATA = ResourceRecord.__struct_fields__.index("metadata")
_LAST_UPDATE = int(MetadataType.LAST_UPDATE)

_CHILDREN = """
(SELECT json_group_array(public_id) FROM (
  SELECT c.public_id FROM resources c WHERE c.parent_id = r.internal_id
  ORDER BY c.public_id LIMIT -1))
"""
_ATTACHMENTS = f"""
(SELECT json_group_array(json_array({SHOWN_ATTACHMENT_COLUMNS})) FROM (
  SELECT {ATTACHMENT_COLUMNS} FROM attachments a WHERE a.internal_id = r.internal_id
  ORDER BY content_type LIMIT -1))
"""
_PARENT_TAGS = """
iif(pd.tags IS NULL, '{}', '{"' || (r.level - 1) || '":' || pd.tags || '}')
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
    # As the fields of a record.
    columns = (
        "r.internal_id",
        "json_quote(r.public_id)",
        "r.level",
        "json_quote(p.public_id)",
        "iif(r.unstable_since_s IS NULL, 'true', 'false')",
        f"iif({_IS_PROTECTED}, 'true', 'false')",
        "json_quote(ifnull(r.last_update, ''))",
        "d.tags",
        _PARENT_TAGS if with_parent_tags else "'{}'",
        _CHILDREN if parts.children else "'[]'",
        "d.metadata" if parts.metadata else "'{}'",
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
    records = {record.internal_id: record for record in _decoded(text)}
    if parts.metadata:
        for record in records.values():
            if record.last_update:
                # That of parents is a column of its own. Nobody else has the dictionary yet.
                cast("dict[int, str]", record.metadata)[_LAST_UPDATE] = record.last_update
    for number, tags in ancestors.items():
        if tags and number in records:
            records[number] = replace(records[number], ancestors_tags=tags)
    return records


def _decoded(text: str) -> list[ResourceRecord]:
    try:
        return _DECODER.decode(text)
    except msgspec.ValidationError:
        # Nearly never: a value of metadata that has a revision is a list.
        rows: list[list[Any]] = msgspec.json.decode(text)
    for row in rows:
        row[_METADATA] = {
            number: item if isinstance(item, str) else item[0]
            for number, item in row[_METADATA].items()
        }
    return _DECODER.decode(msgspec.json.encode(rows))


def expand(
    connection: sqlite3.Connection, rows: Sequence[ResourceRow], parts: ExpandParts
) -> list[ResourceRecord]:
    """Records in the order of ``rows``; a row that was deleted since is left out."""
    by_id = {row.internal_id: row for row in rows}
    records: dict[int, ResourceRecord] = {}
    for chunk in chunks(by_id):
        records.update(_expand_chunk(connection, {n: by_id[n] for n in chunk}, parts))
    return [records[row.internal_id] for row in rows if row.internal_id in records]
