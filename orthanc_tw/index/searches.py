"""Runs what `orthanc_tw.index.find` plans, and pages of a level.

Belongs to the thread of its connection, inside a transaction. Short lists are fetched as one
text: a step a row would be a turn at the interpreter lock a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from orthanc_tw.index.find import Statement, count_statement, find_statement, level_count
from orthanc_tw.index.gateway import FindQuery, ResourceRow
from orthanc_tw.index.notes import Notes
from orthanc_tw.index.ranks import Ranks
from orthanc_tw.index.rows import RESOURCE_COLUMNS, SHORT, resource_rows
from orthanc_tw.model.levels import ResourceType

T = TypeVar("T")
#: Runs a statement with its parameters, whose LIMIT is the number.
_Read = Callable[[str, Sequence[object], int], list[T]]

_PAGE = f"SELECT {RESOURCE_COLUMNS} FROM resources WHERE level = ? AND public_id"
_PAGE_ORDER = " ORDER BY public_id LIMIT ? OFFSET ?"
#: Offsets up to which it is quicker to walk.
SKIPPED = 500
#: Pages of an ordered level that are kept, and the most rows of one.
MOST_ORDERED = 64
MOST_ORDERED_ROWS = 200


class Searches:
    """Finds resources over one connection.

    :param trigrams: whether the database has that index
    """

    def __init__(self, connection: sqlite3.Connection, notes: Notes, *, trigrams: bool) -> None:
        self._connection = connection
        self._trigrams = trigrams
        self._notes = notes
        self._ranks = Ranks(connection, notes)

    def page(
        self, level: ResourceType, *, after: str | None, since: int, limit: int
    ) -> Sequence[ResourceRow]:
        """Resources of a level ordered by public identifier."""
        comparison, first = "> ?", after or ""
        if since > SKIPPED and after is None:
            place = self._ranks.place(level, since)
            if place is None:
                return []
            comparison = ">= ?"
            first, since = place
        parameters = (int(level), first, limit or -1, since)
        return self._rows(f"{_PAGE} {comparison}{_PAGE_ORDER}", parameters, limit)

    def find(self, query: FindQuery) -> Sequence[ResourceRow]:
        """Resources in the order of the query."""
        if _is_whole_level(query):
            return self._page(query)
        if not _is_page_of_ordered_level(query):
            return self._found(query, self._statement(query), self._rows)
        # Nothing takes longer than to put a whole level in order, and pages of it are asked for
        # again and again.
        kept = self._notes.of("ordered")
        key = query.level, tuple(query.order), query.since, query.limit
        found: Sequence[ResourceRow] | None = kept.get(key)
        if found is None:
            if len(kept) >= MOST_ORDERED:
                kept.clear()
            found = kept[key] = self._found(query, self._statement(query), self._rows)
        return found

    def find_identifiers(self, query: FindQuery) -> Sequence[str]:
        """Public identifiers of what `find` finds."""
        if _is_whole_level(query):
            return [row.public_id for row in self._page(query)]
        statement = self._statement(query)
        if statement.any_order is not None:
            some = statement.any_order
            found = self._identifiers(some.sql, some.parameters, query.limit)
            if len(found) <= query.limit:
                return sorted(found)
        return self._found(query, statement, self._identifiers)

    def count(self, query: FindQuery) -> int:
        """Number of matches; paging does not count."""
        if not query.constraints and not query.labels and query.parent is None:
            return level_count(self._connection, query.level)
        statement = count_statement(self._connection, query, trigrams=self._trigrams)
        row = self._connection.execute(statement.sql, statement.parameters).fetchone()
        return int(row[0])

    def _page(self, query: FindQuery) -> Sequence[ResourceRow]:
        return self.page(query.level, after=query.after, since=query.since, limit=query.limit)

    def _statement(self, query: FindQuery, *, walk: bool = True) -> Statement:
        return find_statement(self._connection, query, trigrams=self._trigrams, walk=walk)

    def _found(self, query: FindQuery, statement: Statement, read: _Read[T]) -> list[T]:
        found = read(statement.sql, statement.parameters, query.limit)
        if statement.is_partial and len(found) < query.limit:
            whole = self._statement(query, walk=False)
            found = read(whole.sql, whole.parameters, query.limit)
        return found

    def _rows(self, sql: str, parameters: Sequence[object], limit: int) -> list[ResourceRow]:
        return resource_rows(self._connection, sql, parameters, limit)

    def _identifiers(self, sql: str, parameters: Sequence[object], limit: int) -> list[str]:
        if 0 < limit <= SHORT:
            one_text = f"SELECT json_group_array(public_id) FROM ({sql})"
            (text,) = self._connection.execute(one_text, parameters).fetchone()
            return msgspec.json.decode(text, type=list[str])
        only = f"SELECT public_id FROM ({sql})"
        return [row[0] for row in self._connection.execute(only, parameters)]


def _is_whole_level(query: FindQuery) -> bool:
    return not (query.constraints or query.labels or query.parent or query.order)


def _is_page_of_ordered_level(query: FindQuery) -> bool:
    return (
        bool(query.order)
        and 0 < query.limit <= MOST_ORDERED_ROWS
        and not (query.constraints or query.labels or query.parent or query.after)
    )
