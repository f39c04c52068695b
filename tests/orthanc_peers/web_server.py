"""A web server on the loopback interface that plays a peer, and a client of it."""

from __future__ import annotations

import gzip
import os
from typing import Any

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from orthanc_tw.peers.client import PeerClient, PeerClientSettings
from orthanc_tw.peers.errors import (
    PeerError,
)
from orthanc_tw.peers.peer import OrthancPeer

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
