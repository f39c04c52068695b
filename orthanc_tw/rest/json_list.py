"""Lists of any length as JSON: short ones as a body, long ones in chunks with back-pressure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest import xml_body
from orthanc_tw.rest.http import JSON_TYPE, json_body
from orthanc_tw.rest.json_text import pretty

T = TypeVar("T")
D = TypeVar("D")
NextChunk = Callable[[], "bytes | Deferred[bytes]"]
#: Writes chunks until an empty one, no faster than the client takes them, and finishes the
#: request (`Streamer.send_chunks`).
SendChunks = Callable[[Request, NextChunk], Deferred[None]]
Pages = AsyncIterator[Sequence[JsonValue]]


async def _next(iterator: AsyncIterator[T], default: D) -> T | D:
    # Not anext(iterator, default): in CPython 3.11 what it returns cannot be thrown into, so
    # it breaks when a Deferred fails inside.
    try:
        return await iterator.__anext__()
    except StopAsyncIteration:
        return default


async def json_list(request: Request, pages: Pages, send_chunks: SendChunks) -> bytes | None:
    """Answer with one list made of all pages. Errors of the first two become error answers.

    :returns: the body, or None if it was sent in chunks
    """
    first = await _next(pages, ())
    second = await _next(pages, None)
    if second is None:
        return json_body(request, list(first or ()))
    if xml_body.is_wanted(request):
        content_type, chunks = xml_body.XML_TYPE, _xml_list(first or (), second, pages)
    else:
        content_type, chunks = JSON_TYPE, _encoded(first or (), second, pages)
    request.responseHeaders.setRawHeaders(b"content-type", [content_type])
    await send_chunks(request, lambda: Deferred.fromCoroutine(_next(chunks, b"")))
    return None


async def json_object(
    request: Request,
    entries: AsyncIterator[tuple[str, JsonValue]],
    send_chunks: SendChunks,
    *,
    small: int = 16,
) -> bytes | None:
    """Answer with one object of all entries, in their order.

    :param small: objects of so many entries are one body
    :returns: the body, or None if it was sent in chunks
    """
    head: list[tuple[str, JsonValue]] = []
    async for entry in entries:
        head.append(entry)
        if len(head) == small:
            break
    else:
        return json_body(request, dict(head))
    if xml_body.is_wanted(request):
        content_type, chunks = xml_body.XML_TYPE, _xml_object(head, entries)
    else:
        content_type, chunks = JSON_TYPE, _encoded_object(head, entries)
    request.responseHeaders.setRawHeaders(b"content-type", [content_type])
    await send_chunks(request, lambda: Deferred.fromCoroutine(_next(chunks, b"")))
    return None


async def _xml_list(
    first: Sequence[JsonValue], second: Sequence[JsonValue], rest: Pages
) -> AsyncIterator[bytes]:
    yield xml_body.DECLARATION + b"<root>\n"
    for page in (first, second):
        if page:
            yield _xml_items(page)
    async for page in rest:
        if page:
            yield _xml_items(page)
    yield b"</root>\n"


def _xml_items(page: Sequence[JsonValue]) -> bytes:
    return b"".join([_xml("item", value) for value in page])


async def _xml_object(
    head: Sequence[tuple[str, JsonValue]], rest: AsyncIterator[tuple[str, JsonValue]]
) -> AsyncIterator[bytes]:
    yield xml_body.DECLARATION + b"<root>\n"
    for name, value in head:
        yield _xml(name, value)
    async for name, value in rest:
        yield _xml(name, value)
    yield b"</root>\n"


def _xml(name: str, value: JsonValue) -> bytes:
    # By way of the text: its keys are sorted.
    return xml_body.element(name, json.loads(pretty(value)), 1)


async def _encoded_object(
    head: Sequence[tuple[str, JsonValue]], rest: AsyncIterator[tuple[str, JsonValue]]
) -> AsyncIterator[bytes]:
    yield b"{\n" + b",\n".join(_item(name, value) for name, value in head)
    async for name, value in rest:
        yield b",\n" + _item(name, value)
    yield b"\n}\n"


def _item(name: str, value: JsonValue) -> bytes:
    return pretty({name: value})[2:-2]


async def _encoded(
    first: Sequence[JsonValue], second: Sequence[JsonValue], rest: Pages
) -> AsyncIterator[bytes]:
    separator = b"[\n"
    for page in (first, second):
        if page:
            yield separator + _items(page)
            separator = b",\n"
    async for page in rest:
        if page:
            yield separator + _items(page)
            separator = b",\n"
    yield b"\n]\n" if separator == b",\n" else b"[]\n"


def _items(page: Sequence[JsonValue]) -> bytes:
    return pretty(list(page))[2:-2]
