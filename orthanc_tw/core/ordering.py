"""``OrderBy`` of what the index alone cannot find: the values, and the order itself.

The same order as that of the index (`orthanc_tw.index.find_order`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from orthanc_tw.core.requested import main_tag
from orthanc_tw.index.gateway import ExpandParts, OrderKey, ReadTransaction, ResourceRow
from orthanc_tw.model.levels import ResourceType

Keyed = tuple[ResourceRow, list[str | None]]
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)")
_PARTS = ExpandParts(
    children=False,
    metadata=True,
    attachments=False,
    labels=False,
    ancestors=frozenset(ResourceType),
)


def order_values(
    tx: ReadTransaction, rows: Sequence[ResourceRow], order: Sequence[OrderKey]
) -> list[Keyed]:
    """Rows with the text of each criterion; None where a resource has none."""
    keyed: list[Keyed] = []
    for record, row in zip(tx.expand(rows, _PARTS), rows, strict=True):
        values: list[str | None] = []
        for key in order:
            if key.metadata is not None:
                values.append(record.metadata.get(key.metadata))
                continue
            assert key.tag is not None
            values.append(main_tag(record, key.tag))
        keyed.append((row, values))
    return keyed


def sorted_rows(keyed: Iterable[Keyed], order: Sequence[OrderKey]) -> list[ResourceRow]:
    """In the order asked for; equal ones in the order in which they arrived at the server."""
    rows = sorted(keyed, key=lambda item: item[0].internal_id)
    # Stable sorts from the least criterion to the first.
    for position in reversed(range(len(order))):
        key = order[position]
        rows.sort(
            key=lambda item: _comparable(item[1][position], key.cast),
            reverse=key.descending,
        )
    return [row for row, _ in rows]


def _comparable(text: str | None, cast: str) -> tuple[bool, float | str]:
    """Absent ones first; text that is no number counts as 0, ``1CT1`` as 1."""
    if text is None:
        return False, "" if cast == "Text" else 0.0
    if cast == "Text":
        return True, text
    found = (_INTEGER if cast == "Int" else _NUMBER).match(text)
    return True, float(found[1]) if found else 0.0
