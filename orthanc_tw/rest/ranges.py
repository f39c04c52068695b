"""``Range`` of a request, the way Orthanc reads it (topic 14 of the corpus), and RFC 9110, 14."""

from __future__ import annotations

import re

from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError

_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z")


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
