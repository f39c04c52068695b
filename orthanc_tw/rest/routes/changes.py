"""``/changes``: what happened to resources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.index.gateway import Change, ChangesPage, Index, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.registries import ChangeType
from orthanc_tw.rest.answers import empty_text, resource_path
from orthanc_tw.rest.http import (
    JSON_TYPE,
    Route,
    argument,
    has_argument,
    integer_argument,
    json_body,
)
from orthanc_tw.rest.json_list import SendChunks
from orthanc_tw.rest.json_text import pretty
from orthanc_tw.rest.spec import (
    BOOLEAN,
    FLAG,
    INTEGER,
    STRING,
    answer,
    array,
    described,
    fields,
    json_spec,
    text_spec,
)

DEFAULT_LIMIT = 100
MAXIMUM_LIMIT = 100_000
# Changes of a chunk of a long answer.
PAGE = 500
_LABELS = {int(item): item.label for item in ChangeType}
_NUMBERS = {label: number for number, label in _LABELS.items()}

_PAGE = {
    "since": described(INTEGER, "Number after which to begin"),
    "to": described(INTEGER, "Number to end with"),
    "limit": described(INTEGER, "Most entries"),
    "last": described(FLAG, "The last entry only"),
}
_CHANGE = answer(
    {
        "ChangeType": STRING,
        "Date": STRING,
        "ID": STRING,
        "Path": STRING,
        "ResourceType": STRING,
        "Seq": INTEGER,
    }
)
_CHANGES = json_spec(
    fields({"Changes": array(_CHANGE), "Done": BOOLEAN, "Last": INTEGER, "First": INTEGER}),
    query={**_PAGE, "type": described(STRING, "Types of changes, by semicolons")},
)
_CLEAR = text_spec()


def _types(request: Request) -> list[int]:
    numbers = []
    for name in (argument(request, "type") or "").split(";"):
        if name:
            if name not in _NUMBERS:
                raise OrthancError(
                    ErrorCode.PARAMETER_OUT_OF_RANGE, f"Invalid value for a change: {name}"
                )
            numbers.append(_NUMBERS[name])
    return numbers


def change_json(change: Change) -> JsonObject:
    """One entry of ``Changes``."""
    return {
        "ChangeType": _LABELS[change.change_type],
        "Date": change.date,
        "ID": change.public_id,
        "Path": resource_path(change.level, change.public_id),
        "ResourceType": change.level.label,
        "Seq": change.seq,
    }


def page_json(page: ChangesPage) -> JsonObject:
    """An answer of ``/changes``; an empty one tells the last number ever given."""
    answer: JsonObject = {
        "Changes": [change_json(change) for change in page.changes],
        "Done": page.done,
        "Last": page.changes[-1].seq if page.changes else page.last_seq,
    }
    if page.changes:
        answer["First"] = page.changes[0].seq
    return answer


class ChangeRoutes:
    """The log of changes."""

    def __init__(self, index: Index, send_chunks: SendChunks) -> None:
        self._index = index
        self._send_chunks = send_chunks

    def routes(self) -> Iterable[Route]:
        """Read and clear."""
        yield Route("GET", "/changes", self.get_changes, "List the changes", spec=_CHANGES)
        yield Route("DELETE", "/changes", self.delete_changes, "Clear the changes", spec=_CLEAR)

    async def get_changes(self, request: Request) -> bytes | None:
        """A page of changes: ``since``, ``to``, ``limit``, ``type``, or the ``last`` one."""
        if has_argument(request, "last"):
            return json_body(request, page_json(await self._index.read(_last)))
        since, to = integer_argument(request, "since"), integer_argument(request, "to")
        types = _types(request)
        limit = integer_argument(request, "limit")
        limit = DEFAULT_LIMIT if limit is None else min(limit, MAXIMUM_LIMIT)
        if limit > PAGE and (since is not None or to is None):
            return await self._send_many(request, max(since or 0, 0), to, types, limit)

        def read(tx: ReadTransaction) -> ChangesPage:
            if limit <= 0:
                return ChangesPage((), limit != 0, tx.last_change_seq())
            return tx.changes(
                since=max(since, 0) if since is not None else None, to=to, types=types, limit=limit
            )

        return json_body(request, page_json(await self._index.read(read)))

    async def _send_many(
        self, request: Request, since: int, to: int | None, types: list[int], limit: int
    ) -> bytes | None:
        """Oldest first, in pages; a change that comes in meanwhile may be in the last one."""

        def read(after: int, left: int) -> Deferred[ChangesPage]:
            size = min(left, PAGE)
            return self._index.read(
                lambda tx: tx.changes(since=after, to=to, types=types, limit=size)
            )

        first = await read(since, limit)
        if first.done or not first.changes:
            return json_body(request, page_json(first))

        async def chunks() -> AsyncIterator[bytes]:
            page, left, opening = first, limit, b'{\n   "Changes": [\n'
            while page.changes:
                last, left = page.changes[-1].seq, left - len(page.changes)
                items = [change_json(change) for change in page.changes]
                yield opening + pretty(items)[2:-2]
                opening = b",\n"
                if page.done or not left:
                    break
                page = await read(last, left)
            tail = {"Done": page.done, "First": first.changes[0].seq, "Last": last}
            yield b"\n   ],\n" + pretty(tail)[2:] + b"\n"

        request.setHeader(b"content-type", JSON_TYPE)
        made = chunks()
        await self._send_chunks(request, lambda: Deferred.fromCoroutine(_next(made)))
        return None

    async def delete_changes(self, request: Request) -> bytes:
        """Forget all changes; their numbers are not given again."""
        await self._index.write(lambda tx: tx.clear_changes())
        return empty_text(request)


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    async for chunk in chunks:
        return chunk
    return b""


def _last(tx: ReadTransaction) -> ChangesPage:
    change = tx.last_change()
    changes = () if change is None else (change,)
    return ChangesPage(changes, True, tx.last_change_seq())
