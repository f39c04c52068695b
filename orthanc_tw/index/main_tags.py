"""`WriteTransaction.replace_main_tags`: what a resource is said to be, written anew.

Labels, attachments, changes, stability and the metadata that are not named stay as they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from orthanc_tw.index.gateway import MetadataValue, Tags
from orthanc_tw.index.rows import decode_metadata, encode_metadata, to_json
from orthanc_tw.index.store import insert_identifiers
from orthanc_tw.index.trigrams import PendingTrigrams
from orthanc_tw.model.levels import ResourceType

_LOAD = """
SELECT r.level, d.tags, d.metadata
FROM resource_data d CROSS JOIN resources r ON r.internal_id = d.internal_id
WHERE d.internal_id = ?
"""
_SAVE = "UPDATE resource_data SET tags = ?, metadata = ? WHERE internal_id = ?"
_FORGET_IDENTIFIERS = "DELETE FROM identifiers WHERE internal_id = ?"


def replace_main_tags(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    internal_id: int,
    tags: Tags,
    metadata: Mapping[int, str | None],
) -> bool:
    """Say whether anything changed; what is as it was is not written again."""
    row = connection.execute(_LOAD, (internal_id,)).fetchone()
    if row is None:
        return False
    level = ResourceType(row[0])
    old_metadata = decode_metadata(json.loads(row[2]), None)
    new_metadata = _merged(old_metadata, metadata)
    same_tags = json.loads(row[1]) == dict(tags)
    if same_tags and new_metadata == old_metadata:
        return False
    connection.execute(_SAVE, (to_json(dict(tags)), encode_metadata(new_metadata), internal_id))
    if not same_tags:
        connection.execute(_FORGET_IDENTIFIERS, (internal_id,))
        if level is not ResourceType.INSTANCE:
            trigrams.remove((internal_id,))
        insert_identifiers(connection, trigrams, internal_id, level, tags)
    return True


def _merged(
    old: Mapping[int, MetadataValue], changes: Mapping[int, str | None]
) -> dict[int, MetadataValue]:
    merged = dict(old)
    for number, value in changes.items():
        if value is None:
            merged.pop(int(number), None)
        elif int(number) not in old or old[number].value != value:
            revision = old[number].revision if number in old else 0
            merged[int(number)] = MetadataValue(value, revision)
    return merged
