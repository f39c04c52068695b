"""``OrderBy`` as SQL: the values that resources are ordered by, and the indexes that have them in
order already.

Absent values come first, and last if the order is descending; text that is no number counts as 0,
``1CT1`` as 1 (as SQLite's CAST has it).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from orthanc_tw.index.constraints import Driver, identifier_driver, in_value_order
from orthanc_tw.index.gateway import FindQuery, OrderKey
from orthanc_tw.index.normalize import IDENTIFIER_TAGS, tag_number
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType

#: Identifiers whose normalized value is the value itself: dates and UIDs.
_PLAIN = frozenset(
    {"0008,0020", "0010,0030", "0020,000d", "0020,000e", "0008,0018"},
)
_CASTS = {"Text": "{}", "Int": "CAST({} AS INTEGER)", "Float": "CAST({} AS REAL)"}
_BY_UPDATE = (
    "SELECT internal_id, last_update AS value FROM resources INDEXED BY studies_by_update"
    " WHERE level = 2"
)
_WITH_TAG = "SELECT count(*) FROM identifiers WHERE tag = ?"


@dataclass(frozen=True, slots=True)
class OrderColumn:
    """An expression over the aliases of a statement."""

    sql: str
    parameters: tuple[object, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Walk:
    """An index that has the resources of a query in the order that is asked for first.

    :ivar is_whole: whether all of them are in it; those that are not come last
    """

    driver: Driver
    is_whole: bool

    def follows(self, driver: Driver) -> bool:
        """Whether it is over what that driver matches."""
        return driver.constraint is not None and driver.constraint is self.driver.constraint


def order_walk(
    connection: sqlite3.Connection, query: FindQuery, total: int, *, trigrams: bool
) -> Walk | None:
    """Such an index, if there is one and if only a page is asked for.

    :param total: resources of the level
    """
    if not query.order or not query.limit:
        return None
    key = query.order[0]
    if key.cast != "Text":
        return None
    if key.metadata == MetadataType.LAST_UPDATE and query.level is ResourceType.STUDY:
        return Walk(Driver(query.level, _BY_UPDATE, ()), is_whole=True)
    if key.level is not query.level or not _is_plain(key):
        return None
    assert key.tag is not None
    for constraint in query.constraints:
        if constraint.tag == key.tag and constraint.level is query.level:
            driver = identifier_driver(constraint, trigrams)
            if driver is not None and in_value_order(driver):
                return Walk(driver, is_whole=True)
    number = tag_number(key.tag)
    walk = Driver(
        query.level, "SELECT internal_id, value FROM identifiers WHERE tag = ?", (number,)
    )
    if key.descending:
        return Walk(walk, is_whole=False)
    (there,) = connection.execute(_WITH_TAG, (number,)).fetchone()
    return Walk(walk, is_whole=True) if there == total else None


def _is_plain(key: OrderKey) -> bool:
    return key.tag in _PLAIN and key.level is not None and key.tag in IDENTIFIER_TAGS[key.level]


def order_columns(query: FindQuery, *, walks: bool) -> list[OrderColumn]:
    """One a key, for a statement with the resources as ``r<level>``.

    :param walks: whether the first one is that of the driver ``d``
    """
    columns = []
    for number, key in enumerate(query.order):
        sql, parameters = _value(key, query.level)
        if walks and not number:
            sql, parameters = "d.value", ()
        columns.append(OrderColumn(_CASTS[key.cast].format(sql), parameters, key.descending))
    return columns


def _value(key: OrderKey, level: ResourceType) -> tuple[str, tuple[object, ...]]:
    """Text of a criterion of a resource, or NULL."""
    if key.metadata is not None:
        return _metadata(key.metadata, level)
    assert key.tag is not None
    if key.level is not None:
        if key.level > level:
            return "NULL", ()
        if _is_plain(key):
            owner = _internal_id(level, key.level)
            return (
                f"(SELECT i.value FROM identifiers i WHERE i.internal_id = {owner} AND i.tag = ?)",
                (tag_number(key.tag),),
            )
    levels = range(level, 0, -1) if key.level is None else (key.level,)
    found = [
        "(SELECT json_extract(t.tags, ?) FROM resource_data t"
        f" WHERE t.internal_id = {_internal_id(level, ResourceType(owner))})"
        for owner in levels
    ]
    # One argument is none for COALESCE.
    sql = f"coalesce({', '.join(found)}, NULL)"
    return sql, (f'$."{key.tag}"',) * len(found)


def _metadata(number: int, level: ResourceType) -> tuple[str, tuple[object, ...]]:
    alias = f"r{int(level)}"
    if number == MetadataType.LAST_UPDATE and level is not ResourceType.INSTANCE:
        return f"{alias}.last_update", ()
    # With its revision it is a list.
    sql = (
        "(SELECT coalesce(json_extract(t.metadata, ?), json_extract(t.metadata, ?))"
        f" FROM resource_data t WHERE t.internal_id = {alias}.internal_id)"
    )
    return sql, (f'$."{number}"[0]', f'$."{number}"')


def _internal_id(level: ResourceType, ancestor: ResourceType) -> str:
    """Of the ancestor at a level of ``r<level>``."""
    alias = f"r{int(level)}"
    if ancestor is level:
        return f"{alias}.internal_id"
    found = f"{alias}.parent_id"
    for _ in range(level - ancestor - 1):
        found = f"(SELECT a.parent_id FROM resources a WHERE a.internal_id = {found})"
    return found
