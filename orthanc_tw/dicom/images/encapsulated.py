"""Which fragments of encapsulated pixel data make up which frame (PS3.5 annex A.4)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from orthanc_tw.model.errors import ErrorCode, OrthancError

Fragment = tuple[int, int]
_ITEM_HEAD_BYTES = 8
_END_OF_STREAM = (b"\xff\xd9",)


def frames_of(
    fragments: Sequence[Fragment], count: int, read: Callable[[int, int], bytes]
) -> list[list[Fragment]]:
    """The fragments of each frame.

    :param fragments: ``(offset, length)`` of all, that of the offset table first
    :param count: NumberOfFrames
    :param read: bytes of the file at an offset; of any length, looked at only for the offset
        table and the ends of fragments
    :raises OrthancError: BAD_FILE_FORMAT if they cannot be told from each other
    """
    if not fragments:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Encapsulated pixel data without fragments")
    (table, *data) = fragments
    if count == 1:
        return [list(data)]
    if len(data) == count:
        return [[fragment] for fragment in data]
    return _by_table(table, data, count, read) or _by_ends(data, count, read)


def _by_table(
    table: Fragment, data: Sequence[Fragment], count: int, read: Callable[[int, int], bytes]
) -> list[list[Fragment]] | None:
    """By the basic offset table, which counts from the item after it; None if it is no help."""
    if table[1] != 4 * count or not data:
        return None
    offsets = struct.unpack(f"<{count}I", read(*table))
    first = data[0][0]
    found: list[list[Fragment]] = []
    starts = set(offsets)
    for fragment in data:
        if fragment[0] - first in starts:
            found.append([])
        if not found:
            return None
        found[-1].append(fragment)
    return found if len(found) == count else None


def _by_ends(
    data: Sequence[Fragment], count: int, read: Callable[[int, int], bytes]
) -> list[list[Fragment]]:
    """By the marker that ends each JPEG stream, which may be followed by padding."""
    found: list[list[Fragment]] = [[]]
    for offset, length in data:
        found[-1].append((offset, length))
        tail = read(offset + max(0, length - 4), min(4, length)).rstrip(b"\0")
        if tail.endswith(_END_OF_STREAM):
            found.append([])
    if not found[-1]:
        found.pop()
    if len(found) != count:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            f"{len(data)} fragments cannot be told apart into {count} frames",
        )
    return found
