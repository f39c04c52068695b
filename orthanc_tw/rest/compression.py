"""Compression of answers in memory (``HttpCompressionEnabled``; topic 52 of the corpus).

Only text is worth it: images, archives and DICOM files are left alone.
"""

from __future__ import annotations

import zlib

from twisted.web.server import Request

# Below this the headers cost more than the body saves.
MINIMUM_BYTES = 512
# Deflating more than this in the reactor thread would hold up the other requests.
MAXIMUM_BYTES = 1024 * 1024

_TEXT = (b"application/json", b"application/xml", b"application/javascript", b"text/")


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
    headers = request.responseHeaders
    content_type = (headers.getRawHeaders(b"content-type") or [b""])[0]
    if not content_type.startswith(_TEXT) or headers.hasHeader(b"content-encoding"):
        return body
    encoding = accepted_encoding(request)
    if encoding is None:
        return body
    headers.setRawHeaders(b"content-encoding", [encoding])
    headers.setRawHeaders(b"vary", [b"Accept-Encoding"])
    # zlib's window bits: +16 writes a gzip header, plain 15 the zlib one ("deflate" of RFC 9110).
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == b"gzip" else 15)
    return compressor.compress(body) + compressor.flush()


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
