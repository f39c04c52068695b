"""How values become columns and back: levels, metadata, JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from orthanc_tw.index.gateway import Attachment, MetadataValue, ResourceRow
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, MetadataType

#: Column of a join; rows of statements are tuples of whatever SQLite gave.
Row = tuple[Any, ...]

LEVELS = (ResourceType.PATIENT, *ResourceType)
#: By their numbers, which is faster than to call the enumeration.
COMPRESSIONS = {int(member): member for member in Compression}
_ENCODER = msgspec.json.Encoder()
_LAST_UPDATE = int(MetadataType.LAST_UPDATE)


def to_json(value: object) -> str:
    """Compact JSON. Raises UnicodeEncodeError for lone surrogates."""
    return _ENCODER.encode(value).decode()


def fetch(
    connection: sqlite3.Connection, columns: str, source: str, parameters: Sequence[object]
) -> list[Row]:
    """All rows of ``SELECT columns FROM source``, in one step of SQLite.

    A step a row would be a turn at the interpreter lock a row, which beside a busy reactor
    thread costs far more than the reading. Only for what is bounded: all is one text. An
    ORDER BY needs a LIMIT beside it, or it may be dropped.
    """
    (text,) = connection.execute(
        f"SELECT json_group_array(json_array({columns})) FROM ({source})", parameters
    ).fetchone()
    return cast("list[Row]", msgspec.json.decode(text))


def resource_row(row: Row) -> ResourceRow:
    """From ``internal_id, public_id, level, parent_id``."""
    return ResourceRow(row[0], row[1], LEVELS[row[2]], row[3])


#: Columns of `resource_row`, in order.
RESOURCE_COLUMNS = "internal_id, public_id, level, parent_id"
# A text a column: half of what `fetch` takes, which has a list a row.
_RESOURCE_LISTS = ", ".join(f"json_group_array({name})" for name in RESOURCE_COLUMNS.split(", "))
#: Rows up to which a list is fetched as one text.
SHORT = 2000


def resource_rows(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object], limit: int
) -> list[ResourceRow]:
    """Resources of a statement whose LIMIT is ``limit`` (0: none); a short list in one step."""
    if limit > SHORT or limit <= 0:
        return [resource_row(row) for row in connection.execute(sql, parameters)]
    columns = connection.execute(f"SELECT {_RESOURCE_LISTS} FROM ({sql})", parameters).fetchone()
    internal_ids, public_ids, levels, parents = map(msgspec.json.decode, columns)
    return list(
        map(ResourceRow, internal_ids, public_ids, map(LEVELS.__getitem__, levels), parents)
    )


def encode_new_metadata(metadata: Mapping[int, str], *, with_last_update: bool) -> str:
    """Column ``metadata`` of a new resource. LastUpdate of parents is a column of its own."""
    return to_json(
        {
            str(int(number)): value
            for number, value in metadata.items()
            if with_last_update or number != _LAST_UPDATE
        }
    )


def encode_metadata(metadata: Mapping[int, MetadataValue]) -> str:
    """Column ``metadata``."""
    return to_json(
        {
            str(number): [item.value, item.revision] if item.revision else item.value
            for number, item in metadata.items()
        }
    )


def decode_metadata(column: Mapping[str, Any], last_update: str | None) -> dict[int, MetadataValue]:
    """Metadata by number, ascending, with the LastUpdate that is kept apart."""
    decoded = {
        int(number): MetadataValue(item, 0) if type(item) is str else MetadataValue(*item)
        for number, item in column.items()
    }
    if last_update is not None:
        decoded[_LAST_UPDATE] = MetadataValue(last_update, 0)
    if len(decoded) < 2:
        return decoded
    numbers = sorted(decoded)
    # Nearly always they are in order.
    return decoded if numbers == [*decoded] else {number: decoded[number] for number in numbers}


#: Columns of `attachment_row`, in order.
ATTACHMENT_COLUMNS = (
    "uuid, content_type, size_bytes, md5, stored_size_bytes, stored_md5, compression, revision"
)
#: The same as the fields of `Attachment`.
SHOWN_ATTACHMENT_COLUMNS = ATTACHMENT_COLUMNS.replace("stored_md5", "ifnull(stored_md5, md5)")


def attachment_row(row: Row) -> Attachment:
    """From `ATTACHMENT_COLUMNS`."""
    return Attachment(
        uuid=row[0],
        content_type=row[1],
        size_bytes=row[2],
        md5=row[3],
        stored_size_bytes=row[4],
        stored_md5=row[3] if row[5] is None else row[5],
        compression=COMPRESSIONS[row[6]],
        revision=row[7],
    )


def attachment_columns(internal_id: int, attachment: Attachment) -> Row:
    """Parameters of an INSERT: ``internal_id``, then `ATTACHMENT_COLUMNS`."""
    same = attachment.stored_md5 == attachment.md5
    return (
        internal_id,
        attachment.uuid,
        int(attachment.content_type),
        attachment.size_bytes,
        attachment.md5,
        attachment.stored_size_bytes,
        None if same else attachment.stored_md5,
        int(attachment.compression),
        attachment.revision,
    )


def chunks(items: Iterable[int], size: int = 500) -> Iterable[list[int]]:
    """Lists of at most ``size`` items."""
    everything = list(items)
    for start in range(0, len(everything), size):
        yield everything[start : start + size]
