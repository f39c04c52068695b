"""Error answers: the JSON body of an `OrthancError`, and the bare answers without a body.

Source: ``errors.json`` of the reference corpus (fields, content types, the errors that
have no body at all).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from twisted.web import http
from twisted.web.server import Request

from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.json_text import pretty

# Twisted's and Python's phrases differ from those that clients of Orthanc know.
_PHRASES = {
    413: b"Request Entity Too Large",
    416: b"Requested Range Not Satisfiable",
    422: b"Unprocessable Entity",
    507: b"Insufficient Storage",
}

UNKNOWN_METHOD_BODY = b"Error 400: Bad Request\nBad request"


@dataclass(frozen=True, slots=True)
class ErrorSettings:
    """``HttpDescribeErrors``: whether errors have a body at all."""

    describe_errors: bool = True


class BareError(Exception):
    """An error that is answered with a status and no body (see ``without_json`` of the corpus).

    A handler may raise it: unknown resource identifiers (404), disabled features (403)...
    """

    def __init__(self, http_status: int) -> None:
        super().__init__(http_status)
        self.http_status = http_status


def phrase(status: int) -> bytes:
    """Reason phrase of an HTTP status, as ``HttpError`` has it."""
    found = _PHRASES.get(status) or http.RESPONSES.get(status, b"Unknown Status")
    return bytes(found)


def set_status(request: Request, status: int) -> None:
    """Set the status of the answer with Orthanc's reason phrase."""
    request.setResponseCode(status, phrase(status))


def decoded_path(request: Request) -> str:
    """The path as error bodies show it (``Uri``): percent-decoded, without the query."""
    return unquote_to_bytes(request.path).decode("utf-8", "replace")


def bare(request: Request, status: int) -> bytes:
    """Prepare an answer that has a status and nothing else; returns the empty body."""
    request.responseHeaders.removeHeader(b"content-type")
    set_status(request, status)
    return b""


def unknown_method(request: Request) -> bytes:
    """The answer to a method that HTTP servers do not know, or must not trust (TRACE)."""
    set_status(request, 400)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"cache-control", b"no-cache, no-store, must-revalidate, private, max-age=0")
    return UNKNOWN_METHOD_BODY


def describe(request: Request, error: OrthancError, settings: ErrorSettings) -> bytes:
    """Prepare the answer to an `OrthancError` and return its body."""
    # What a handler said of the body that it could not send after all.
    request.responseHeaders.removeHeader(b"content-disposition")
    if error.http_status != 416:
        request.responseHeaders.removeHeader(b"content-range")
    request.responseHeaders.removeHeader(b"content-encoding")
    if not settings.describe_errors:
        return bare(request, error.http_status)
    status = error.http_status
    body: JsonObject = {
        "HttpError": phrase(status).decode("ascii"),
        "HttpStatus": status,
        "Message": error.code.description,
        # The length that is told to a HEAD is that of the GET.
        "Method": "GET" if request.method == b"HEAD" else request.method.decode("latin-1"),
        "OrthancError": error.code.description,
        "OrthancStatus": int(error.code),
        "Uri": decoded_path(request),
    }
    if error.details is not None:
        body["Details"] = error.details
    if error.payload is not None:
        body["ErrorPayload"] = error.payload
    set_status(request, status)
    request.setHeader(b"content-type", b"text/plain")
    return pretty(body) + b"\n"
