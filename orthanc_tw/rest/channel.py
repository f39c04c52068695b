"""A connection: its time limits, early refusals, and how it ends.

A request that is not allowed, or too large, is answered when its headers are there; what
its client still sends is then thrown away. Sources: RFC 9110 (sections 9.3, 10.1.1), RFC
9112 (section 9.6: closing without losing the answer).
"""

# The methods inherited from twisted.web have no annotations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IReactorTime, ISSLTransport, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from orthanc_tw.rest.auth import REALM
from orthanc_tw.rest.errors import BareError, bare
from orthanc_tw.rest.orthanc_request import OrthancRequest
from orthanc_tw.rest.timeouts import LazyTimeout

if TYPE_CHECKING:
    from orthanc_tw.rest.site import OrthancSite

# How long the rest of a refused body is thrown away before the connection is cut, seconds.
LINGER_S = 10.0


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
