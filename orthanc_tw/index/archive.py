"""All that an archive of one resource is made of, as one statement.

A text for all folders and one for the instances of each series: as few turns at the
interpreter lock as there can be, and never more in memory than a series.
"""

from __future__ import annotations

import json
import sqlite3

from orthanc_tw.index.archive_tree import ArchiveFolder, ArchiveInstance, ArchiveTree
from orthanc_tw.index.rows import COMPRESSIONS, LEVELS
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType

_SIZE = (
    "SELECT count_instances, dicom_uncompressed_size_bytes FROM resources"
    " WHERE level = ? AND public_id = ?"
)
_SEED = "SELECT internal_id, level, parent_id, public_id FROM resources WHERE "
_BY_LEVEL = f"{_SEED} level = ? AND public_id = ?"
_BY_ANY_LEVEL = (
    f"SELECT * FROM ({_SEED} level IN (1, 2, 3, 4) AND public_id = ? ORDER BY level DESC LIMIT 1)"
)
# A metadata item is its value, or a list of that and its revision.
_SYNTAX = f'$."{int(MetadataType.TRANSFER_SYNTAX)}"'
_TREE = f"""
WITH RECURSIVE seed AS ({{seed}}),
above AS (
  SELECT r.internal_id, r.level, r.parent_id, r.public_id
  FROM seed CROSS JOIN resources r ON r.internal_id = seed.parent_id
  UNION ALL
  SELECT r.internal_id, r.level, r.parent_id, r.public_id
  FROM above CROSS JOIN resources r ON r.internal_id = above.parent_id
),
below AS (
  SELECT internal_id, level, parent_id, public_id FROM seed
  UNION ALL
  SELECT r.internal_id, r.level, r.parent_id, r.public_id
  FROM below CROSS JOIN resources r ON r.parent_id = below.internal_id
)
SELECT CASE WHEN level = 4 THEN parent_id END AS series, json_group_array(
  CASE WHEN level = 4 THEN json_array(
    t.internal_id, public_id, json_extract(tags, '$."0020,0013"'),
    uuid, compression, size_bytes,
    coalesce(json_extract(metadata, '{_SYNTAX}[0]'), json_extract(metadata, '{_SYNTAX}'), '')
  ) ELSE json_array(t.internal_id, level, parent_id, public_id, json(tags)) END
)
FROM (SELECT * FROM above UNION ALL SELECT * FROM below) t
CROSS JOIN resource_data d ON d.internal_id = t.internal_id
LEFT JOIN attachments a
  ON level = 4 AND a.internal_id = t.internal_id AND content_type = {int(ContentType.DICOM)}
WHERE level < 4 OR uuid IS NOT NULL
GROUP BY series ORDER BY series
"""
_ONE_LEVEL = _TREE.format(seed=_BY_LEVEL)
_ANY_LEVEL = _TREE.format(seed=_BY_ANY_LEVEL)


def archive_size(
    connection: sqlite3.Connection, public_id: str, level: ResourceType
) -> tuple[int, int] | None:
    """See `ReadTransaction.archive_size`."""
    row = connection.execute(_SIZE, (int(level), public_id)).fetchone()
    return None if row is None else (row[0], row[1])


def archive_tree(
    connection: sqlite3.Connection, public_id: str, level: ResourceType | None
) -> ArchiveTree | None:
    """See `ReadTransaction.archive_tree`."""
    if level is None:
        rows = connection.execute(_ANY_LEVEL, (public_id,))
    else:
        rows = connection.execute(_ONE_LEVEL, (int(level), public_id))
    folders: list[ArchiveFolder] = []
    instances: list[ArchiveInstance] = []
    for series, text in rows:
        if series is None:
            folders = [
                ArchiveFolder(item[0], LEVELS[item[1]], *item[2:]) for item in json.loads(text)
            ]
        else:
            instances += [
                ArchiveInstance(
                    series, internal_id, public_id, number, uuid, COMPRESSIONS[c], size, syntax
                )
                for internal_id, public_id, number, uuid, c, size, syntax in json.loads(text)
            ]
    if not folders:
        return None
    folders.sort(key=lambda folder: folder.level)
    return ArchiveTree(folders, instances)
