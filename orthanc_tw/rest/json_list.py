"""Lists of any length as JSON: short ones as a body, long ones in chunks with back-pressure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.http import JSON_TYPE, json_body

NextChunk = Callable[[], "bytes | Deferred[bytes]"]
#: Writes chunks until an empty one, no faster than the client takes them, and finishes the
#: request (`Streamer.send_chunks`).
SendChunks = Callable[[Request, NextChunk], Deferred[None]]
Pages = AsyncIterator[Sequence[JsonValue]]


async def json_list(request: Request, pages: Pages, send_chunks: SendChunks) -> bytes | None:
    """Answer with one list made of all pages. Errors of the first two become error answers.

    :returns: the body, or None if it was sent in chunks
    """
    first = await anext(pages, ())
    second = await anext(pages, None)
    if second is None:
        return json_body(request, list(first))
    request.responseHeaders.setRawHeaders(b"content-type", [JSON_TYPE])
    chunks = _encoded(first, second, pages)

    async def step() -> bytes:
        return await anext(chunks, b"")

    await send_chunks(request, lambda: Deferred.fromCoroutine(step()))
    return None


async def _encoded(
    first: Sequence[JsonValue], second: Sequence[JsonValue], rest: Pages
) -> AsyncIterator[bytes]:
    yield b"[\n" + _items(first)
    if second:
        yield b",\n" + _items(second)
    async for page in rest:
        if page:
            yield b",\n" + _items(page)
    yield b"\n]\n"


def _items(page: Sequence[JsonValue]) -> bytes:
    text = json.dumps(list(page), indent=2, sort_keys=True, ensure_ascii=False)
    return text[2:-2].encode("utf-8", "replace")
