"""Runs a site in memory: bytes of requests in, parsed answers out. No sockets, no waiting."""

# The methods inherited from twisted.web have no annotations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from orthanc_tw.rest.auth import Authenticator, AuthSettings
from orthanc_tw.rest.body import InThread
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.http import Route, RouteProvider
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.site import OrthancSite, SiteSettings
from orthanc_tw.storage.interface import Storage
from orthanc_tw.testing.memory_storage import MemoryStorage


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer. Header names in lower case; of a repeated header the last value."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Routes:
    """A `RouteProvider` of routes given as a list."""

    def __init__(self, *routes: Route) -> None:
        self._routes = routes

    def routes(self) -> Iterable[Route]:
        """The routes."""
        return self._routes


class Connection:
    """One client's connection to a site in memory."""

    def __init__(self, site: OrthancSite, client_ip: str) -> None:
        peer = IPv4Address("TCP", client_ip, 50000)
        self.transport = StringTransport(peerAddress=peer)
        self.transport.abortConnection = self.hang_up  # type: ignore[method-assign]
        channel = site.buildProtocol(peer)
        assert channel is not None
        self.channel: Any = channel
        channel.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Deliver bytes to the server."""
        self.channel.dataReceived(data)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole request."""
        self.send(request_bytes(method, path, body, headers))

    def produce(self, limit: int = 10_000) -> None:
        """Let a pull producer of the answer run until it is done."""
        while self.transport.producer is not None and limit:
            self.transport.producer.resumeProducing()
            limit -= 1

    def hang_up(self, clean: bool = False) -> None:
        """The client closes the connection."""
        reason = ConnectionDone() if clean else ConnectionLost()
        self.channel.connectionLost(Failure(reason))

    def received(self) -> bytes:
        """All that the server has sent."""
        return bytes(self.transport.value())

    def answer(self, *, has_body: bool = True) -> Answer:
        """Take the next whole answer.

        :param has_body: False for that to a HEAD
        :raises AssertionError: if there is none yet
        """
        answer, rest = parse_answer(self.transport.value(), has_body=has_body)
        self.transport.clear()
        self.transport.write(rest)
        return answer


class InMemorySite:
    """A site with routes, in memory.

    :ivar clock: the site's clock
    :ivar storage: where bodies are spooled
    """

    def __init__(
        self,
        *providers: RouteProvider,
        settings: SiteSettings | None = None,
        auth: AuthSettings | None = None,
        errors: ErrorSettings | None = None,
        compress: bool = False,
        storage: Storage | None = None,
        in_thread: InThread | None = None,
    ) -> None:
        self.clock = Clock()
        self.storage = MemoryStorage() if storage is None else storage
        executor = Executor(errors or ErrorSettings(), compress=compress)
        self.site = OrthancSite(
            RestRoot(providers, executor),
            settings or SiteSettings(),
            Authenticator(auth or AuthSettings()),
            self.storage.new_spool,
            self.clock,
            in_thread=in_thread,
        )

    def connect(self, client_ip: str = "127.0.0.1") -> Connection:
        """A new connection."""
        return Connection(self.site, client_ip)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        client_ip: str = "127.0.0.1",
    ) -> Answer:
        """Send one request on a new connection and take the answer, which must be there at once."""
        connection = self.connect(client_ip)
        connection.request(method, path, body, headers)
        connection.produce()
        return connection.answer(has_body=method != "HEAD")


def request_bytes(
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request on the wire (HTTP/1.1)."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


def parse_answer(data: bytes, *, has_body: bool = True) -> tuple[Answer, bytes]:
    """Split one answer off what a server sent (interim 100 answers are skipped).

    :raises AssertionError: if it is not whole
    """
    while True:
        head, found, rest = data.partition(b"\r\n\r\n")
        assert found, f"no whole answer: {data[:200]!r}"
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status != 100:
            break
        data = rest
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if not has_body:
        return Answer(status, headers, b""), rest
    if "content-length" in headers:
        length = int(headers["content-length"])
        assert len(rest) >= length, f"{len(rest)} of {length} bytes: {rest[:200]!r}"
        return Answer(status, headers, rest[:length]), rest[length:]
    if headers.get("transfer-encoding") == "chunked":
        body, rest = _unchunk(rest)
        return Answer(status, headers, body), rest
    return Answer(status, headers, rest), b""


def _unchunk(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, found, data = data.partition(b"\r\n")
        assert found, "no whole chunk"
        size = int(line.split(b";")[0], 16)
        assert len(data) >= size + 2, "no whole chunk"
        body += data[:size]
        data = data[size + 2 :]
        if size == 0:
            return body, data
