"""The resource tree: normalizes paths and methods, and finds the route of a request.

Every first path segment has a Klein app of its own, made of the `Route`s of all
`RouteProvider`s. Routes marked as hot are matched by a look-up ahead of it. Runs in the
reactor thread. Source: topic 51 of the corpus for methods, slashes and overrides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.errors import bare, unknown_method
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.hot import HotRoutes
from orthanc_tw.rest.http import Route, RouteProvider

METHODS = ("GET", "POST", "PUT", "DELETE")
# Known to WebDAV and offered by nothing here: there is no such resource.
_ABSENT = frozenset((b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK"))
_ROUTED = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"))
_WITH = {"GET": ("GET", "HEAD")}
_OVERRIDES = {b"put": b"PUT", b"delete": b"DELETE"}


class RestRoot(Resource):
    """Root of the site: every request ends here.

    :param providers: what makes the routes
    :param executor: runs the handlers
    :raises ValueError: if two providers have a route for the same method and path
    """

    isLeaf = True

    def __init__(self, providers: Iterable[RouteProvider], executor: Executor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._executor = executor
        self._hot = HotRoutes()
        self._apps: dict[str, IResource] = {}
        by_segment: dict[str, list[Route]] = {}
        seen: set[tuple[str, str]] = set()
        for provider in providers:
            for route in provider.routes():
                key = (route.method, route.path)
                if key in seen:
                    raise ValueError(f"Two routes for {route.method} {route.path}")
                seen.add(key)
                by_segment.setdefault(first_segment(route.path), []).append(route)
        for segment, routes in by_segment.items():
            self._apps[segment] = self._klein_resource(routes)
            for route in routes:
                if route.hot:
                    self._hot.add(route, routes)

    @property
    def executor(self) -> Executor:
        """What runs the handlers (also of requests refused before they got here)."""
        return self._executor

    def render(self, request: Request) -> int:
        """Answer any request (`twisted.web.resource.IResource`)."""
        method = request.method
        if method not in _ROUTED:
            self._executor.answer(request, _odd_method(request))
            return NOT_DONE_YET
        if method == b"GET" or method == b"POST":
            overridden = overridden_method(request)
            if overridden is None:
                self._executor.answer(request, bare(request, 400))
                return NOT_DONE_YET
            request.method = method = overridden
        segments = path_segments(request.path)
        # A HEAD is a GET whose body stays here (`Request.write`): it keeps its name.
        found = self._hot.find(b"GET" if method == b"HEAD" else method, segments)
        if found is not None:
            self._executor.run(found[0], request, found[1])
            return NOT_DONE_YET
        if method == b"OPTIONS" and request.path == b"*":
            self._executor.answer(request, _options(request, METHODS))
            return NOT_DONE_YET
        first = segments[0] if segments else ""
        app = self._apps.get(first)
        if app is None:
            self._executor.fail(request, Failure(OrthancError(ErrorCode.UNKNOWN_RESOURCE)))
            return NOT_DONE_YET
        request.prepath = [first.encode("utf-8")]
        # Klein takes no rest for no path at all, and then finds no methods to allow.
        request.postpath = [segment.encode("utf-8") for segment in segments[1:]] or [b""]
        app.render(request)
        return NOT_DONE_YET

    def _klein_resource(self, routes: list[Route]) -> IResource:
        """A Klein app of the routes that share a first segment."""
        app = Klein()
        app.url_map.strict_slashes = False
        for number, route in enumerate(routes):
            path = "/" + route.path.lstrip("/").partition("/")[2]
            app.route(path, methods=[route.method], endpoint=f"{number}")(self._endpoint(route))
        # Sub-apps inherit no error handlers: each app gets its own.
        app.handle_errors(HTTPException)(self._unrouted)
        return app.resource()

    def _endpoint(self, route: Route) -> Callable[..., Deferred[None]]:
        def endpoint(request: IRequest, **arguments: Any) -> Deferred[None]:
            return self._executor.run(route, cast(Request, request), arguments)

        return endpoint

    def _unrouted(self, request: IRequest, failure: Failure) -> bytes:
        """Klein found no route: 405 with ``Allow``, or 404. Klein itself writes the body.

        No route is for OPTIONS: the methods that the path has are its answer.
        """
        answered = cast(Request, request)
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            valid = set(error.valid_methods or ())
            methods = [method for method in METHODS if method in valid]
            if answered.method == b"OPTIONS":
                _options(answered, methods)
                return b""  # 204 has no length either (RFC 9110, 8.6)
            answered.setHeader(b"allow", ",".join(methods).encode("ascii"))
            body = bare(answered, 405)
        else:
            found_none = OrthancError(ErrorCode.UNKNOWN_RESOURCE)
            body = self._executor.prepare(answered, Failure(found_none))
        answered.setHeader(b"content-length", b"%d" % len(body))
        return body


def first_segment(path: str) -> str:
    """The first segment of a route's path, '' for the root."""
    return path.lstrip("/").partition("/")[0]


def path_segments(path: bytes) -> list[str]:
    """Split a raw request path: percent-decoded, then without empty, ``.`` and ``..`` segments.

    Decoding comes first, as in Orthanc: ``%2F`` separates segments too.
    """
    if b"%" in path:
        path = unquote_to_bytes(path)
    segments: list[str] = []
    for segment in path.decode("utf-8", "replace").split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment and segment != ".":
            segments.append(segment)
    return segments


def overridden_method(request: Request) -> bytes | None:
    """The method that a GET (``?_method=``) or POST (header) stands for; None if it may not."""
    if request.method == b"GET":
        wanted = (request.args or {}).get(b"_method")
    else:
        wanted = request.requestHeaders.getRawHeaders(b"x-http-method-override")
    if not wanted:
        return request.method
    return _OVERRIDES.get(wanted[0].strip().lower())


def _options(request: Request, methods: Iterable[str]) -> bytes:
    """The answer to OPTIONS (RFC 9110, 9.3.7): HEAD comes with GET, OPTIONS with everything."""
    offered = [name for method in methods for name in _WITH.get(method, (method,))]
    request.setHeader(b"allow", ",".join((*offered, "OPTIONS")).encode("ascii"))
    return bare(request, 204)


def _odd_method(request: Request) -> bytes:
    if request.method in _ABSENT:
        return bare(request, 404)
    if request.method == b"PATCH":
        return bare(request, 400)
    return unknown_method(request)
