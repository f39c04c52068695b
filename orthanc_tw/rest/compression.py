"""Compression of answers, whole or in chunks (``HttpCompressionEnabled``; topic 52).

Only text is worth it: images, archives and DICOM files are left alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.web.server import Request

# Below this the headers cost more than the body saves.
MINIMUM_BYTES = 512
# Deflating more than this in the reactor thread would hold up the other requests.
MAXIMUM_BYTES = 1024 * 1024

_TEXT = (b"application/json", b"application/xml", b"application/javascript", b"text/")
# A client reads it while it is written.
_LIVE = b"text/event-stream"
NextChunk = Callable[[], "bytes | Deferred[bytes]"]


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


def accepted_encoding(request: Request) -> bytes | None:
    """``gzip`` or ``deflate`` if the client accepts it (in this order), else None."""
    accepted = set()
    for value in request.requestHeaders.getRawHeaders(b"accept-encoding") or ():
        for item in value.lower().split(b","):
            name, _, parameters = item.partition(b";")
            if not _is_refused(parameters):
                accepted.add(name.strip())
    for name in (b"gzip", b"deflate"):
        if name in accepted:
            return name
    return None


def compressed(request: Request, body: bytes) -> bytes:
    """Compress a body if its type, its size and the client allow; sets ``Content-Encoding``."""
    if not MINIMUM_BYTES <= len(body) <= MAXIMUM_BYTES:
        return body
    compressor = _begin(request)
    return body if compressor is None else compressor.compress(body) + compressor.flush()


def compressed_chunks(request: Request, next_chunk: NextChunk) -> NextChunk:
    """The same for an answer in chunks of no known length, which ends with an empty chunk."""
    if request.responseHeaders.hasHeader(b"content-length"):
        return next_chunk
    compressor = _begin(request)
    if compressor is None:
        return next_chunk
    has_ended = False

    def compress(chunk: bytes) -> bytes:
        nonlocal has_ended
        if chunk:
            # Flushed: nothing is kept back, and an empty chunk would be the end.
            return compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)
        has_ended = True
        return compressor.flush()

    def next_compressed() -> bytes | Deferred[bytes]:
        if has_ended:
            return b""
        chunk = next_chunk()
        return chunk.addCallback(compress) if isinstance(chunk, Deferred) else compress(chunk)

    return next_compressed


def _begin(request: Request) -> _Compressor | None:
    """What compresses the answer, with its headers set; None if it is to be left alone."""
    headers = request.responseHeaders
    content_type = (headers.getRawHeaders(b"content-type") or [b""])[0]
    if not content_type.startswith(_TEXT) or content_type.startswith(_LIVE):
        return None
    if headers.hasHeader(b"content-encoding"):
        return None
    encoding = accepted_encoding(request)
    if encoding is None:
        return None
    headers.setRawHeaders(b"content-encoding", [encoding])
    headers.setRawHeaders(b"vary", [b"Accept-Encoding"])
    # zlib's window bits: +16 writes a gzip header, plain 15 the zlib one ("deflate" of RFC 9110).
    return zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == b"gzip" else 15)


def _is_refused(parameters: bytes) -> bool:
    """Whether the parameters of an Accept-Encoding item are ``q=0`` (RFC 9110, 12.4.2)."""
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value) == 0
            except ValueError:
                return True
    return False
