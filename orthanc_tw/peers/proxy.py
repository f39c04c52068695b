"""``HttpProxy``: requests through a proxy; HTTPS through a tunnel (RFC 9110 section 9.3.6)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

_MAXIMUM_HEAD_BYTES = 16 * 1024


class ProxyError(Exception):
    """The proxy is not there, or would not make the tunnel."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Where the proxy is.

    :ivar authorization: value of ``Proxy-Authorization``, b'' for none
    """

    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)

    @staticmethod
    def parse(text: str) -> ProxySettings | None:
        """Of ``[http://][user:password@]host[:port]``, None of an empty text.

        :raises ValueError: with one line, without the password
        """
        if not text:
            return None
        scheme, mark, rest = text.partition("://")
        if mark and scheme.lower() != "http":
            raise ValueError(f"HttpProxy: a proxy by HTTP was expected, not by {scheme}")
        try:
            parts = urlsplit("//" + (rest if mark else text))
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host:
            raise ValueError("HttpProxy: [user:password@]host:port was expected")
        authorization = b""
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + base64.b64encode(login.encode())
        return ProxySettings(host, port or 3128, authorization)


class ProxiedAgent:
    """An `IAgent` that goes through a proxy."""

    def __init__(self, reactor: Any, settings: ProxySettings, policy: Any, pool: Any) -> None:
        self._authorization = settings.authorization
        host, port = settings.host, settings.port
        endpoint = _ProxyEndpoint(HostnameEndpoint(reactor, host, port), f"{host}:{port}")
        self._plain = ProxyAgent(endpoint, reactor, pool)
        self._tunnel = Agent.usingEndpointFactory(
            reactor, _Tunnels(endpoint, settings.authorization, policy), pool
        )

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Any:
        """See `IAgent`."""
        if uri.startswith(b"https:"):
            return self._tunnel.request(method, uri, headers, bodyProducer)
        headers = Headers() if headers is None else headers.copy()
        if self._authorization:
            headers.setRawHeaders(b"proxy-authorization", [self._authorization])
        return self._plain.request(method, uri, headers, bodyProducer)


@implementer(IStreamClientEndpoint)
class _ProxyEndpoint:
    """Connects to the proxy: that it cannot be is no fault of the peer's."""

    def __init__(self, endpoint: HostnameEndpoint, name: str) -> None:
        self._endpoint = endpoint
        self._name = name

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        return self._endpoint.connect(protocolFactory).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        failure.trap(ConnectError, DNSLookupError)
        raise ProxyError(f"no connection to the proxy {self._name}: {failure.value}")


@implementer(IAgentEndpointFactory)
class _Tunnels:
    def __init__(self, proxy: Any, authorization: bytes, policy: Any) -> None:
        self._proxy = proxy
        self._authorization = authorization
        self._policy = policy

    def endpointForURI(self, uri: Any) -> Any:
        """See `IAgentEndpointFactory`."""
        tunnel = _TunnelEndpoint(self._proxy, uri.host, uri.port, self._authorization)
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), tunnel)


@implementer(IStreamClientEndpoint)
class _TunnelEndpoint:
    """Connects to a host by way of the proxy."""

    def __init__(self, proxy: Any, host: bytes, port: int, authorization: bytes) -> None:
        self._proxy = proxy
        name = b"[%b]" % host if b":" in host else host
        lines = [b"CONNECT %b:%d HTTP/1.1" % (name, port), b"Host: %b:%d" % (name, port)]
        if authorization:
            lines.append(b"Proxy-Authorization: " + authorization)
        self._head = b"\r\n".join([*lines, b"", b""])

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        made: list[_Tunnel] = []

        def build() -> _Tunnel:
            made.append(_Tunnel(self._head, protocolFactory))
            return made[-1]

        return self._proxy.connect(Factory.forProtocol(build)).addCallback(  # type: ignore[no-any-return]
            lambda tunnel: tunnel.opened
        )


class _Tunnel(Protocol):
    """Says CONNECT; when the proxy agrees, the connection is given to another protocol."""

    def __init__(self, head: bytes, factory: Any) -> None:
        self._head = head
        self._factory = factory
        self._received = b""
        self.opened: Deferred[Any] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """See `Protocol`."""
        assert self.transport is not None
        self.transport.write(self._head)

    def dataReceived(self, data: bytes) -> None:
        """Until the end of the proxy's head."""
        self._received += data
        head, mark, rest = self._received.partition(b"\r\n\r\n")
        if not mark:
            if len(self._received) > _MAXIMUM_HEAD_BYTES:
                self._refused("an answer without end")
            return
        status = head.split(b"\r\n")[0].split(b" ", 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1][:1] != b"2":
            self._refused(b" ".join(status[1:]).decode("ascii", "replace")[:80])
            return
        transport: Any = self.transport
        protocol = self._factory.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest:
            protocol.dataReceived(rest)
        self.opened.callback(protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Before the tunnel was made."""
        if not self.opened.called:
            self.opened.errback(reason)

    def _refused(self, answer: str) -> None:
        if not self.opened.called:
            self.opened.errback(ProxyError(f"the proxy refused: {answer}"))
        self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
