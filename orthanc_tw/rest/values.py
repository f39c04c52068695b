"""Sends the values of elements, without having them whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.dicom.content import ContentValue
from orthanc_tw.rest.http import Body
from orthanc_tw.rest.json_list import SendChunks

InThread = Callable[..., Deferred[Any]]
# Up to this size an answer is made at once.
SMALL_BYTES = 64 * 1024


async def send_value(
    request: Request,
    value: ContentValue,
    close: Callable[[], None],
    send_chunks: SendChunks,
    in_thread: InThread,
) -> Body:
    """Answer the bytes of a value.

    :param close: called once it has been read, whatever happens
    """
    headers = request.responseHeaders
    headers.setRawHeaders(b"content-type", [value.content_type.encode("ascii")])
    chunks = value.chunks()
    if value.length <= SMALL_BYTES:
        try:
            data: bytes = await in_thread(b"".join, chunks)
            return data
        finally:
            close()
    headers.setRawHeaders(b"content-length", [b"%d" % value.length])
    try:
        await send_chunks(request, lambda: in_thread(next, chunks, b""))
    finally:
        close()
    return None
