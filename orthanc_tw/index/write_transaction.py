"""`WriteTransaction`: a savepoint of the writer's transaction. On the writer thread alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from orthanc_tw.index import exports as exports_sql
from orthanc_tw.index import jobs as jobs_sql
from orthanc_tw.index import provisional as provisional_sql
from orthanc_tw.index.deletion import add_to_ancestors, delete_resource
from orthanc_tw.index.gateway import (
    Attachment,
    DeleteOutcome,
    Export,
    FindQuery,
    JobRow,
    MetadataValue,
    NewInstance,
    ResourceRow,
    StorageLimits,
    StoreOutcome,
    Tags,
    TakenBack,
)
from orthanc_tw.index.main_tags import replace_main_tags
from orthanc_tw.index.read_transaction import SqliteReadTransaction
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    attachment_columns,
    attachment_row,
    decode_metadata,
    encode_metadata,
    fetch,
    to_json,
)
from orthanc_tw.index.store import (
    APPEND_PATIENT,
    INSERT_ATTACHMENT,
    log_change,
    store_instance,
)
from orthanc_tw.index.trigrams import PendingTrigrams
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ChangeType, ContentType, MetadataType

_ADD_SIZES = """
UPDATE counters SET
  disk_size_bytes = disk_size_bytes + ?,
  uncompressed_size_bytes = uncompressed_size_bytes + ?,
  dicom_disk_size_bytes = dicom_disk_size_bytes + ?,
  dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + ?
"""
_UNSTABLE = """
SELECT internal_id FROM resources
WHERE unstable_since_s IS NOT NULL AND unstable_since_s <= ?
ORDER BY unstable_since_s, level DESC LIMIT ?
"""
_MAKE_STABLE = """
UPDATE resources SET unstable_since_s = NULL WHERE internal_id IN (SELECT value FROM json_each(?))
"""
# StablePatient, StableStudy and StableSeries are 14, 15 and 16: 13 and the level.
_LOG_STABLE = """
INSERT INTO changes (seq, change_type, internal_id, date)
SELECT c.last_change_seq + 1 + j.key, 13 + r.level, r.internal_id, ?
FROM json_each(?) j CROSS JOIN resources r ON r.internal_id = j.value CROSS JOIN counters c
"""
_COUNT_STABLE = "UPDATE counters SET last_change_seq = last_change_seq + ?"
_LAST_UPDATE = int(MetadataType.LAST_UPDATE)


class SqliteWriteTransaction(SqliteReadTransaction):
    """See `orthanc_tw.index.gateway.WriteTransaction`.

    Operations on an ``internal_id`` that is not there raise `OrthancError` UNKNOWN_RESOURCE.
    """

    def __init__(self, connection: sqlite3.Connection, trigrams: PendingTrigrams) -> None:
        super().__init__(connection, trigrams=trigrams.enabled)
        self._pending = trigrams

    def find(self, query: FindQuery) -> Sequence[ResourceRow]:
        """As in a read, and sees what this transaction wrote."""
        self._pending.flush()
        return super().find(query)

    def count(self, query: FindQuery) -> int:
        """As in a read, and sees what this transaction wrote."""
        self._pending.flush()
        return super().count(query)

    def store_instance(self, instance: NewInstance, limits: StorageLimits) -> StoreOutcome:
        """Store one received instance; see `orthanc_tw.index.store`.

        :raises ValueError: if ``resources`` are not one of each level in order
        """
        return store_instance(self._connection, self._pending, instance, limits)

    def delete_resource(self, row: ResourceRow, date: str) -> DeleteOutcome:
        """Delete it, all below, and parents left without children.

        Nothing is logged (see `orthanc_tw.index.deletion`), so ``date`` is not kept.
        """
        return delete_resource(self._connection, self._pending, row)

    def keep_transfer(self, transfer: str) -> None:
        """See `orthanc_tw.index.provisional`."""
        provisional_sql.keep(self._connection, transfer)

    def take_back(self, transfer: str, limit: int) -> TakenBack:
        """See `orthanc_tw.index.provisional`."""
        return provisional_sql.take_back(self._connection, self._pending, transfer, limit)

    def replace_main_tags(
        self, internal_id: int, tags: Tags, metadata: Mapping[int, str | None]
    ) -> bool:
        """Replace main DICOM tags and some metadata; see `orthanc_tw.index.main_tags`."""
        return replace_main_tags(self._connection, self._pending, internal_id, tags, metadata)

    def _load_metadata(self, internal_id: int) -> tuple[dict[int, MetadataValue], int]:
        """Metadata without a LastUpdate that is a column, and the level."""
        row = self._execute(
            "SELECT d.metadata, r.level FROM resource_data d"
            " CROSS JOIN resources r ON r.internal_id = d.internal_id WHERE d.internal_id = ?",
            (internal_id,),
        ).fetchone()
        if row is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        return decode_metadata(json.loads(row[0]), None), int(row[1])

    def _save_metadata(self, internal_id: int, metadata: dict[int, MetadataValue]) -> None:
        self._execute(
            "UPDATE resource_data SET metadata = ? WHERE internal_id = ?",
            (encode_metadata(metadata), internal_id),
        )

    def set_metadata(self, internal_id: int, metadata_type: int, value: str, revision: int) -> None:
        """Insert or replace one metadata."""
        metadata, level = self._load_metadata(internal_id)
        if metadata_type == _LAST_UPDATE and level != ResourceType.INSTANCE:
            self._execute(
                "UPDATE resources SET last_update = ? WHERE internal_id = ?", (value, internal_id)
            )
            return
        metadata[int(metadata_type)] = MetadataValue(value, revision)
        self._save_metadata(internal_id, metadata)

    def delete_metadata(self, internal_id: int, metadata_type: int) -> bool:
        """Say whether there was one. LastUpdate of a parent cannot go: False."""
        metadata, _ = self._load_metadata(internal_id)
        if metadata.pop(int(metadata_type), None) is None:
            return False
        self._save_metadata(internal_id, metadata)
        return True

    def _add_sizes(self, internal_id: int, attachment: Attachment, sign: int) -> None:
        stored, size = sign * attachment.stored_size_bytes, sign * attachment.size_bytes
        is_dicom = attachment.content_type == ContentType.DICOM
        sizes = (stored, size, stored, size) if is_dicom else (stored, size, 0, 0)
        self._execute(_ADD_SIZES, sizes)
        level, parent_id = self._execute(
            "SELECT level, parent_id FROM resources WHERE internal_id = ?", (internal_id,)
        ).fetchone()
        start = parent_id if level == ResourceType.INSTANCE else internal_id
        add_to_ancestors(self._connection, start, (0, *sizes))

    def put_attachment(self, internal_id: int, attachment: Attachment) -> Sequence[str]:
        """Record it in the place of that content type; returns UUIDs no longer named."""
        self._require(internal_id)
        replaced = self.delete_attachment(internal_id, attachment.content_type)
        self._execute(INSERT_ATTACHMENT, attachment_columns(internal_id, attachment))
        self._add_sizes(internal_id, attachment, 1)
        return [uuid for uuid in replaced if uuid != attachment.uuid]

    def delete_attachment(self, internal_id: int, content_type: int) -> Sequence[str]:
        """Forget an attachment; returns UUIDs no longer named, none if it was not there."""
        rows = self._execute(
            "DELETE FROM attachments WHERE internal_id = ? AND content_type = ?"
            f" RETURNING {ATTACHMENT_COLUMNS}",
            (internal_id, int(content_type)),
        ).fetchall()
        for row in rows:
            self._add_sizes(internal_id, attachment_row(row), -1)
        return [row[0] for row in rows]

    def _require(self, internal_id: int) -> None:
        row = self._execute("SELECT 1 FROM resources WHERE internal_id = ?", (internal_id,))
        if row.fetchone() is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)

    def add_label(self, internal_id: int, label: str) -> None:
        """Once, however often it is added."""
        self._require(internal_id)
        self._execute(
            "INSERT INTO labels (internal_id, label) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (internal_id, label),
        )

    def remove_label(self, internal_id: int, label: str) -> None:
        """Harmless if it is not there."""
        self._execute(
            "DELETE FROM labels WHERE internal_id = ? AND label = ?", (internal_id, label)
        )

    def set_protected(self, internal_id: int, protected: bool) -> None:
        """Spare a patient from recycling; one let go joins the end of the order."""
        row = self._execute("SELECT level FROM resources WHERE internal_id = ?", (internal_id,))
        found = row.fetchone()
        if found is None or found[0] != ResourceType.PATIENT:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        if protected:
            self._execute("DELETE FROM patient_recycling WHERE internal_id = ?", (internal_id,))
        elif self.is_protected(internal_id):
            self._execute(APPEND_PATIENT, (internal_id,))

    def log_change(self, change_type: ChangeType, row: ResourceRow, date: str) -> None:
        """Append to ``/changes``."""
        self._require(row.internal_id)
        log_change(self._connection, change_type, row.internal_id, date)

    def clear_changes(self) -> None:
        """Forget all changes; the numbers go on."""
        self._execute("DELETE FROM changes")

    def log_export(self, export: Export) -> None:
        """Append to ``/exports``; its ``seq`` is not read."""
        exports_sql.log_export(self._connection, export)

    def clear_exports(self) -> None:
        """Forget all exports; the numbers go on."""
        self._execute(exports_sql.CLEAR)

    def mark_stable(self, *, older_than_s: float, date: str, limit: int) -> int:
        """Oldest first; of one reception the series, then the study, then the patient."""
        rows = fetch(self._connection, "internal_id", _UNSTABLE, (older_than_s, limit))
        if rows:
            numbers = to_json([internal_id for (internal_id,) in rows])
            self._execute(_MAKE_STABLE, (numbers,))
            self._execute(_LOG_STABLE, (date, numbers))
            self._execute(_COUNT_STABLE, (len(rows),))
        return len(rows)

    def set_global_property(self, name: str, value: str) -> None:
        """Insert or replace."""
        self._execute(
            "INSERT INTO global_properties (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def put_jobs(self, jobs: Sequence[JobRow]) -> None:
        """Insert or replace the rows of jobs, each named once."""
        jobs_sql.put_jobs(self._connection, jobs)

    def delete_jobs(self, job_ids: Sequence[str]) -> int:
        """Say how many there were."""
        return jobs_sql.delete_jobs(self._connection, job_ids)
