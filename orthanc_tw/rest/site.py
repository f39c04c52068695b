"""The HTTP server: connections, time limits, bodies into spools, early refusals.

A request that is not allowed, or too large, is answered when its headers are there; what
its client still sends is then thrown away. Sources: RFC 9110 (sections 9.3, 10.1.1), RFC
9112 (section 9.6: closing without losing the answer); topics 05 and 50 of the corpus.
"""

# The methods inherited from twisted.web have no annotations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.server import NOT_DONE_YET, Request, Site

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.auth import REALM, Authenticator, user_name
from orthanc_tw.rest.body import EmptyBody, InThread, SpooledBody
from orthanc_tw.rest.errors import BareError, bare, decoded_path
from orthanc_tw.rest.query import query_arguments
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.timeouts import LazyTimeout
from orthanc_tw.storage.interface import Spool

# How long the rest of a refused body is thrown away before the connection is cut, seconds.
LINGER_S = 10.0


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Options of the HTTP server.

    :ivar maximum_body_bytes: ``MaximumRequestBodySizeMB``; 0 is no limit
    :ivar request_timeout_s: ``HttpRequestTimeout``: longest silence of a client that is
        sending its request
    :ivar keep_alive: ``KeepAlive``
    :ivar keep_alive_timeout_s: ``KeepAliveTimeout``: idle time of a connection between requests
    :ivar tcp_no_delay: ``TcpNoDelay``
    :ivar server_header: value of the header ``Server``
    """

    maximum_body_bytes: int = 0
    request_timeout_s: float = 30
    keep_alive: bool = True
    keep_alive_timeout_s: float = 1
    tcp_no_delay: bool = True
    server_header: bytes = b"orthanc-tw"


class RequestObserver(Protocol):
    """Who is told of requests (reactor thread)."""

    def request_begun(self) -> None:
        """A request was received whole."""
        ...

    def request_ended(self, duration_ms: float) -> None:
        """It was answered, or its client is gone."""
        ...


class OrthancRequest(Request):
    """A request whose body goes to a spool. ``http_username`` is what its client claims to be."""

    defaultContentType = None  # an answer without a type has none, as Orthanc's
    _log = Logger()
    channel: OrthancChannel
    site: OrthancSite
    http_username = ""
    refused: Exception | None = None
    is_received = False
    _started_s: float | None = None
    _received_bytes = 0
    _limit_bytes = 0

    @property
    def client_ip(self) -> str:
        """Address of the client, '' if it has none (UNIX socket)."""
        return getattr(self.client, "host", "") or ""

    def headers_received(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Take the request line (the channel hands it over before the body arrives)."""
        if uri[:7].lower() in (b"http://", b"https:/"):  # absolute form, RFC 9112 3.2.2
            uri = b"/" + uri.split(b"/", 3)[3] if uri.count(b"/") > 2 else b"/"
        self.method, self.uri, self.clientproto = method, uri, version
        path, mark, query = uri.partition(b"?")
        self.path = path
        self.args = query_arguments(query) if mark else {}
        self.site = self.channel.site

    def refusal(self, length: int | None) -> Exception | None:
        """Why this request is not even received, or None."""
        site = self.site
        values = self.requestHeaders.getRawHeaders(b"authorization")
        authorization = values[0] if values else None
        if not site.authenticator.is_allowed(authorization, self.client_ip):
            return BareError(401)
        if authorization is not None:
            self.http_username = user_name(authorization)
        self._limit_bytes = site.settings.maximum_body_bytes
        if length is not None and 0 < self._limit_bytes < length:
            return self._too_large()
        return None

    def gotLength(self, length: int | None) -> None:
        """Make the body (called by the channel once the headers are there)."""
        if length == 0:
            self.content = EmptyBody()
        else:
            site = self.site
            flow = cast(IPushProducer, self.channel.transport)
            self.content = SpooledBody(site.new_spool(), site.in_thread, flow)

    def handleContentChunk(self, data: bytes) -> None:
        """Write a piece of the body (called by the channel)."""
        if self.finished:  # refused while the rest was on its way
            return
        self._received_bytes += len(data)
        if 0 < self._limit_bytes < self._received_bytes:
            self.channel.refuse(self, self._too_large())
            return
        try:
            cast(SpooledBody, self.content).write(data)
        except OrthancError as error:
            self.channel.refuse(self, error)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of the request is there (called by the channel).

        Does not call the inherited method, which would parse forms into memory.
        """
        self.is_received = True
        if self.refused is not None:
            self.channel.answer_refusal(self, self.refused)
            return
        content = self.content
        flushing = content.flush() if isinstance(content, SpooledBody) else None
        if flushing is None:
            self.process()
        else:
            flushing.addCallbacks(lambda _: self.process(), self._fail)

    def _fail(self, failure: Failure) -> None:
        self.site.root.executor.fail(self, failure)

    def process(self) -> None:
        """Answer the request."""
        site = self.site
        self._started_s = site.begun()
        headers = self.responseHeaders
        headers.setRawHeaders(b"server", [site.settings.server_header])
        headers.setRawHeaders(b"date", [site.date()])
        try:
            self.render(site.resource)
        except Exception:
            site.root.executor.fail(self, Failure())

    def finish(self) -> None:
        """The answer is whole."""
        if self.site.logs_requests():
            # Not the query: it may name a patient.
            self._log.info(
                "{ip} {method} {path}: {status}",
                ip=self.client_ip,
                method=self.method.decode("latin-1"),
                path=decoded_path(self),
                status=self.code,
            )
        super().finish()
        self._ended()

    def connectionLost(self, reason: Any) -> None:
        """The client is gone before the answer was whole."""
        super().connectionLost(reason)
        self._ended()

    def _ended(self) -> None:
        if self._started_s is not None:
            self.site.ended(self._started_s)
            self._started_s = None

    def render(self, resrc: Any) -> None:
        """Hand over to the root, which answers every request by itself."""
        answered = resrc.render(self)
        assert answered is NOT_DONE_YET

    def _too_large(self) -> OrthancError:
        megabytes = self._limit_bytes // (1024 * 1024)
        return OrthancError(
            ErrorCode.BAD_REQUEST,
            f"The request body is larger than MaximumRequestBodySizeMB ({megabytes} MB)",
            http_status=413,
        )


class OrthancChannel(LazyTimeout, HTTPChannel):  # type: ignore[misc]
    """One connection. Made by `OrthancSite`; ``site`` and ``timeOut`` are set by it."""

    site: OrthancSite
    requestFactory = OrthancRequest
    is_refusing = False
    _is_idle = False
    _lingering: Any = None
    _host: Any = None

    def connectionMade(self) -> None:
        """Set the options of the socket."""
        super().connectionMade()
        self.site.connections.add(self)
        transport = self.transport
        if not self.site.settings.tcp_no_delay and ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(False)

    def timeout_clock(self) -> IReactorTime:
        """The clock of the site."""
        return self.site.reactor

    def getHost(self) -> Any:
        """Our address, asked of the system once a connection and not with each request."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def dataReceived(self, data: bytes) -> None:
        """Parse, or throw away what a refused client still sends."""
        if self.is_refusing:
            return
        if self._is_idle:
            self._is_idle = False
            self.setTimeout(self.site.settings.request_timeout_s or None)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        """Refuse the request now, or make its body and go on."""
        request = cast(OrthancRequest, self.requests[-1])
        request.headers_received(self._command, self._path, self._version)
        error = request.refusal(self.length)
        if error is None:
            super().allHeadersReceived()
            return
        self.persistent = self.checkPersistence(request, self._version)
        request.gotLength(0)
        if self.length == 0:
            # Nothing more will come: an ordinary answer, the connection is of further use.
            request.refused = error
            return
        self.refuse(request, error)

    def refuse(self, request: OrthancRequest, error: Exception) -> None:
        """Answer a request whose body has not been received, and end the connection.

        Closing at once would reset the connection and might destroy the answer on its way:
        the client is listened to, in vain, until it closes or `LINGER_S` is over.
        """
        self.is_refusing = True
        self.persistent = False
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        self.answer_refusal(request, error)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer a request line or a header that is too long, rather than hang up."""
        self.is_refusing = True
        status = b"431 Request Header Fields Too Large" if self.requests else b"414 URI Too Long"
        cast(Any, self.transport).write(
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.loseConnection()

    def allContentReceived(self) -> None:
        """Pass the request on unless it was answered already."""
        if not self.is_refusing:
            super().allContentReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Whether the connection outlives the request."""
        if self.site.settings.keep_alive:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def requestDone(self, request: Request) -> None:
        """The answer is written: wait for the next request, but not for long."""
        super().requestDone(request)
        if self.persistent and not self.requests:
            self._is_idle = True
            self.setTimeout(self.site.settings.keep_alive_timeout_s or None)

    def loseConnection(self) -> None:
        """Close; after a refusal not before the client had time to read the answer."""
        if not self.is_refusing:
            super().loseConnection()
        elif self._lingering is None:
            self.setTimeout(None)
            close = super().loseConnection
            transport = self.transport
            # The client knows at once that this was all. TLS cannot close one direction, and
            # nothing is closed while there is a producer, which the channel is.
            if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
                cast(Any, transport).unregisterProducer()
                transport.loseWriteConnection()
                close = transport.loseConnection
            self._lingering = self.site.reactor.callLater(LINGER_S, close)

    def connectionLost(self, reason: Any = None) -> None:
        """Forget what is pending."""
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        super().connectionLost(reason)
        self.end_timeout()
        self.site.left(self)

    def end(self) -> None:
        """The server stops: close now, or once the request that is being answered is."""
        transport: Any = self.transport
        if not self.requests:
            transport.loseConnection()
        elif self.requests[0].is_received:
            self.persistent = False
        else:
            transport.abortConnection()

    def answer_refusal(self, request: OrthancRequest, error: Exception) -> None:
        """Answer 401, or the error's own status."""
        executor = self.site.root.executor
        if isinstance(error, BareError) and error.http_status == 401:
            request.setHeader(b"www-authenticate", REALM)
            executor.answer(request, bare(request, 401))
        else:
            executor.fail(request, Failure(error))


class OrthancSite(Site):
    """The factory of the HTTP server.

    :param root: the resource tree
    :param settings: its options
    :param authenticator: who may talk to it
    :param new_spool: makes the spool of a body (`Storage.new_spool`)
    :param reactor: the clock
    :param observer: told of every request that is received whole, or None
    :param timer: monotonic seconds, for the durations
    :param in_thread: runs a function in a thread, for what large bodies have to write; None:
        the reactor thread writes
    :param logs_requests: whether a line is logged for each request
    """

    protocol = OrthancChannel  # type: ignore[assignment]
    requestFactory = OrthancRequest

    def __init__(
        self,
        root: RestRoot,
        settings: SiteSettings,
        authenticator: Authenticator,
        new_spool: Callable[[], Spool],
        reactor: IReactorTime,
        observer: RequestObserver | None = None,
        timer: Callable[[], float] = time.perf_counter,
        in_thread: InThread | None = None,
        logs_requests: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(root, timeout=settings.request_timeout_s or None, reactor=reactor)
        self.root = root
        self.settings = settings
        self.authenticator = authenticator
        self.new_spool = new_spool
        self.logs_requests = logs_requests
        self._observer = observer
        self._timer = timer
        self.in_thread = in_thread
        self.connections: set[OrthancChannel] = set()
        self._left: Deferred[None] | None = None
        self._date_second = -1
        self._date = b""

    def date(self) -> bytes:
        """Value of the header ``Date``, made once a second."""
        second = int(self.reactor.seconds())
        if second != self._date_second:
            self._date_second = second
            self._date = datetimeToString(second)
        return self._date

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS may negotiate (ALPN): `OrthancChannel` speaks HTTP/1.1 only."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Nothing: the access log of `twisted.web.http.HTTPFactory` is not used."""

    def stopFactory(self) -> None:
        """Nothing."""

    def log(self, request: Any) -> None:
        """Nothing (Twisted's hook for its access log)."""

    def serve(self, root: RestRoot, observer: RequestObserver | None) -> None:
        """Answer with another tree from now on."""
        self.root = self.resource = root
        self._observer = observer

    def end(self) -> None:
        """End all connections: those that are being answered after that, the others now."""
        for channel in list(self.connections):
            channel.end()

    def ended_all(self, patience_s: float) -> Deferred[None]:
        """Fires when there is no connection any more; cuts those that last longer."""
        if not self.connections:
            return succeed(None)
        self._left = Deferred()
        cutting = self.reactor.callLater(patience_s, self._cut)
        return self._left.addCallback(lambda _: cutting.cancel() if cutting.active() else None)

    def _cut(self) -> None:
        for channel in list(self.connections):
            cast(Any, channel.transport).abortConnection()

    def left(self, channel: OrthancChannel) -> None:
        """A connection is gone (it says so itself)."""
        self.connections.discard(channel)
        if self._left is not None and not self.connections:
            left, self._left = self._left, None
            left.callback(None)

    def begun(self) -> float:
        """A request is being answered; gives what `ended` wants."""
        if self._observer is not None:
            self._observer.request_begun()
        return self._timer()

    def ended(self, started_s: float) -> None:
        """Its answer is written, or its client is gone."""
        if self._observer is not None:
            self._observer.request_ended((self._timer() - started_s) * 1000)
