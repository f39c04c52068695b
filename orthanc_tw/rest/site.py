"""The HTTP server: its settings, its connections, and what all of its requests share."""

# The methods inherited from twisted.web have no annotations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import datetimeToString
from twisted.web.server import Site

from orthanc_tw.rest.auth import Authenticator
from orthanc_tw.rest.body import InThread
from orthanc_tw.rest.channel import OrthancChannel
from orthanc_tw.rest.orthanc_request import OrthancRequest
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.storage.interface import Spool


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
