"""`PeerClient` against a web server on the loopback interface."""

from __future__ import annotations

import base64
import contextlib
from io import BytesIO
from typing import Any

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.errors import (
    PeerAnswerError,
    PeerFull,
    PeerStatusError,
    PeerTimeout,
    PeerTlsError,
    PeerUnauthorized,
    PeerUnreachable,
)
from orthanc_tw.peers.peer import OrthancPeer
from tests.orthanc_peers.web_server import LARGE, PASSWORD, Case


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

    async def test_cancel_connecting(self) -> None:
        """So does one that has no connection yet: it would be asked again otherwise."""
        await self.client.request(self.peer, "GET", "a")
        for host in ("127.0.0.1", "localhost"):
            peer = OrthancPeer.from_json("b", [f"http://{host}:9/"])
            self.counted.clear()
            asked = Deferred.fromCoroutine(self.client.request(peer, "GET", "x"))
            asked.cancel()
            with self.assertRaises(CancelledError):
                await asked
            self.assertEqual([], self.counted)


class Hasty(Protocol):
    """Hangs up on the first request, answers the second.

    It reads them to their ends: what is not read when a connection is closed resets it, which
    may take the answer along.
    """

    count = 0

    def __init__(self) -> None:
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        is_http = self._received.startswith(b"POST ")
        if is_http and not self._received.endswith(b"\r\n\r\nx"):
            return
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
