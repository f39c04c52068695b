"""Runs one handler for one request: awaits it, renders its errors, writes its answer.

Knows nothing of paths. Runs in the reactor thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest import xml_body
from orthanc_tw.rest.compression import compressed
from orthanc_tw.rest.errors import BareError, ErrorSettings, bare, describe
from orthanc_tw.rest.http import JSON_TYPE, Body, Route

Observe = Callable[[str, float], None]


class Executor:
    """Runs handlers.

    :param errors: how errors are described
    :param compress: ``HttpCompressionEnabled``
    """

    _log = Logger()

    def __init__(
        self,
        errors: ErrorSettings,
        *,
        compress: bool = False,
    ) -> None:
        self._errors = errors
        self._compress = compress

    def run(self, route: Route, request: Request, arguments: Mapping[str, Any]) -> Deferred[None]:
        """Call the route's handler and answer with what it returns or raises.

        Fires with None when the request is answered, or its client is gone; never fails.
        A client that hangs up cancels the handler unless the route changes state.
        """
        try:
            result = route.handler(request, **arguments)
        except Exception:
            return self._settled(request, Failure())
        if isinstance(result, bytes):
            return self._settled(request, result)
        if result is None:
            return _fired()
        if isinstance(result, Deferred):
            running: Deferred[Body] = result
        elif isawaitable(result):
            running = Deferred.fromCoroutine(result)  # type: ignore[arg-type]
        else:
            raise TypeError(f"{route.method} {route.path} returned {type(result).__name__}")
        return self._waiting(route, request, running)

    def fail(self, request: Request, failure: Failure) -> None:
        """Answer with an error (or cut the connection if the answer has begun)."""
        if request.startedWriting:
            # The status is sent: all that can still be said is that the answer is not whole.
            self._log.failure("Answer to {uri} broken off", failure, uri=request.uri)
            transport = request.transport
            if transport is not None:
                cast(Any, transport).abortConnection()
            return
        self.answer(request, self.prepare(request, failure))

    def prepare(self, request: Request, failure: Failure) -> bytes:
        """Set status and headers for an error and return its body, without writing it."""
        error = failure.value
        if isinstance(error, BareError):
            return bare(request, error.http_status)
        if not isinstance(error, OrthancError):
            self._log.failure("{method} {uri}", failure, method=request.method, uri=request.uri)
            error = OrthancError(ErrorCode.INTERNAL_ERROR)
        return describe(request, error, self._errors)

    def answer(self, request: Request, body: bytes) -> None:
        """Write a whole body and finish the request."""
        if body:
            headers = request.responseHeaders
            if request.requestHeaders.hasHeader(b"accept"):
                content_type = headers.getRawHeaders(b"content-type")
                if content_type == [JSON_TYPE] and xml_body.is_wanted(request):
                    body = xml_body.from_json(body)
                    request.setHeader(b"content-type", xml_body.XML_TYPE)
            if self._compress and request.code < 400:
                body = compressed(request, body)
        if request.code != 204:
            request.setHeader(b"content-length", b"%d" % len(body))
        if body:
            request.write(body)
        request.finish()

    def _settled(self, request: Request, result: bytes | Failure) -> Deferred[None]:
        try:
            if isinstance(result, Failure):
                self.fail(request, result)
            else:
                self.answer(request, result)
        except Exception:
            self._log.failure("Cannot answer {uri}", uri=request.uri)
        return _fired()

    def _waiting(self, route: Route, request: Request, running: Deferred[Body]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        gone = False

        def hung_up(reason: Failure) -> None:
            nonlocal gone
            gone = True
            changes_state = route.changes_state
            if changes_state is None:
                changes_state = route.method != "GET"
            if not changes_state:
                running.cancel()

        def ended(result: Body | Failure) -> None:
            if gone:
                if isinstance(result, Failure) and not result.check(CancelledError, OrthancError):
                    self._log.failure("{uri} after its client hung up", result, uri=request.uri)
            elif result is not None:
                self._settled(request, result)
            done.callback(None)

        if not getattr(request, "finished", False):
            request.notifyFinish().addErrback(hung_up)
        running.addBoth(ended)
        return done


def _fired() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done
