"""Which media type a client wants (``Accept``, RFC 9110 section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.server import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header


def likings(request: Request) -> Sequence[tuple[str, float]]:
    """Media types of the header, in lower case, with their quality, 0 to 1; equals in order."""
    values = request.requestHeaders.getRawHeaders(b"accept") or ()
    accepted = parse_accept_header(b",".join(values).decode("latin-1"), MIMEAccept)
    return [(media.lower(), quality) for media, quality in accepted]


def accepted_type(request: Request, offered: Sequence[str]) -> str | None:
    """The offered type that the client likes best, the first of equals; None if it wants none.

    Without the header it takes all; an empty one takes nothing, as in Orthanc.
    """
    values = request.requestHeaders.getRawHeaders(b"accept")
    if values is None:
        return offered[0]
    text = b",".join(values).decode("latin-1")
    accepted: MIMEAccept = parse_accept_header(text, MIMEAccept)
    best: str | None = accepted.best_match(offered)
    return best
