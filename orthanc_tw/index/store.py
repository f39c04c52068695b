"""`WriteTransaction.store_instance`: all that one received instance writes.

The path that matters most: an instance of a series that is there takes two statements, one
that looks at the state of things and one that writes (``new_instances`` in the schema).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.index import provisional
from orthanc_tw.index.deletion import delete_resource
from orthanc_tw.index.gateway import (
    Attachment,
    NewInstance,
    NewResource,
    ResourceRow,
    StorageLimits,
    StoreOutcome,
    Tags,
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
_STATE = """
SELECT i.internal_id, se.internal_id, st.internal_id, st.parent_id, se.count_instances,
       (SELECT q.internal_id FROM patient_recycling q ORDER BY q.seq DESC LIMIT 1),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'resources'), 0),
       c.disk_size_bytes, c.count_patients
FROM counters c
LEFT JOIN resources i ON i.level = 4 AND i.public_id = ?
LEFT JOIN resources se ON se.level = 3 AND se.public_id = ?
LEFT JOIN resources st ON st.internal_id = se.parent_id
"""
_INSERT_PARENT = """
INSERT INTO resources (level, public_id, parent_id, count_instances, disk_size_bytes,
  uncompressed_size_bytes, dicom_disk_size_bytes, dicom_uncompressed_size_bytes)
VALUES (?, ?, ?, 0, 0, 0, 0, 0)
"""
_INSERT_DATA = "INSERT INTO resource_data (internal_id, tags, metadata) VALUES (?, ?, ?)"
_INSERT_IDENTIFIERS = """
INSERT INTO identifiers (internal_id, tag, value)
SELECT ?, CAST(key AS INTEGER), value FROM json_each(?) WHERE 1 = 1
"""
INSERT_ATTACHMENT = (
    f"INSERT INTO attachments (internal_id, {ATTACHMENT_COLUMNS})"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_INSTANCE = f"""
INSERT INTO new_instances (public_id, series_id, study_id, patient_id, tags, metadata,
  sop_instance_uid, date, now_s, dicom_stored_size_bytes, dicom_size_bytes,
  internal_id, {ATTACHMENT_COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COUNT_CREATED = """
UPDATE counters SET
  count_patients = count_patients + ?, count_studies = count_studies + ?,
  count_series = count_series + ?
"""
_COUNT_CHANGES = "UPDATE counters SET last_change_seq = last_change_seq + ?"
_INSERT_CHANGE = """
INSERT INTO changes (seq, change_type, internal_id, date)
SELECT last_change_seq + ?, ?, ?, ? FROM counters
"""
_AND_ANOTHER = "UNION ALL SELECT last_change_seq + ?, ?, ?, ? FROM counters "
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
}
_IDENTIFIERS = {
    level: [(tag, tag_number(tag)) for tag in sorted(tags)]
    for level, tags in IDENTIFIER_TAGS.items()
}


_SOP_INSTANCE_UID = "0008,0018"


class _StorageFull(Exception):
    """Not to be stored; whatever was deleted to make room comes back."""


@dataclass(slots=True)
class _State:
    """What is there before an instance is stored. Identifiers are internal ones.

    ``last_id`` is the last internal identifier given to any resource.
    """

    instance: int | None
    series: int | None
    study: int | None
    patient: int | None
    siblings: int | None
    newest_patient: int | None
    last_id: int
    disk_size_bytes: int
    count_patients: int


def _state(connection: sqlite3.Connection, instance: NewInstance) -> _State:
    _, _, series, own = instance.resources
    row = connection.execute(_STATE, (own.public_id, series.public_id)).fetchone()
    return _State(*row)


def log_change(
    connection: sqlite3.Connection, change_type: int, internal_id: int, date: str
) -> None:
    """Append to ``/changes``."""
    _log_changes(connection, [(int(change_type), internal_id)], date)


def _log_changes(
    connection: sqlite3.Connection, changes: Sequence[tuple[int, int]], date: str
) -> None:
    parameters: list[object] = []
    for number, (change_type, internal_id) in enumerate(changes, 1):
        parameters += (number, change_type, internal_id, date)
    connection.execute(_INSERT_CHANGE + _AND_ANOTHER * (len(changes) - 1), parameters)
    connection.execute(_COUNT_CHANGES, (len(changes),))


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


def _fits(
    connection: sqlite3.Connection, state: _State, instance: NewInstance, limits: StorageLimits
) -> bool:
    size = instance.attachment.stored_size_bytes
    most = limits.maximum_storage_bytes
    if most and state.disk_size_bytes + size > most:
        return False
    if not limits.maximum_patients or state.series is not None:
        return True
    patient = instance.resources[0].public_id
    is_new = connection.execute(_LOOKUP, (1, patient)).fetchone() is None
    return not is_new or state.count_patients < limits.maximum_patients


def _make_room(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    instance: NewInstance,
    limits: StorageLimits,
    removed: list[str],
) -> None:
    """Delete the oldest unprotected patients but the instance's own, until it fits."""
    size = instance.attachment.stored_size_bytes
    if limits.maximum_storage_bytes and size > limits.maximum_storage_bytes:
        raise _StorageFull
    while not _fits(connection, _state(connection, instance), instance, limits):
        if not limits.recycle:
            raise _StorageFull
        oldest = connection.execute(_OLDEST_PATIENT, (instance.resources[0].public_id,)).fetchone()
        if oldest is None:
            raise _StorageFull
        removed += delete_resource(connection, trigrams, resource_row(oldest)).removed


def insert_identifiers(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    internal_id: int,
    level: ResourceType,
    tags: Tags,
) -> None:
    """Write the rows that queries look for, of a resource that has none."""
    values = {tag: normalize(tags[tag]) for tag, _ in _IDENTIFIERS[level] if tag in tags}
    # As JSON, like the values that queries look for: both then end at a NUL, or neither.
    numbered = {str(number): values[tag] for tag, number in _IDENTIFIERS[level] if tag in values}
    connection.execute(_INSERT_IDENTIFIERS, (internal_id, to_json(numbered)))
    trigrams.add(internal_id, values)


def _insert_parent(
    connection: sqlite3.Connection,
    trigrams: PendingTrigrams,
    new: NewResource,
    parent_id: int | None,
) -> int:
    internal_id = connection.execute(
        _INSERT_PARENT, (int(new.level), new.public_id, parent_id)
    ).lastrowid
    if internal_id is None:
        raise AssertionError("SQLite gave no row number")
    metadata = encode_new_metadata(new.metadata, with_last_update=False)
    connection.execute(_INSERT_DATA, (internal_id, to_json(dict(new.tags)), metadata))
    insert_identifiers(connection, trigrams, internal_id, new.level, new.tags)
    return internal_id


def _create_parents(
    connection: sqlite3.Connection, trigrams: PendingTrigrams, instance: NewInstance, state: _State
) -> list[ResourceType]:
    """Fill in ``state`` with what was found or created; says which levels were created."""
    numbers: list[int] = []
    created: list[ResourceType] = []
    for new in instance.resources[:3]:
        row = connection.execute(_LOOKUP, (int(new.level), new.public_id)).fetchone()
        if row is not None:
            numbers.append(int(row[0]))
            continue
        state.last_id = _insert_parent(connection, trigrams, new, numbers[-1] if numbers else None)
        numbers.append(state.last_id)
        created.append(new.level)
        if new.level is ResourceType.PATIENT:
            connection.execute(APPEND_PATIENT, (state.last_id,))
            state.newest_patient = state.last_id
    state.patient, state.study, state.series = numbers
    connection.execute(_COUNT_CREATED, tuple(level in created for level in list(ResourceType)[:3]))
    return created


def _expected(instance: NewInstance) -> int | None:
    if instance.expected_instances is not None:
        return instance.expected_instances
    text = instance.resources[2].metadata.get(MetadataType.EXPECTED_NUMBER_OF_INSTANCES, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _write(
    connection: sqlite3.Connection, trigrams: PendingTrigrams, instance: NewInstance, state: _State
) -> int:
    created: list[ResourceType] = []
    if state.series is None:
        created = _create_parents(connection, trigrams, instance, state)
    own, file = instance.resources[3], instance.attachment
    is_dicom = file.content_type == ContentType.DICOM
    uid = own.tags.get(_SOP_INSTANCE_UID)
    internal_id = state.last_id + 1
    connection.execute(
        _INSERT_INSTANCE,
        (
            own.public_id,
            state.series,
            state.study,
            state.patient,
            to_json(dict(own.tags)),
            encode_new_metadata(own.metadata, with_last_update=True),
            None if uid is None else normalize(uid),
            instance.date,
            instance.now_s,
            file.stored_size_bytes if is_dicom else 0,
            file.size_bytes if is_dicom else 0,
            *attachment_columns(internal_id, file),
        ),
    )
    numbers = {
        ResourceType.PATIENT: state.patient,
        ResourceType.STUDY: state.study,
        ResourceType.SERIES: state.series,
    }
    changes = [(_NEW[level], numbers[level] or 0) for level in reversed(created)]
    if (state.siblings or 0) + 1 == _expected(instance):
        changes.append((int(ChangeType.COMPLETED_SERIES), state.series or 0))
    if changes:
        _log_changes(connection, changes, instance.date)
    if state.newest_patient != state.patient and (
        connection.execute(_FORGET_PATIENT, (state.patient,)).rowcount
    ):
        # The patient that was touched last is recycled last; a protected one has no place.
        connection.execute(APPEND_PATIENT, (state.patient,))
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
    state = _state(connection, instance)
    if state.instance is None and _fits(connection, state, instance, limits):
        internal_id = _write(connection, trigrams, instance, state)
        if instance.transfer:
            provisional.hold(connection, internal_id, [instance.transfer])
        return StoreOutcome(StoreStatus.SUCCESS, internal_id, is_new_instance=True)
    if state.instance is not None and (
        instance.overwrite is OverwriteInstances.NEVER
        or (
            instance.overwrite is OverwriteInstances.IF_CHANGED
            and _is_same_file(connection, state.instance, instance.attachment)
        )
    ):
        provisional.claim(connection, state.instance, instance.transfer)
        return StoreOutcome(StoreStatus.ALREADY_STORED, state.instance)
    removed: list[str] = []
    mark = trigrams.mark()
    connection.execute("SAVEPOINT store")
    try:
        held: list[str] = []
        if state.instance is not None:
            held = provisional.holders(connection, state.instance)
            existing = ResourceRow(
                state.instance,
                instance.resources[3].public_id,
                ResourceType.INSTANCE,
                state.series,
            )
            removed += delete_resource(connection, trigrams, existing).removed
        _make_room(connection, trigrams, instance, limits, removed)
        internal_id = _write(connection, trigrams, instance, _state(connection, instance))
        if instance.transfer and (held or state.instance is None):
            # What replaces an instance that was there to stay is there to stay.
            provisional.hold(connection, internal_id, [*held, instance.transfer])
    except _StorageFull:
        connection.execute("ROLLBACK TO store")
        connection.execute("RELEASE store")
        trigrams.roll_back(mark)
        return StoreOutcome(StoreStatus.STORAGE_FULL, None)
    connection.execute("RELEASE store")
    return StoreOutcome(
        StoreStatus.SUCCESS, internal_id, removed, is_new_instance=state.instance is None
    )
