"""``Range`` of a request: as Orthanc reads it (topic 14 of the corpus), and as RFC 9110, 14."""

from __future__ import annotations

import re

from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError

_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z")
_STANDARD = re.compile(rb"bytes=\s*(?:(\d{1,18})\s*-\s*(\d{0,18})|-\s*(\d{1,18}))\s*\Z", re.I)


def standard_range(request: Request, size_bytes: int, tag: bytes) -> tuple[int, int] | None:
    """First and last offset (inclusive) that the client wants of a body, None for all of it.

    One range of RFC 9110, 14; several, malformed ones, and those for another ``If-Range`` than
    ``tag`` are ignored, as it allows and demands.

    :raises OrthancError: BAD_RANGE (416) if it begins past the end; ``Content-Range`` is set
    """
    headers = request.requestHeaders
    values = headers.getRawHeaders(b"range")
    condition = headers.getRawHeaders(b"if-range")
    if not values or (condition and condition[0].strip() != tag):
        return None
    match = _STANDARD.match(values[0].strip())
    if match is None:
        return None
    if match[3] is None:
        start = int(match[1])
        end = int(match[2]) if match[2] else size_bytes - 1
        if match[2] and end < start:
            return None
    else:
        start, end = max(size_bytes - int(match[3]), 0), size_bytes - 1
        if not int(match[3]):
            start = size_bytes
    if start >= size_bytes:
        request.setHeader(b"content-range", b"bytes */%d" % size_bytes)
        raise OrthancError(ErrorCode.BAD_RANGE)
    return start, min(end, size_bytes - 1)


def requested_range(request: Request, size_bytes: int) -> tuple[int, int] | None:
    """First and last offset (inclusive) that the client wants of a body, None for all of it.

    ``bytes=-4`` is from 0 to 4, as in Orthanc, not the last 4 bytes.

    :raises OrthancError: BAD_RANGE (416) if it is malformed, more than one range, or begins
        past the end; BAD_SEQUENCE_OF_CALLS (500) if it ends before it begins
    """
    values = request.requestHeaders.getRawHeaders(b"range")
    if not values:
        return None
    match = _RANGE.match(values[0])
    if match is None or match.group(1) == match.group(2) == b"":
        raise OrthancError(ErrorCode.BAD_RANGE)
    start = int(match.group(1) or 0)
    end = int(match.group(2)) if match.group(2) else size_bytes - 1
    if match.group(2) and end < start:
        raise OrthancError(ErrorCode.BAD_SEQUENCE_OF_CALLS)
    if start >= size_bytes:
        raise OrthancError(ErrorCode.BAD_RANGE)
    return start, min(end, size_bytes - 1)
