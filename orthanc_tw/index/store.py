"""`WriteTransaction.store_instance`: all that one received instance writes.

The path that matters most: an instance of a series that is there takes a dozen small
statements, nearly all of which append.
"""

from __future__ import annotations

import sqlite3

from orthanc_tw.index.deletion import delete_resource
from orthanc_tw.index.gateway import (
    Attachment,
    NewInstance,
    NewResource,
    ResourceRow,
    StorageLimits,
    StoreOutcome,
)
from orthanc_tw.index.normalize import IDENTIFIER_TAGS, normalize, tag_number
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    attachment_columns,
    encode_new_metadata,
    resource_row,
    to_json,
)
from orthanc_tw.index.trigrams import PendingTrigrams
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import (
    ChangeType,
    ContentType,
    MetadataType,
    OverwriteInstances,
    StoreStatus,
)

_LOOKUP = (
    "SELECT internal_id, public_id, level, parent_id FROM resources"
    " WHERE level = ? AND public_id = ?"
)
_SERIES = """
SELECT se.internal_id, st.internal_id, st.parent_id, se.count_instances
FROM resources se CROSS JOIN resources st ON st.internal_id = se.parent_id
WHERE se.level = 3 AND se.public_id = ?
"""
_INSERT_RESOURCE = """
INSERT INTO resources (level, public_id, parent_id, last_update, unstable_since_s,
  count_instances, disk_size_bytes, uncompressed_size_bytes,
  dicom_disk_size_bytes, dicom_uncompressed_size_bytes)
VALUES (?, ?, ?, NULL, NULL, ?, ?, ?, ?, ?)
"""
_INSERT_DATA = "INSERT INTO resource_data (internal_id, tags, metadata) VALUES (?, ?, ?)"
_INSERT_IDENTIFIER = "INSERT INTO identifiers (internal_id, tag, value) VALUES (?, ?, ?)"
INSERT_ATTACHMENT = (
    f"INSERT INTO attachments (internal_id, {ATTACHMENT_COLUMNS})"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TOUCH_ANCESTORS = """
UPDATE resources SET
  last_update = ?, unstable_since_s = ?,
  count_instances = count_instances + 1,
  disk_size_bytes = disk_size_bytes + ?,
  uncompressed_size_bytes = uncompressed_size_bytes + ?,
  dicom_disk_size_bytes = dicom_disk_size_bytes + ?,
  dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + ?
WHERE internal_id IN (?, ?, ?)
"""
_COUNTERS = """
UPDATE counters SET
  count_patients = count_patients + ?, count_studies = count_studies + ?,
  count_series = count_series + ?, count_instances = count_instances + 1,
  disk_size_bytes = disk_size_bytes + ?,
  uncompressed_size_bytes = uncompressed_size_bytes + ?,
  dicom_disk_size_bytes = dicom_disk_size_bytes + ?,
  dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + ?,
  last_change_seq = last_change_seq + ?
RETURNING last_change_seq
"""
_INSERT_CHANGE = "INSERT INTO changes (seq, change_type, internal_id, date) VALUES (?, ?, ?, ?)"
_NEWEST_PATIENT = "SELECT internal_id FROM patient_recycling ORDER BY seq DESC LIMIT 1"
_FORGET_PATIENT = "DELETE FROM patient_recycling WHERE internal_id = ?"
APPEND_PATIENT = """
INSERT INTO patient_recycling (seq, internal_id)
SELECT coalesce(max(seq), 0) + 1, ? FROM patient_recycling
"""
_OLDEST_PATIENT = """
SELECT r.internal_id, r.public_id, r.level, r.parent_id
FROM patient_recycling q CROSS JOIN resources r ON r.internal_id = q.internal_id
WHERE r.public_id <> ? ORDER BY q.seq LIMIT 1
"""
_NEW = {
    ResourceType.PATIENT: int(ChangeType.NEW_PATIENT),
    ResourceType.STUDY: int(ChangeType.NEW_STUDY),
    ResourceType.SERIES: int(ChangeType.NEW_SERIES),
    ResourceType.INSTANCE: int(ChangeType.NEW_INSTANCE),
}
_IDENTIFIERS = {
    level: [(tag, tag_number(tag)) for tag in sorted(tags)]
    for level, tags in IDENTIFIER_TAGS.items()
}


class _StorageFull(Exception):
    """Not to be stored; whatever was deleted to make room comes back."""


def _is_same_file(connection: sqlite3.Connection, internal_id: int, new: Attachment) -> bool:
    row = connection.execute(
        "SELECT md5, size_bytes FROM attachments WHERE internal_id = ? AND content_type = ?",
        (internal_id, int(ContentType.DICOM)),
    ).fetchone()
    if row is None:
        return False
    if row[0] and new.md5:
        return bool(row[0] == new.md5)
    return bool(row[1] == new.size_bytes)


def _sizes(attachment: Attachment) -> tuple[int, int, int, int]:
    stored, size = attachment.stored_size_bytes, attachment.size_bytes
    if attachment.content_type == ContentType.DICOM:
        return stored, size, stored, size
    return stored, size, 0, 0


def _make_room(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    instance: NewInstance,
    limits: StorageLimits,
    removed: list[str],
) -> None:
    """Delete the oldest unprotected patients but the instance's own, until it fits."""
    patient = instance.resources[0].public_id
    size = instance.attachment.stored_size_bytes
    if limits.maximum_storage_bytes and size > limits.maximum_storage_bytes:
        raise _StorageFull
    is_new = connection.execute(_LOOKUP, (1, patient)).fetchone() is None
    while True:
        disk, patients = connection.execute(
            "SELECT disk_size_bytes, count_patients FROM counters"
        ).fetchone()
        if not (
            (limits.maximum_storage_bytes and disk + size > limits.maximum_storage_bytes)
            or (limits.maximum_patients and patients + is_new > limits.maximum_patients)
        ):
            return
        if not limits.recycle:
            raise _StorageFull
        oldest = connection.execute(_OLDEST_PATIENT, (patient,)).fetchone()
        if oldest is None:
            raise _StorageFull
        removed += delete_resource(connection, trigrams, resource_row(oldest)).removed


def _insert(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    new: NewResource,
    parent_id: int | None,
) -> int:
    level = int(new.level)
    zero = None if level == ResourceType.INSTANCE else 0
    internal_id = connection.execute(
        _INSERT_RESOURCE, (level, new.public_id, parent_id, zero, zero, zero, zero, zero)
    ).lastrowid
    if internal_id is None:
        raise AssertionError("SQLite gave no row number")
    tags = new.tags
    connection.execute(
        _INSERT_DATA,
        (
            internal_id,
            to_json(dict(tags)),
            encode_new_metadata(new.metadata, with_last_update=new.level is ResourceType.INSTANCE),
        ),
    )
    values = {tag: normalize(tags[tag]) for tag, _ in _IDENTIFIERS[new.level] if tag in tags}
    for tag, number in _IDENTIFIERS[new.level]:
        if tag in values:
            connection.execute(_INSERT_IDENTIFIER, (internal_id, number, values[tag]))
    if new.level is not ResourceType.INSTANCE:
        trigrams.add(internal_id, values)
    return internal_id


def _find_or_create(
    connection: sqlite3.Connection, trigrams: PendingTrigrams, instance: NewInstance
) -> tuple[list[int], list[ResourceType]]:
    """Internal identifiers of patient, study, series; and the levels that were created."""
    numbers: list[int] = []
    created: list[ResourceType] = []
    parent: int | None = None
    for new in instance.resources[:3]:
        row = connection.execute(_LOOKUP, (int(new.level), new.public_id)).fetchone()
        if row is None:
            parent = _insert(connection, trigrams, new, parent)
            created.append(new.level)
            if new.level is ResourceType.PATIENT:
                connection.execute(APPEND_PATIENT, (parent,))
        else:
            parent = int(row[0])
        numbers.append(parent)
    return numbers, created


def _touch_patient(connection: sqlite3.Connection, internal_id: int) -> None:
    """Move an unprotected patient to the end of the recycling order."""
    newest = connection.execute(_NEWEST_PATIENT).fetchone()
    if (newest is None or newest[0] != internal_id) and connection.execute(
        _FORGET_PATIENT, (internal_id,)
    ).rowcount:
        connection.execute(APPEND_PATIENT, (internal_id,))


def _expected(instance: NewInstance) -> int | None:
    if instance.expected_instances is not None:
        return instance.expected_instances
    text = instance.resources[2].metadata.get(MetadataType.EXPECTED_NUMBER_OF_INSTANCES, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _write(connection: sqlite3.Connection, trigrams: PendingTrigrams, instance: NewInstance) -> int:
    created: list[ResourceType] = []
    found = connection.execute(_SERIES, (instance.resources[2].public_id,)).fetchone()
    if found is None:
        (patient, study, series), created = _find_or_create(connection, trigrams, instance)
        siblings = 0
    else:
        series, study, patient, siblings = found
    internal_id = _insert(connection, trigrams, instance.resources[3], series)
    connection.execute(INSERT_ATTACHMENT, attachment_columns(internal_id, instance.attachment))
    sizes = _sizes(instance.attachment)
    connection.execute(
        _TOUCH_ANCESTORS, (instance.date, instance.now_s, *sizes, patient, study, series)
    )
    changes = [(int(ChangeType.NEW_INSTANCE), internal_id)]
    numbers = {
        ResourceType.PATIENT: patient,
        ResourceType.STUDY: study,
        ResourceType.SERIES: series,
    }
    changes += [(_NEW[level], numbers[level]) for level in reversed(created)]
    if siblings + 1 == _expected(instance):
        changes.append((int(ChangeType.COMPLETED_SERIES), series))
    ((last_seq,),) = connection.execute(
        _COUNTERS,
        (
            ResourceType.PATIENT in created,
            ResourceType.STUDY in created,
            ResourceType.SERIES in created,
            *sizes,
            len(changes),
        ),
    ).fetchall()
    for seq, (change_type, changed) in enumerate(changes, last_seq - len(changes) + 1):
        connection.execute(_INSERT_CHANGE, (seq, change_type, changed, instance.date))
    _touch_patient(connection, patient)
    return internal_id


def store_instance(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    instance: NewInstance,
    limits: StorageLimits,
) -> StoreOutcome:
    """Store, overwrite, recognize or refuse an instance; see the gateway."""
    if tuple(new.level for new in instance.resources) != tuple(ResourceType):
        raise ValueError("resources must be a patient, a study, a series and an instance")
    row = connection.execute(_LOOKUP, (4, instance.resources[3].public_id)).fetchone()
    is_limited = bool(limits.maximum_storage_bytes or limits.maximum_patients)
    existing: ResourceRow | None = None
    if row is not None:
        existing = resource_row(row)
        if instance.overwrite is OverwriteInstances.NEVER or (
            instance.overwrite is OverwriteInstances.IF_CHANGED
            and _is_same_file(connection, existing.internal_id, instance.attachment)
        ):
            return StoreOutcome(StoreStatus.ALREADY_STORED, existing.internal_id)
    if existing is None and not is_limited:
        return StoreOutcome(
            StoreStatus.SUCCESS,
            _write(connection, trigrams, instance),
            is_new_instance=True,
        )
    removed: list[str] = []
    mark = trigrams.mark()
    connection.execute("SAVEPOINT store")
    try:
        if existing is not None:
            removed += delete_resource(connection, trigrams, existing).removed
        if is_limited:
            _make_room(connection, trigrams, instance, limits, removed)
        internal_id = _write(connection, trigrams, instance)
    except _StorageFull:
        connection.execute("ROLLBACK TO store")
        connection.execute("RELEASE store")
        trigrams.roll_back(mark)
        return StoreOutcome(StoreStatus.STORAGE_FULL, None)
    connection.execute("RELEASE store")
    return StoreOutcome(StoreStatus.SUCCESS, internal_id, removed, is_new_instance=existing is None)
