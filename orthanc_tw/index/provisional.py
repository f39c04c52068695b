"""Instances that are here for a transfer that has not ended yet, and go again if it fails.

Others may have been told meanwhile that the instance is stored: then it stays. So what a transfer
has stored is noted in the very transaction that stores it, and so is what others store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from orthanc_tw.index.deletion import delete_resource
from orthanc_tw.index.rows import fetch, resource_row, to_json
from orthanc_tw.index.taken_back import TakenBack
from orthanc_tw.index.trigrams import PendingTrigrams

#: Whether an instance is there for more than other transfers that have not ended.
IS_KEPT = """
SELECT 1 FROM resources r WHERE r.level = 4 AND r.public_id = ? AND (
  NOT EXISTS (SELECT 1 FROM provisional_instances p WHERE p.internal_id = r.internal_id)
  OR EXISTS (
    SELECT 1 FROM provisional_instances p WHERE p.internal_id = r.internal_id AND p.transfer = ?
  )
)
"""
#: Reads all rows, once at the start: there are few, but for those of a server that was killed.
TRANSFERS = "SELECT DISTINCT transfer FROM provisional_instances ORDER BY transfer"
_HOLDERS = "SELECT transfer FROM provisional_instances WHERE internal_id = ? LIMIT 1000"
_HOLD = """
INSERT INTO provisional_instances (internal_id, transfer)
SELECT ?, value FROM json_each(?) WHERE 1 = 1 ON CONFLICT DO NOTHING
"""
_KEEP_INSTANCE = "DELETE FROM provisional_instances WHERE internal_id = ?"
_KEEP_TRANSFER = """
DELETE FROM provisional_instances WHERE internal_id IN (
  SELECT mine.internal_id FROM provisional_instances mine WHERE mine.transfer = ?
)
"""
_HELD = """
SELECT r.internal_id, r.public_id, r.level, r.parent_id, EXISTS (
  SELECT 1 FROM provisional_instances other
  WHERE other.internal_id = mine.internal_id AND other.transfer <> mine.transfer
) AS is_shared
FROM provisional_instances mine CROSS JOIN resources r ON r.internal_id = mine.internal_id
WHERE mine.transfer = ? ORDER BY mine.internal_id LIMIT ?
"""
_LET_GO = """
DELETE FROM provisional_instances
WHERE transfer = ? AND internal_id IN (SELECT value FROM json_each(?))
"""


def holders(connection: sqlite3.Connection, internal_id: int) -> list[str]:
    """The transfers that an instance is here for; none if it stays whatever happens."""
    return [row[0] for row in fetch(connection, "transfer", _HOLDERS, (internal_id,))]


def hold(connection: sqlite3.Connection, internal_id: int, transfers: Iterable[str]) -> None:
    """An instance is here for these transfers."""
    connection.execute(_HOLD, (internal_id, to_json(list(transfers))))


def claim(connection: sqlite3.Connection, internal_id: int, transfer: str) -> None:
    """An instance that is there is stored once more, by a transfer or ('') by anybody else."""
    if not transfer:
        connection.execute(_KEEP_INSTANCE, (internal_id,))
    elif holders(connection, internal_id):
        hold(connection, internal_id, [transfer])


def keep(connection: sqlite3.Connection, transfer: str) -> None:
    """The transfer has succeeded: its instances stay, even if others fail that have them too."""
    connection.execute(_KEEP_TRANSFER, (transfer,))


def take_back(
    connection: sqlite3.Connection, trigrams: PendingTrigrams, transfer: str, limit: int
) -> TakenBack:
    """Delete instances that are here for this transfer alone, let go of those of others."""
    columns = "internal_id, public_id, level, parent_id, is_shared"
    held = fetch(connection, columns, _HELD, (transfer, limit))
    removed: list[str] = []
    for *row, is_shared in held:
        if not is_shared:
            removed += delete_resource(connection, trigrams, resource_row(tuple(row))).removed
    connection.execute(_LET_GO, (transfer, to_json([row[0] for row in held])))
    return TakenBack(removed, len(held) < limit)
