"""Where a page begins that is asked for by its number: counted, not walked over.

Belongs to the thread of its connection.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from itertools import accumulate

import msgspec

from orthanc_tw.index.notes import Notes
from orthanc_tw.model.levels import ResourceType

_AMOUNTS = """
SELECT json_group_array(prefix), json_group_array(amount)
FROM (SELECT prefix, amount FROM ranks WHERE level = ? ORDER BY prefix LIMIT -1)
"""
#: Beginnings of identifiers, and how many resources there are up to each.
_Totals = tuple[list[str], list[int]]


class Ranks:
    """The table ``ranks`` of a connection."""

    def __init__(self, connection: sqlite3.Connection, notes: Notes) -> None:
        self._connection = connection
        self._notes = notes

    def place(self, level: ResourceType, since: int) -> tuple[str, int] | None:
        """Where to begin, and how many to pass over from there, to have passed over ``since``.

        :returns: the least identifier (one of 4096 beginnings) and a number, or None if there
            are not so many resources
        """
        prefixes, totals = self._totals(level)
        place = bisect_right(totals, since)
        if place == len(totals):
            return None
        return prefixes[place], since - (totals[place - 1] if place else 0)

    def _totals(self, level: ResourceType) -> _Totals:
        notes = self._notes.of("ranks")
        if level in notes:
            kept: _Totals = notes[level]
            return kept
        prefixes, amounts = self._connection.execute(_AMOUNTS, (int(level),)).fetchone()
        totals = (
            msgspec.json.decode(prefixes, type=list[str]),
            list(accumulate(msgspec.json.decode(amounts, type=list[int]))),
        )
        notes[level] = totals
        return totals
