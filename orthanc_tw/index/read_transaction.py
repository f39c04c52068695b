"""`ReadTransaction` over a SQLite connection that is inside a transaction.

Belongs to one thread at a time: that of the connection.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec

from orthanc_tw.index import archive as archive_sql
from orthanc_tw.index import changes as changes_sql
from orthanc_tw.index import expand as expand_sql
from orthanc_tw.index import exports as exports_sql
from orthanc_tw.index import jobs as jobs_sql
from orthanc_tw.index import provisional as provisional_sql
from orthanc_tw.index.archive_tree import ArchiveTree
from orthanc_tw.index.gateway import (
    Attachment,
    Change,
    ChangesPage,
    ExpandParts,
    Export,
    ExportsPage,
    FindQuery,
    JobRow,
    MetadataValue,
    ResourceRecord,
    ResourceRow,
    Statistics,
)
from orthanc_tw.index.normalize import normalize, tag_number
from orthanc_tw.index.notes import Notes
from orthanc_tw.index.rows import (
    ATTACHMENT_COLUMNS,
    RESOURCE_COLUMNS,
    attachment_row,
    decode_metadata,
    resource_row,
    resource_rows,
)
from orthanc_tw.index.searches import Searches
from orthanc_tw.model.levels import ResourceType

_COUNTS = "count_patients, count_studies, count_series, count_instances"
_SIZES = (
    "disk_size_bytes, uncompressed_size_bytes, dicom_disk_size_bytes, dicom_uncompressed_size_bytes"
)
_INSTANCE_SIZES = """
SELECT coalesce(sum(stored_size_bytes), 0), coalesce(sum(size_bytes), 0),
       coalesce(sum(CASE content_type WHEN 1 THEN stored_size_bytes END), 0),
       coalesce(sum(CASE content_type WHEN 1 THEN size_bytes END), 0)
FROM attachments WHERE internal_id = ?
"""
_SERIES_BELOW = (
    "SELECT count(*) FROM resources st CROSS JOIN resources se ON se.parent_id = st.internal_id"
    " WHERE st.parent_id = ?"
)
#: SQL of `SqliteReadTransaction.labelled_resources`.
LABELLED = """
WITH RECURSIVE upwards(public_id, internal_id, parent_id) AS (
  SELECT r.public_id, r.internal_id, r.parent_id
  FROM json_each(?) wanted
  CROSS JOIN resources r ON r.level IN (1, 2, 3, 4) AND r.public_id = wanted.value
  UNION ALL
  SELECT u.public_id, p.internal_id, p.parent_id
  FROM upwards u CROSS JOIN resources p ON p.internal_id = u.parent_id
)
SELECT DISTINCT public_id FROM upwards u
WHERE EXISTS (
  SELECT 1 FROM labels l
  WHERE l.internal_id = u.internal_id AND l.label IN (SELECT value FROM json_each(?))
)
"""
_LOOKUP_TAGS = frozenset({"0010,0020", "0020,000d", "0020,000e", "0008,0018", "0008,0050"})


def _joined_levels(first: int, last: int) -> str:
    """A FROM clause: resources ``r1`` (patients) to ``r4`` (instances), children to parents."""
    return f"resources r{first}" + "".join(
        f" CROSS JOIN resources r{n} ON r{n}.parent_id = r{n - 1}.internal_id"
        for n in range(first + 1, last + 1)
    )


def oldest_instance_statement(level: ResourceType) -> str:
    """SQL of `SqliteReadTransaction.oldest_instance`, whose parameter is an internal identifier."""
    first, last = int(level), int(ResourceType.INSTANCE)
    return (
        f"SELECT {RESOURCE_COLUMNS} FROM resources WHERE internal_id ="
        f" (SELECT min(r{last}.internal_id) FROM {_joined_levels(first, last)}"
        f" WHERE r{first}.internal_id = ?)"
    )


class SqliteReadTransaction:
    """See `orthanc_tw.index.gateway.ReadTransaction`."""

    def __init__(self, connection: sqlite3.Connection, *, trigrams: bool) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._notes = Notes(connection)
        self._searches = Searches(connection, self._notes, trigrams=trigrams)

    def lookup(self, public_id: str, level: ResourceType | None = None) -> ResourceRow | None:
        """The resource, or None; of several levels the lowest."""
        if level is None:
            row = self._execute(
                f"SELECT {RESOURCE_COLUMNS} FROM resources"
                " WHERE level IN (1, 2, 3, 4) AND public_id = ? ORDER BY level DESC",
                (public_id,),
            ).fetchone()
        else:
            row = self._execute(
                f"SELECT {RESOURCE_COLUMNS} FROM resources WHERE level = ? AND public_id = ?",
                (int(level), public_id),
            ).fetchone()
        return None if row is None else resource_row(row)

    def is_kept(self, public_id: str, transfer: str = "") -> bool:
        """See `orthanc_tw.index.provisional`."""
        row = self._execute(provisional_sql.IS_KEPT, (public_id, transfer)).fetchone()
        return row is not None

    def transfers(self) -> Sequence[str]:
        """Those that have not ended."""
        return [row[0] for row in self._execute(provisional_sql.TRANSFERS)]

    def _parent(self, row: ResourceRow) -> ResourceRow | None:
        if row.parent_id is None:
            return None
        found = self._execute(
            f"SELECT {RESOURCE_COLUMNS} FROM resources WHERE internal_id = ?", (row.parent_id,)
        ).fetchone()
        return None if found is None else resource_row(found)

    def ancestors(self, row: ResourceRow) -> Sequence[ResourceRow]:
        """The parent first, the patient last."""
        found: list[ResourceRow] = []
        parent = self._parent(row)
        while parent is not None:
            found.append(parent)
            parent = self._parent(parent)
        return found

    def descendants(
        self, row: ResourceRow, level: ResourceType, *, after: str | None = None, limit: int = 0
    ) -> Sequence[ResourceRow]:
        """Resources of ``level`` below ``row`` or itself, ordered; none for a level above."""
        if level < row.level:
            return []
        first, last = int(row.level), int(level)
        sql = (
            f"SELECT r{last}.internal_id, r{last}.public_id, {last} AS level, r{last}.parent_id"
            f" FROM {_joined_levels(first, last)}"
            f" WHERE r{first}.internal_id = ? AND r{last}.public_id > ?"
            f" ORDER BY r{last}.public_id LIMIT ?"
        )
        return resource_rows(
            self._connection, sql, (row.internal_id, after or "", limit or -1), limit
        )

    def oldest_instance(self, row: ResourceRow) -> ResourceRow | None:
        """The instance below ``row`` or itself that was stored first."""
        sql = oldest_instance_statement(row.level)
        found = self._execute(sql, (row.internal_id,)).fetchone()
        return None if found is None else resource_row(found)

    def archive_size(self, public_id: str, level: ResourceType) -> tuple[int, int] | None:
        """Instances and bytes of DICOM files; None if the resource is not there."""
        return archive_sql.archive_size(self._connection, public_id, level)

    def archive_tree(self, public_id: str, level: ResourceType | None) -> ArchiveTree | None:
        """What an archive of a resource is made of."""
        return archive_sql.archive_tree(self._connection, public_id, level)

    def page(
        self, level: ResourceType, *, after: str | None = None, since: int = 0, limit: int = 0
    ) -> Sequence[ResourceRow]:
        """Resources of a level ordered by public identifier."""
        return self._searches.page(level, after=after, since=since, limit=limit)

    def find(self, query: FindQuery) -> Sequence[ResourceRow]:
        """See `orthanc_tw.index.find`. Raises ValueError for an unknown ``labels_constraint``."""
        return self._searches.find(query)

    def find_identifiers(self, query: FindQuery) -> Sequence[str]:
        """Public identifiers of what `find` finds."""
        return self._searches.find_identifiers(query)

    def count(self, query: FindQuery) -> int:
        """Number of matches; paging does not count."""
        return self._searches.count(query)

    def lookup_identifier(self, tag: str, value: str) -> Sequence[ResourceRow]:
        """Resources with this identifier, in any case.

        :raises ValueError: if ``tag`` is none of the five that can be looked up
        """
        if tag not in _LOOKUP_TAGS:
            raise ValueError(f"Not an identifier: {tag}")
        return [
            resource_row(row)
            for row in self._execute(
                "SELECT r.internal_id, r.public_id, r.level, r.parent_id FROM identifiers i"
                " CROSS JOIN resources r ON r.internal_id = i.internal_id"
                " WHERE i.tag = ? AND i.value = ? AND i.value <> '' ORDER BY r.public_id",
                (tag_number(tag), normalize(value)),
            )
        ]

    def notes(self, key: Hashable) -> dict[int, Any]:
        """See `orthanc_tw.index.notes`."""
        return self._notes.of(key)

    def ended(self) -> None:
        """The snapshot is let go. Called by who began the transaction."""
        self._notes.ended()

    def expand(self, rows: Sequence[ResourceRow], parts: ExpandParts) -> Sequence[ResourceRecord]:
        """Records in the order of ``rows``; one that was deleted since is left out."""
        return expand_sql.expand(self._connection, rows, parts)

    def attachments(self, internal_id: int) -> Sequence[Attachment]:
        """Ordered by content type."""
        return [
            attachment_row(row)
            for row in self._execute(
                f"SELECT {ATTACHMENT_COLUMNS} FROM attachments WHERE internal_id = ?"
                " ORDER BY content_type",
                (internal_id,),
            )
        ]

    def attachment(self, internal_id: int, content_type: int) -> Attachment | None:
        """One attachment, or None."""
        row = self._execute(
            f"SELECT {ATTACHMENT_COLUMNS} FROM attachments"
            " WHERE internal_id = ? AND content_type = ?",
            (internal_id, int(content_type)),
        ).fetchone()
        return None if row is None else attachment_row(row)

    def attachment_of(
        self, level: ResourceType, public_id: str, content_type: int
    ) -> Attachment | None:
        """The attachment of a resource, or None."""
        row = self._execute(
            f"SELECT {ATTACHMENT_COLUMNS} FROM resources r CROSS JOIN attachments a"
            " ON a.internal_id = r.internal_id"
            " WHERE r.level = ? AND r.public_id = ? AND a.content_type = ?",
            (int(level), public_id, int(content_type)),
        ).fetchone()
        return None if row is None else attachment_row(row)

    def attachment_uuids(self, after: str, limit: int) -> Sequence[str]:
        """Storage UUIDs greater than ``after``, in order."""
        (text,) = self._execute(
            "SELECT json_group_array(uuid) FROM"
            " (SELECT uuid FROM attachments WHERE uuid > ? ORDER BY uuid LIMIT ?)",
            (after, limit or -1),
        ).fetchone()
        return msgspec.json.decode(text, type=list[str])

    def metadata(self, internal_id: int) -> Mapping[int, MetadataValue]:
        """By number, ascending; nothing for a resource that is not there."""
        row = self._execute(
            "SELECT d.metadata, r.last_update FROM resource_data d"
            " CROSS JOIN resources r ON r.internal_id = d.internal_id WHERE d.internal_id = ?",
            (internal_id,),
        ).fetchone()
        return {} if row is None else decode_metadata(json.loads(row[0]), row[1])

    def labels(self, internal_id: int) -> Sequence[str]:
        """Sorted."""
        return [
            row[0]
            for row in self._execute(
                "SELECT label FROM labels WHERE internal_id = ? ORDER BY label", (internal_id,)
            )
        ]

    def labelled_resources(self, public_ids: Sequence[str], labels: Sequence[str]) -> Sequence[str]:
        """Of these resources those that have one of the labels, themselves or an ancestor."""
        parameters = (json.dumps(list(public_ids)), json.dumps(list(labels)))
        return [row[0] for row in self._execute(LABELLED, parameters)]

    def all_labels(self) -> Sequence[str]:
        """Every label in use, sorted."""
        return [row[0] for row in self._execute("SELECT DISTINCT label FROM labels ORDER BY label")]

    def is_protected(self, internal_id: int) -> bool:
        """Whether it is a patient that recycling spares."""
        row = self._execute(
            "SELECT r.level = 1 AND NOT EXISTS (SELECT 1 FROM patient_recycling q"
            " WHERE q.internal_id = r.internal_id) FROM resources r WHERE r.internal_id = ?",
            (internal_id,),
        ).fetchone()
        return row is not None and bool(row[0])

    def statistics(self) -> Statistics:
        """Totals, from the counters."""
        return Statistics(*self._execute(f"SELECT {_COUNTS}, {_SIZES} FROM counters").fetchone())

    def resource_statistics(self, row: ResourceRow) -> Statistics:
        """Of the resource and all below; zeroes if it is not there any more."""
        found = self._execute(
            f"SELECT count_instances, {_SIZES} FROM resources WHERE internal_id = ?",
            (row.internal_id,),
        ).fetchone()
        if found is None:
            return Statistics(0, 0, 0, 0, 0, 0)
        studies = series = 1
        if row.level is ResourceType.INSTANCE:
            sizes = self._execute(_INSTANCE_SIZES, (row.internal_id,)).fetchone()
            return Statistics(1, 1, 1, 1, *sizes)
        if row.level is ResourceType.PATIENT:
            studies = self._count_children(row.internal_id)
            (series,) = self._execute(_SERIES_BELOW, (row.internal_id,)).fetchone()
        elif row.level is ResourceType.STUDY:
            series = self._count_children(row.internal_id)
        return Statistics(1, studies, series, *found)

    def _count_children(self, internal_id: int) -> int:
        row = self._execute("SELECT count(*) FROM resources WHERE parent_id = ?", (internal_id,))
        return int(row.fetchone()[0])

    def changes(
        self, *, since: int | None, to: int | None, types: Sequence[int], limit: int
    ) -> ChangesPage:
        """Changes after ``since`` and up to ``to``, of any of ``types`` (all if there are none).

        With ``to`` alone, the last ``limit`` ones up to it. ``limit`` 0 is an empty page.
        ``last_seq`` is that of the last row, or of the whole log if the page is empty.
        """
        return changes_sql.changes_page(self._connection, since, to, types, limit)

    def last_change(self) -> Change | None:
        """The newest change that is still there."""
        row = self._execute(changes_sql.LAST).fetchone()
        return None if row is None else changes_sql.change_row(row)

    def last_change_seq(self) -> int:
        """The last number given, be the change deleted or not."""
        return int(self._execute(changes_sql.LAST_SEQ).fetchone()[0])

    def exports(self, *, since: int, limit: int) -> ExportsPage:
        """At most ``limit`` exports after ``since``."""
        return exports_sql.exports_page(self._connection, since, limit)

    def last_export(self) -> Export | None:
        """The newest export that is still there."""
        return exports_sql.last_export(self._connection)

    def global_property(self, name: str) -> str | None:
        """The value, or None."""
        row = self._execute(
            "SELECT value FROM global_properties WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else str(row[0])

    def job(self, job_id: str) -> JobRow | None:
        """The job, or None."""
        return jobs_sql.job(self._connection, job_id)

    def jobs(
        self, *, states: Sequence[str] = (), after: int = 0, limit: int = 0
    ) -> Sequence[JobRow]:
        """Jobs by ``sequence`` ascending."""
        return jobs_sql.jobs(self._connection, states, after, limit)
