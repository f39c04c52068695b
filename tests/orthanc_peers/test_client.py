"""`PeerClient` against a web server on the loopback interface."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet import reactor, ssl  # noqa: TID251
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseDone
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.peers.answer import BodyReader
from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.client import PeerClient, PeerClientSettings
from orthanc_tw.peers.errors import (
    PeerAnswerError,
    PeerError,
    PeerFull,
    PeerStatusError,
    PeerTimeout,
    PeerTlsError,
    PeerUnauthorized,
    PeerUnreachable,
)
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxySettings
from orthanc_tw.peers.silence import Silence
from orthanc_tw.peers.tls import TrustSettings
from tests.rest.test_tls import certificate

PASSWORD = "tops3cret"
LARGE = os.urandom(3_000_000)


class Peer(Resource):
    """Answers as the path asks; remembers what it was asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[bytes, bytes, bytes]] = []
        self.headers: list[Any] = []
        self.connections: set[int] = set()

    def render(self, request: Request) -> Any:
        """One request."""
        assert request.content is not None
        self.asked.append((request.method, request.path, request.content.read()))
        self.headers.append(request.requestHeaders)
        self.connections.add(id(request.channel))
        name = request.path.rpartition(b"/")[2].decode()
        return getattr(self, f"answer_{name}", self.answer_ok)(request)

    def answer_ok(self, request: Request) -> bytes:
        request.setHeader(b"set-cookie", b"node=7; Path=/")
        return b'{"a": 1}'

    def answer_large(self, request: Request) -> bytes:
        return LARGE

    def answer_gzip(self, request: Request) -> bytes:
        request.setHeader(b"content-encoding", b"gzip")
        return gzip.compress(b'{"a": 2}')

    def answer_silent(self, request: Request) -> int:
        return NOT_DONE_YET

    def answer_cut(self, request: Request) -> int:
        request.setHeader(b"content-length", b"100")
        request.write(b"x")
        request.transport.loseConnection()
        return NOT_DONE_YET

    def answer_401(self, request: Request) -> bytes:
        request.setResponseCode(401)
        return b""

    def answer_403(self, request: Request) -> bytes:
        request.setResponseCode(403)
        return b""

    def answer_503(self, request: Request) -> bytes:
        request.setResponseCode(503)
        return b"busy"

    def answer_full(self, request: Request) -> bytes:
        request.setResponseCode(500)
        return b'{"OrthancStatus": 19, "Details": "No room for ' + PASSWORD.encode() + b'"}'

    def answer_moved(self, request: Request) -> bytes:
        request.redirect(b"http://127.0.0.1:9/")
        return b""


class Case(TestCase):
    """A server, and a client of it."""

    timeout = 60

    def setUp(self) -> None:
        """Listen."""
        self.resource = Peer()
        self.site = Site(self.resource)
        port = self.listen()
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.counted: list[tuple[str, str, int]] = []
        self.client = self.new_client()
        self.peer = self.new_peer()

    def listen(self) -> Any:
        return reactor.listenTCP(0, self.site, interface="127.0.0.1")  # type: ignore[attr-defined]

    def new_peer(self, **more: Any) -> OrthancPeer:
        url = f"http://127.0.0.1:{self.port}/"
        return OrthancPeer.from_json(
            "b", {"Url": url, "Username": "alice", "Password": PASSWORD, **more}
        )

    def new_client(self, **settings: Any) -> PeerClient:
        client = PeerClient(
            reactor,
            PeerClientSettings(**settings),
            deferToThread,
            lambda *ended: self.counted.append(ended),
        )
        self.addCleanup(client.close)
        return client

    async def failure(self, kind: type[PeerError], coroutine: Any) -> PeerError:
        """Which error, that names the peer and no password."""
        try:
            await coroutine
        except PeerError as error:
            self.assertIs(kind, type(error), error)
            self.assertTrue(str(error.details).startswith("Peer b: "), error)
            self.assertNotIn(PASSWORD, str(error))
            self.assertEqual(500, error.http_status)
            return error
        raise AssertionError("no error")


class ClientTests(Case):
    """Requests, answers, errors."""

    async def test_request(self) -> None:
        """The login and the headers of the peer go with every request."""
        peer = self.new_peer(HttpHeaders={"X-Token": "t"})
        answer = await self.client.request(peer, "GET", "/a/b?c=%20d", headers={"X-More": "m"})
        self.assertEqual((200, b'{"a": 1}'), (answer.status, answer.body))
        self.assertEqual({"node": "7"}, answer.cookies)
        (headers,) = self.resource.headers
        login = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
        for name, value in (
            ("authorization", f"Basic {login}"), ("x-token", "t"), ("x-more", "m"),
        ):  # fmt: skip
            self.assertEqual([value], headers.getRawHeaders(name))
        self.assertEqual([("b", "success", 0)], self.counted)

    async def test_reused(self) -> None:
        """One connection serves many requests, also after one that failed by its status."""
        for path in ("a", "503", "b", "gzip"):
            with contextlib.suppress(PeerStatusError):
                await self.client.request(self.peer, "GET", path)
        self.assertEqual(1, len(self.resource.connections))

    async def test_cookies(self) -> None:
        """A cookie goes with a request only if the caller says so."""
        await self.client.request(self.peer, "GET", "a")
        await self.client.request(self.peer, "GET", "a")
        self.assertFalse(self.resource.headers[1].hasHeader("cookie"))

    async def test_json(self) -> None:
        """Documents go and come; what is none is the peer's mistake."""
        self.assertEqual({"a": 1}, await self.client.post_json(self.peer, "x", {"q": [1]}))
        self.assertEqual(b'{"q": [1]}', self.resource.asked[0][2])
        self.assertEqual({"a": 2}, await self.client.get_json(self.peer, "gzip"))
        await self.failure(PeerAnswerError, self.client.get_json(self.peer, "large"))

    async def test_file(self) -> None:
        """A file arrives whole; it is closed then."""
        opened = []

        def open_file() -> Any:
            opened.append(BytesIO(LARGE))
            return opened[-1]

        body = FileBody(open_file, len(LARGE))
        await self.client.request(self.peer, "POST", "a", body=body)
        self.assertEqual(LARGE, self.resource.asked[0][2])
        self.assertTrue(opened[0].closed)
        self.assertEqual([("b", "success", len(LARGE))], self.counted)

    async def test_unreadable_file(self) -> None:
        """An error of the file is that of the request."""

        def open_file() -> Any:
            raise OrthancError(ErrorCode.INEXISTENT_FILE)

        with self.assertRaises(OrthancError) as raised:
            await self.client.request(self.peer, "POST", "a", body=FileBody(open_file, 10))
        self.assertIs(ErrorCode.INEXISTENT_FILE, raised.exception.code)

    async def test_stream(self) -> None:
        """An answer comes piece by piece, and waits for who takes it."""
        pieces: list[bytes] = []
        busy: list[bool] = [False]

        def consume(data: bytes) -> Deferred[None]:
            self.assertFalse(busy[0])
            busy[0] = True
            taken: Deferred[None] = Deferred()

            def take() -> None:
                pieces.append(data)
                busy[0] = False
                taken.callback(None)

            reactor.callLater(0, take)  # type: ignore[attr-defined]
            return taken

        answer = await self.client.stream(self.peer, "GET", "large", consume)
        self.assertEqual((LARGE, b""), (b"".join(pieces), answer.body))

    async def test_consumer_fails(self) -> None:
        """What the consumer says ends the request."""

        def consume(data: bytes) -> None:
            raise OrthancError(ErrorCode.FULL_STORAGE, "no room")

        with self.assertRaises(OrthancError) as raised:
            await self.client.stream(self.peer, "GET", "large", consume)
        self.assertEqual("no room", raised.exception.details)

    async def test_statuses(self) -> None:
        """Each status is the error it means."""
        ask = self.client.request
        error = await self.failure(PeerUnauthorized, ask(self.peer, "GET", "401"))
        self.assertIs(ErrorCode.UNAUTHORIZED, error.code)
        await self.failure(PeerUnauthorized, ask(self.peer, "GET", "403"))
        error = await self.failure(PeerStatusError, ask(self.peer, "GET", "503"))
        self.assertTrue(error.is_transient)
        error = await self.failure(PeerFull, ask(self.peer, "POST", "full"))
        self.assertIs(ErrorCode.FULL_STORAGE, error.code)
        self.assertIn("No room for ***", error.reason)
        error = await self.failure(PeerStatusError, ask(self.peer, "GET", "moved"))
        self.assertFalse(error.is_transient)
        self.assertEqual(("b", "PeerStatusError", 0), self.counted[-1])

    async def test_limit(self) -> None:
        """An answer that is too large is not taken."""
        await self.failure(
            PeerAnswerError, self.client.request(self.peer, "GET", "large", maximum_bytes=1000)
        )

    async def test_silence(self) -> None:
        """A peer that says nothing has its time."""
        error = await self.failure(
            PeerTimeout, self.client.request(self.peer, "GET", "silent", timeout_s=0.2)
        )
        self.assertTrue(error.is_transient)

    async def test_cut(self) -> None:
        """An answer that ends too early is no answer."""
        await self.failure(PeerUnreachable, self.client.request(self.peer, "GET", "cut"))

    async def test_refused(self) -> None:
        """Nobody listens."""
        peer = OrthancPeer.from_json("b", ["http://127.0.0.1:9/", "a", PASSWORD])
        error = await self.failure(PeerUnreachable, self.client.request(peer, "GET", "x"))
        self.assertIn("connection refused", error.reason)

    async def test_cancel(self) -> None:
        """A request that is cancelled ends at once, and is no failure of the peer."""
        asked = Deferred.fromCoroutine(self.client.request(self.peer, "GET", "silent"))
        reactor.callLater(0.1, asked.cancel)  # type: ignore[attr-defined]
        with self.assertRaises(CancelledError):
            await asked
        self.assertEqual([], self.counted)


class Hasty(Protocol):
    """Hangs up on the first request, answers the second."""

    count = 0

    def dataReceived(self, data: bytes) -> None:
        Hasty.count += 1
        assert self.transport is not None
        if Hasty.count > 1:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self.transport.loseConnection()


class AgainTests(Case):
    """A connection that is lost before there was an answer."""

    def listen(self) -> Any:
        Hasty.count = 0
        factory = Factory.forProtocol(Hasty)
        return reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]

    async def test_again(self) -> None:
        """What may be done twice is asked once more."""
        answer = await self.client.request(self.peer, "POST", "a", body=b"x", is_idempotent=True)
        self.assertEqual((b"{}", 2), (answer.body, Hasty.count))

    async def test_not_again(self) -> None:
        """What may not, is not."""
        await self.failure(PeerUnreachable, self.client.request(self.peer, "POST", "a", body=b"x"))
        self.assertEqual(1, Hasty.count)

    async def test_not_tls(self) -> None:
        """A server that speaks HTTP where HTTPS was expected."""
        Hasty.count = 1
        peer = OrthancPeer.from_json("b", [f"https://127.0.0.1:{self.port}/"])
        await self.failure(PeerTlsError, self.client.request(peer, "GET", "x"))


class TlsTests(Case):
    """HTTPS: who is trusted, and what is shown."""

    def listen(self) -> Any:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for name, *addresses in (
            ("server", "127.0.0.1"), ("other", "127.0.0.2"), ("nameless",), ("client",),
            ("stranger",),
        ):  # fmt: skip
            key, public = certificate(name, *addresses)
            (self.folder / f"{name}.pem").write_bytes(key + public)
            (self.folder / f"{name}.crt").write_bytes(public)
            (self.folder / f"{name}.key").write_bytes(key)
        own = ssl.PrivateCertificate.loadPEM((self.folder / f"{self.shown}.pem").read_bytes())
        trusted = ssl.Certificate.loadPEM((self.folder / "client.crt").read_bytes())
        options = ssl.CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            trustRoot=ssl.trustRootFromCertificates([trusted]) if self.asks_client else None,
        )
        return reactor.listenSSL(0, self.site, options, interface="127.0.0.1")  # type: ignore[attr-defined]

    asks_client = False
    shown = "server"

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def new_peer(self, **more: Any) -> OrthancPeer:
        return OrthancPeer.from_json("b", {"Url": f"https://127.0.0.1:{self.port}/", **more})

    def trusting(self, verify: bool = True, authorities: str = "") -> PeerClient:
        path = self.path(authorities) if authorities else ""
        return self.new_client(trust=TrustSettings(verify, path))

    async def test_unknown_authority(self) -> None:
        """A certificate that nobody vouches for is refused, and no request made."""
        for authorities in ("", "stranger.crt"):
            client = self.trusting(authorities=authorities)
            error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
            self.assertIn("certificate", error.reason)
            self.assertFalse(error.is_transient)
        self.assertEqual([], self.resource.asked)

    async def test_trusted(self) -> None:
        """One that an authority of ``HttpsCACertificates`` vouches for is taken."""
        client = self.trusting(authorities="server.crt")
        self.assertEqual(200, (await client.request(self.peer, "GET", "a")).status)

    async def test_unverified(self) -> None:
        """``HttpsVerifyPeers: false`` takes any."""
        answer = await self.trusting(verify=False).request(self.peer, "GET", "a")
        self.assertEqual(200, answer.status)

    async def test_unreadable(self) -> None:
        """A file that is not there is named."""
        client = self.trusting(authorities="nope.crt")
        error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
        self.assertIn("HttpsCACertificates", error.reason)
        peer = self.new_peer(CertificateFile=self.path("nope.pem"))
        error = await self.failure(PeerTlsError, self.client.request(peer, "GET", "a"))
        self.assertIn("CertificateFile", error.reason)


class OtherHostTests(TlsTests):
    """A certificate that is trusted, but is not that of the host that was asked."""

    shown = "other"

    async def test_trusted(self) -> None:
        """It is refused."""
        client = self.trusting(authorities=f"{self.shown}.crt")
        error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
        self.assertIn("not that of the host", error.reason)
        self.assertEqual([], self.resource.asked)


class NamelessTests(OtherHostTests):
    """One that names no host at all."""

    shown = "nameless"


class ClientCertificateTests(TlsTests):
    """A peer that asks for a certificate of ours."""

    asks_client = True

    def new_peer(self, **more: Any) -> OrthancPeer:
        files = {
            "CertificateFile": self.path("client.crt"),
            "CertificateKeyFile": self.path("client.key"),
        }
        return super().new_peer(**{**files, **more})

    async def test_none(self) -> None:
        """Without one there is no connection; one of a stranger is refused too."""
        client = self.trusting(verify=False)
        for more in (
            {"CertificateFile": "", "CertificateKeyFile": ""},
            {"CertificateFile": self.path("stranger.pem"), "CertificateKeyFile": ""},
        ):
            await self.failure(PeerTlsError, client.request(self.new_peer(**more), "GET", "a"))

    async def test_key_of_another(self) -> None:
        """A key that does not belong to the certificate."""
        peer = self.new_peer(CertificateKeyFile=self.path("stranger.key"))
        client = self.trusting(verify=False)
        await self.failure(PeerTlsError, client.request(peer, "GET", "a"))


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


class ProxyTests(TlsTests):
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


class SilenceTests(SynchronousTestCase):
    """`Silence`."""

    def test_moved(self) -> None:
        """What moves is not cancelled; what rests is, after its time."""
        clock, watched = Clock(), Deferred[None]()
        silence = Silence(clock, 10)
        silence.watch(watched)
        clock.advance(9)
        silence.moved()
        clock.advance(9)
        self.assertNoResult(watched)
        clock.advance(1)
        self.failureResultOf(watched, CancelledError)
        self.assertTrue(silence.is_over)

    def test_end(self) -> None:
        """Nothing is left of one that has ended, or has no time limit."""
        clock = Clock()
        Silence(clock, 10).end()
        Silence(clock, 0).moved()
        self.assertEqual([], clock.getDelayedCalls())


class Transport:
    """Notes what a reader asks of its connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.asked.append(name)


class BodyReaderTests(SynchronousTestCase):
    """`BodyReader`, piece by piece."""

    def test_back_pressure(self) -> None:
        """While a piece is taken no other is handed over, and the connection is paused."""
        taken: list[bytes] = []
        waits: list[Deferred[None]] = []

        def consume(data: bytes) -> Deferred[None]:
            taken.append(data)
            waits.append(Deferred())
            return waits[-1]

        transport = Transport()
        reader = BodyReader(0, lambda: None, consume)
        reader.transport = transport  # type: ignore[assignment]
        reader.dataReceived(b"a")
        reader.dataReceived(b"b")
        reader.connectionLost(Failure(ResponseDone()))
        self.assertEqual(([b"a"], ["pauseProducing"]), (taken, transport.asked))
        self.assertNoResult(reader.body)
        waits[0].callback(None)
        self.assertEqual([b"a", b"b"], taken)
        self.assertNoResult(reader.body)
        waits[1].callback(None)
        self.assertEqual(b"", self.successResultOf(reader.body))

    def test_cancel(self) -> None:
        """Cancelled, what takes a piece is cancelled, and the connection closed."""
        cancelled: list[object] = []
        transport = Transport()
        reader = BodyReader(0, lambda: None, lambda data: Deferred(cancelled.append))
        reader.transport = transport  # type: ignore[assignment]
        reader.dataReceived(b"a")
        reader.body.cancel()
        self.failureResultOf(reader.body, CancelledError)
        self.assertEqual(1, len(cancelled))
        self.assertIn("loseConnection", transport.asked)
