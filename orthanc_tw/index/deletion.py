"""Deleting a resource: down by cascade, up as far as parents are left without children.

Changes that name deleted resources go with them, and none is added: Orthanc tells of a
deletion to its plugins, not in ``/changes``.
"""

from __future__ import annotations

import sqlite3

from orthanc_tw.index.gateway import DeleteOutcome, ResourceRow
from orthanc_tw.index.rows import fetch, resource_row
from orthanc_tw.index.trigrams import PendingTrigrams
from orthanc_tw.model.levels import ResourceType

_PARENT = """
SELECT p.internal_id, p.public_id, p.level, p.parent_id,
       (SELECT count(*) FROM (SELECT 1 FROM resources c WHERE c.parent_id = p.internal_id LIMIT 2))
FROM resources p WHERE p.internal_id = ?
"""
_TREE = """
WITH RECURSIVE tree(internal_id, level) AS (
  SELECT internal_id, level FROM resources WHERE internal_id = ?
  UNION ALL
  SELECT r.internal_id, r.level FROM tree t CROSS JOIN resources r ON r.parent_id = t.internal_id
)
"""
_UUIDS = f"{_TREE} SELECT a.uuid FROM tree t CROSS JOIN attachments a USING (internal_id)"
_WIDE = f"{_TREE} SELECT internal_id, level FROM tree WHERE level < 4"
_TOTALS = """
SELECT count_instances, disk_size_bytes, uncompressed_size_bytes,
       dicom_disk_size_bytes, dicom_uncompressed_size_bytes
FROM resources WHERE internal_id = ?
"""
_INSTANCE_TOTALS = """
SELECT 1, coalesce(sum(stored_size_bytes), 0), coalesce(sum(size_bytes), 0),
       coalesce(sum(CASE content_type WHEN 1 THEN stored_size_bytes END), 0),
       coalesce(sum(CASE content_type WHEN 1 THEN size_bytes END), 0)
FROM attachments WHERE internal_id = ?
"""
#: Adds count_instances and the four sizes to a resource.
ADD_TO_RESOURCE = """
UPDATE resources SET
  count_instances = count_instances + ?,
  disk_size_bytes = disk_size_bytes + ?,
  uncompressed_size_bytes = uncompressed_size_bytes + ?,
  dicom_disk_size_bytes = dicom_disk_size_bytes + ?,
  dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + ?
WHERE internal_id = ? AND level < 4 RETURNING parent_id
"""
_ADD_TO_COUNTERS = """
UPDATE counters SET
  count_patients = count_patients - ?, count_studies = count_studies - ?,
  count_series = count_series - ?, count_instances = count_instances - ?,
  disk_size_bytes = disk_size_bytes - ?,
  uncompressed_size_bytes = uncompressed_size_bytes - ?,
  dicom_disk_size_bytes = dicom_disk_size_bytes - ?,
  dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes - ?
"""


def add_to_ancestors(
    connection: sqlite3.Connection, internal_id: int | None, amounts: tuple[int, ...]
) -> None:
    """Add (instances, four sizes) to a resource above the instances and to all above it."""
    while internal_id is not None:
        rows = connection.execute(ADD_TO_RESOURCE, (*amounts, internal_id)).fetchall()
        internal_id = rows[0][0] if rows else None


def delete_resource(
    connection: sqlite3.Connection, trigrams: PendingTrigrams, row: ResourceRow
) -> DeleteOutcome:
    """Delete ``row`` and what hangs on it; nothing happens if it is gone already."""
    top, remaining = row, None
    while top.parent_id is not None:
        found = connection.execute(_PARENT, (top.parent_id,)).fetchone()
        if found is None:
            break
        if found[4] > 1:
            remaining = resource_row(found[:4])
            break
        top = resource_row(found[:4])
    number = (top.internal_id,)
    is_instance = top.level is ResourceType.INSTANCE
    totals = connection.execute(_INSTANCE_TOTALS if is_instance else _TOTALS, number).fetchone()
    if totals is None:
        return DeleteOutcome((), None)
    removed = [uuid for (uuid,) in fetch(connection, "uuid", _UUIDS, number)]
    wide = fetch(connection, "internal_id, level", _WIDE, number)
    trigrams.remove(internal_id for internal_id, _ in wide)
    counts = [0, 0, 0, int(totals[0])]
    for _, level in wide:
        counts[level - 1] += 1
    if connection.execute("DELETE FROM resources WHERE internal_id = ?", number).rowcount == 0:
        return DeleteOutcome((), None)
    add_to_ancestors(connection, top.parent_id, tuple(-int(amount) for amount in totals))
    connection.execute(_ADD_TO_COUNTERS, (*counts, *totals[1:]))
    return DeleteOutcome(removed, remaining)
