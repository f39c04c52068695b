"""`PeerClient` by way of a proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.peers.client import PeerClient
from orthanc_tw.peers.errors import PeerStatusError, PeerUnreachable
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxySettings
from orthanc_tw.peers.tls import TrustSettings
from tests.orthanc_peers import test_tls
from tests.ports import free_port


class Proxy(Protocol):
    """Connects to whatever CONNECT names, or answers by itself."""

    def connectionMade(self) -> None:
        self.received = b""
        self.other: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
            return
        self.received += data
        head, mark, _ = self.received.partition(b"\r\n\r\n")
        if not mark:
            return
        self.factory.heads.append(head)  # type: ignore[union-attr]
        if not head.startswith(b"CONNECT"):
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # type: ignore[union-attr]
            return
        if b"Proxy-Authorization" not in head:
            self.transport.write(b"HTTP/1.1 407 Who?\r\n\r\n")  # type: ignore[union-attr]
            return
        host, _, port = head.split(b" ")[1].partition(b":")
        here = self

        class Other(Protocol):
            def connectionMade(self) -> None:
                here.other = self
                here.transport.write(b"HTTP/1.1 200 Yes\r\nVia: me\r\n\r\n")  # type: ignore[union-attr]

            def dataReceived(self, data: bytes) -> None:
                here.transport.write(data)  # type: ignore[union-attr]

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                here.transport.loseConnection()  # type: ignore[union-attr]

        factory = ClientFactory.forProtocol(Other)
        reactor.connectTCP(host.decode(), int(port), factory)  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class ProxyTests(test_tls.TlsTests):
    """``HttpProxy``."""

    def setUp(self) -> None:
        """A proxy besides."""
        super().setUp()
        self.factory: Any = Factory.forProtocol(Proxy)
        self.factory.heads = []
        port: Any = reactor.listenTCP(0, self.factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.proxy = f"127.0.0.1:{port.getHost().port}"

    def through(self, login: str = "") -> PeerClient:
        """A client by way of the proxy."""
        return self.new_client(
            proxy=ProxySettings.parse(login + self.proxy), trust=TrustSettings(False)
        )

    async def test_tunnel(self) -> None:
        """HTTPS goes through a tunnel: the proxy sees the host alone."""
        answer = await self.through("u:p@").request(self.peer, "GET", "a")
        self.assertEqual(b'{"a": 1}', answer.body)
        (head,) = self.factory.heads
        self.assertTrue(head.startswith(f"CONNECT 127.0.0.1:{self.port} HTTP/1.1".encode()))
        self.assertNotIn(b"/a", head)

    async def test_tunnel_refused(self) -> None:
        """A proxy that will not is named."""
        error = await self.failure(PeerUnreachable, self.through().request(self.peer, "GET", "a"))
        self.assertIn("the proxy refused: 407", error.reason)

    async def test_plain(self) -> None:
        """HTTP is asked of the proxy."""
        peer = OrthancPeer.from_json("b", ["http://example.org/x"])
        answer = await self.through("u:p@").request(peer, "GET", "a")
        self.assertEqual(b"{}", answer.body)
        (head,) = self.factory.heads
        self.assertTrue(head.startswith(b"GET http://example.org/x/a HTTP/1.1"))
        self.assertIn(b"proxy-authorization: basic dtpw", head.lower())

    async def test_no_proxy(self) -> None:
        """A proxy that is not there is named, and not taken for the peer."""
        self.proxy = f"127.0.0.1:{free_port()}"
        for peer in (self.peer, OrthancPeer.from_json("b", ["http://example.org/x"])):
            error = await self.failure(PeerUnreachable, self.through().request(peer, "GET", "a"))
            self.assertIn(f"no connection to the proxy {self.proxy}: ", error.reason)

    async def test_login(self) -> None:
        """A proxy that asks who this is is told apart from a peer that does."""
        self.factory.protocol = Asking
        peer = OrthancPeer.from_json("b", ["http://example.org/x"])
        error = await self.failure(PeerStatusError, self.through().request(peer, "GET", "a"))
        self.assertIn("the proxy asks for", error.reason)


class Asking(Protocol):
    """Wants to know who asks."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")  # type: ignore[union-attr]


class ProxySettingsTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """Host, port and login of the option; the password is in no error."""
        self.assertIsNone(ProxySettings.parse(""))
        self.assertEqual(ProxySettings("h", 3128), ProxySettings.parse("h"))
        found = ProxySettings.parse("http://a:b%40c@h:8080/")
        self.assertEqual(ProxySettings("h", 8080, b"Basic YTpiQGM="), found)
        self.assertNotIn("YTpiQGM", repr(found))
        for text in ("a:tops3cret@", "socks5://a:tops3cret@h", "a:tops3cret@h:port"):
            error = self.assertRaises(ValueError, ProxySettings.parse, text)
            self.assertNotIn("tops3cret", str(error))
