"""``ETag``, ``If-Match`` and ``If-None-Match``: a revision followed by an MD5.

Source: REST API, revisions (option ``CheckRevisions``) and RFC 9110 section 13.1; Orthanc
takes one entity tag only, with or without quotes.
"""

from __future__ import annotations

from twisted.web.server import Request

from orthanc_tw.core.revisions import Revision
from orthanc_tw.model.errors import ErrorCode, OrthancError

_MISSING = 'HTTP header "If-Match" is missing, as "CheckRevisions" is "true"'


def set_etag(request: Request, revision: Revision) -> None:
    """Put a revision in the answer's ``ETag``."""
    tag = f'"{revision.number}-{revision.md5}"'
    request.responseHeaders.setRawHeaders(b"etag", [tag.encode("ascii")])


def _parse(request: Request, header: str, shown: str) -> Revision | None:
    raw = request.getHeader(header)
    if raw is None:
        return None
    text = raw.strip().removeprefix('"').removesuffix('"')
    number, separator, md5 = text.partition("-")
    if not separator or not (number.isascii() and number.isdigit()) or len(number) > 18:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f'The "{shown}" HTTP header should contain the ETag '
            f"(revision followed by MD5 hash), but found: {text}",
        )
    return Revision(int(number), md5)


def if_match(request: Request, *, required: bool) -> Revision | None:
    """Revision of ``If-Match``, or None if there is no such header.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if it is malformed, REVISION if ``required``
        and absent
    """
    found = _parse(request, "if-match", "if-match")
    if found is None and required:
        raise OrthancError(ErrorCode.REVISION, _MISSING)
    return found


def is_not_modified(request: Request, current: Revision) -> bool:
    """Whether ``If-None-Match`` names the current revision, so that 304 is the answer.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if the header is malformed
    """
    return _parse(request, "if-none-match", "If-None-Match") == current
