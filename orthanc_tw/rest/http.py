"""Routes as values, and the few helpers every handler uses. No dependency on any service.

A routes file has a class whose constructor takes what it needs and whose ``routes()``
lists `Route`s; ``rest.router`` makes one Klein app of each first path segment out of
them, answers 404 and 405 (with ``Allow``) for the rest, and renders `OrthancError`s.
A handler gets the request and the path arguments, and returns the body as bytes, a
Deferred or coroutine of that,
or None if it has written its answer itself and finished the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_reading import read_json
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.json_text import pretty
from orthanc_tw.rest.spec import Spec

JSON_TYPE = b"application/json; charset=utf-8"

Body = bytes | None
Handler = Callable[..., Body | Deferred[Body] | Awaitable[Body]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path (werkzeug syntax: ``/studies/<public_id>/archive``).

    :ivar hot: matched ahead of Klein, which costs half of the requests per second; only for
        paths of static segments and plain ``<name>`` ones, with no more specific rival
    :ivar spec: what it takes and answers, for its description
    :ivar changes_state: goes on although its client has hung up. None: everything but GET
    """

    method: str
    path: str
    handler: Handler
    summary: str = ""
    hot: bool = False
    changes_state: bool | None = None
    spec: Spec | None = None


class RouteProvider(Protocol):
    """A routes file's class."""

    def routes(self) -> Iterable[Route]: ...


def json_body(request: Request, value: JsonValue) -> bytes:
    """Pretty-printed JSON with sorted keys, as users of ``curl`` expect, and its content type."""
    request.setHeader(b"content-type", JSON_TYPE)
    return pretty(value) + b"\n"


def empty_json(request: Request) -> bytes:
    """The answer ``{}`` of operations without a result."""
    request.setHeader(b"content-type", b"application/json")
    return b"{}"


def text_body(request: Request, text: str, content_type: bytes = b"text/plain") -> bytes:
    """Plain text; also the empty answer that Orthanc labels ``text/plain``."""
    request.setHeader(b"content-type", content_type)
    return text.encode("utf-8", "replace")


def read_body(request: Request, limit_bytes: int = 64 * 1024 * 1024) -> bytes:
    """The request body as bytes, for the small bodies of JSON and text routes.

    :raises OrthancError: BAD_REQUEST (413) if it is larger than ``limit_bytes``
    """
    content = request.content
    assert content is not None
    content.seek(0)
    data: bytes = content.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OrthancError(ErrorCode.BAD_REQUEST, "The request body is too large", http_status=413)
    return data


def json_request(request: Request) -> JsonValue:
    """The request body as JSON.

    :raises OrthancError: BAD_FILE_FORMAT if it is none
    """
    try:
        return cast(JsonValue, read_json(read_body(request)))
    except (ValueError, RecursionError):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT) from None


def argument(request: Request, name: str) -> str | None:
    """First value of a query argument, decoded, or None if it is absent."""
    values = (request.args or {}).get(name.encode("ascii"))
    return values[0].decode("utf-8", "replace") if values else None


def integer_argument(request: Request, name: str) -> int | None:
    """An integer argument; Orthanc takes what it cannot parse for absent, and so do we."""
    text = (argument(request, name) or "").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    return int(text)


def has_argument(request: Request, name: str) -> bool:
    """Whether the query string has that name, with or without a value."""
    encoded = name.encode("ascii")
    if encoded in (request.args or {}):
        return True
    # Twisted leaves names without "=" out of the arguments.
    return encoded in request.uri.partition(b"?")[2].split(b"&")
