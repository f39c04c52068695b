"""The HTTP client of Orthanc peers: authenticated, with TLS, streamed both ways, connections kept.

Over treq. Every failure is a `PeerError` that names the peer. All in the reactor thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers

from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.peers.answer import BodyReader
from orthanc_tw.peers.body import FileBody, FileProducer, InThread
from orthanc_tw.peers.errors import PeerAnswerError, PeerError, PeerTlsError
from orthanc_tw.peers.failures import peer_failure, status_error, was_never_answered
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxiedAgent, ProxySettings
from orthanc_tw.peers.silence import Silence
from orthanc_tw.peers.tls import ClientCertificate, TrustSettings, client_policy

if TYPE_CHECKING:
    from treq.client import HTTPClient

#: What an answer that is kept in memory may have.
MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024
_MAXIMUM_ERROR_BYTES = 16 * 1024
_IDEMPOTENT = frozenset(("GET", "PUT", "DELETE"))
_log = Logger()

#: Takes a piece of an answer; nothing more comes while a Deferred that it returns has not fired.
Consume = Callable[[bytes], "Deferred[Any] | None"]


@dataclass(frozen=True, slots=True)
class PeerClientSettings:
    """Options.

    :ivar timeout_s: ``HttpTimeout``: how long a peer may be silent, 0 for ever
    :ivar proxy: ``HttpProxy``
    :ivar verbose: ``HttpVerbose``: requests are logged
    :ivar connections: kept open to one peer, at most
    :ivar idle_s: how long; less than what Orthanc keeps one that is idle (``KeepAliveTimeout``)
    """

    timeout_s: int = 60
    trust: TrustSettings = field(default_factory=TrustSettings)
    proxy: ProxySettings | None = None
    verbose: bool = False
    connections: int = 16
    idle_s: float = 0.8


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """A successful answer (2xx).

    :ivar headers: by lower-case names; several of a name are one, by commas
    :ivar cookies: name to value of what the peer sets; send them as header ``Cookie``
    :ivar body: empty if it was streamed
    """

    status: int
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    body: bytes


class PeerClient:
    """Asks peers. One a server.

    :param reactor: clock, TCP and TLS
    :param in_thread: runs a blocking function in a thread, Deferred of its result
    :param count: told of each request that has ended: the peer's name, ``success`` or the class
        of its error, the bytes of its body
    """

    def __init__(
        self,
        reactor: Any,
        settings: PeerClientSettings,
        in_thread: InThread,
        count: Callable[[str, str, int], object] = lambda peer, outcome, sent_bytes: None,
    ) -> None:
        self._reactor = reactor
        self._count = count
        self._settings = settings
        self._in_thread = in_thread
        # A certificate of ours is a property of a connection: no pool may mix two.
        self._clients: dict[ClientCertificate, tuple[HTTPClient, HTTPConnectionPool]] = {}

    def request(
        self,
        peer: OrthancPeer,
        method: str,
        path: str,
        *,
        body: bytes | FileBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        is_idempotent: bool | None = None,
        maximum_bytes: int = MAXIMUM_ANSWER_BYTES,
    ) -> Coroutine[Any, Any, PeerAnswer]:
        """Ask, and take the answer into memory. Cancelled, the connection is closed.

        :param path: below the URL of the peer, with its query, encoded
        :param body: sent with its length; a `FileBody` with back-pressure
        :param timeout_s: how long nothing may move, None for that of the peer, 0 for ever
        :param is_idempotent: whether to ask once more if the connection is lost before there
            is an answer; None: by the method (POST is not)
        :param maximum_bytes: of the answer
        :raises PeerError: see ``orthanc_tw.peers.errors``; a status that is not 2xx too
        """
        return self._request(
            peer, method, path, body, headers, timeout_s, is_idempotent, maximum_bytes, None
        )

    def stream(
        self,
        peer: OrthancPeer,
        method: str,
        path: str,
        consume: Consume,
        *,
        body: bytes | FileBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        is_idempotent: bool | None = None,
    ) -> Coroutine[Any, Any, PeerAnswer]:
        """Ask, and hand over the answer piece by piece; the rest as for `request`.

        :param consume: only called for an answer with status 2xx; what it raises ends the request
        """
        return self._request(
            peer, method, path, body, headers, timeout_s, is_idempotent, 0, consume
        )

    async def get_json(
        self, peer: OrthancPeer, path: str, *, timeout_s: float | None = None
    ) -> JsonValue:
        """GET a document.

        :raises PeerError: also if it is no JSON
        """
        return json_of(peer, await self.request(peer, "GET", path, timeout_s=timeout_s))

    async def post_json(
        self,
        peer: OrthancPeer,
        path: str,
        value: JsonValue,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        maximum_bytes: int = MAXIMUM_ANSWER_BYTES,
    ) -> JsonValue:
        """POST a document, and take one.

        :param maximum_bytes: of the answer
        :raises PeerError: also if the answer is no JSON
        """
        body = json.dumps(value).encode()
        types = {"Content-Type": "application/json", **(headers or {})}
        answer = await self.request(
            peer,
            "POST",
            path,
            body=body,
            headers=types,
            timeout_s=timeout_s,
            maximum_bytes=maximum_bytes,
        )
        return json_of(peer, answer)

    def close(self) -> Deferred[Any]:
        """Close the connections that nothing uses; those in use are their users' to cancel."""
        pools = [pool for _, pool in self._clients.values()]
        self._clients.clear()
        return DeferredList([pool.closeCachedConnections() for pool in pools])

    async def _request(
        self,
        peer: OrthancPeer,
        method: str,
        path: str,
        body: bytes | FileBody | None,
        headers: Mapping[str, str] | None,
        timeout_s: float | None,
        is_idempotent: bool | None,
        maximum_bytes: int,
        consume: Consume | None,
    ) -> PeerAnswer:
        try:
            answer = await self._tried(
                peer, method, path, body, headers, timeout_s, is_idempotent, maximum_bytes, consume
            )
        except PeerError as error:
            self._count(peer.name, type(error).__name__, 0)
            raise
        size_bytes = body.size_bytes if isinstance(body, FileBody) else len(body or b"")
        self._count(peer.name, "success", size_bytes)
        return answer

    async def _tried(
        self,
        peer: OrthancPeer,
        method: str,
        path: str,
        body: bytes | FileBody | None,
        headers: Mapping[str, str] | None,
        timeout_s: float | None,
        is_idempotent: bool | None,
        maximum_bytes: int,
        consume: Consume | None,
    ) -> PeerAnswer:
        client = await self._client(peer)
        url = peer.with_path(path)
        if self._settings.verbose:
            _log.info("{method} {url} (peer {peer})", method=method, url=url, peer=peer.name)
        if timeout_s is None:
            timeout_s = peer.timeout_s or self._settings.timeout_s
        once_more = method in _IDEMPOTENT if is_idempotent is None else is_idempotent
        while True:
            silence = Silence(self._reactor, timeout_s)
            call = Deferred.fromCoroutine(
                self._ask(
                    client, peer, method, url, body, headers or {}, maximum_bytes, consume, silence
                )
            )
            silence.watch(call)
            try:
                return await call
            except Exception as error:
                # One that was kept open may have been closed by the peer meanwhile.
                if not (once_more and not silence.is_over and was_never_answered(error)):
                    raise peer_failure(peer, url, error, silence) from None
                once_more = False
            finally:
                silence.end()

    async def _ask(
        self,
        client: HTTPClient,
        peer: OrthancPeer,
        method: str,
        url: str,
        body: bytes | FileBody | None,
        headers: Mapping[str, str],
        maximum_bytes: int,
        consume: Consume | None,
        silence: Silence,
    ) -> PeerAnswer:
        sent: Any = None
        if body is not None:
            sent = FileProducer(_in_file(body), self._in_thread, silence.moved)
        response = await cast(
            "Deferred[Any]",
            client.request(
                method,
                url,
                headers=_headers(peer, headers),
                data=sent,
                auth=(peer.username, peer.password) if peer.username else None,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            ),
        )
        silence.moved()
        if not 200 <= response.code < 300:
            reader = BodyReader(_MAXIMUM_ERROR_BYTES, silence.moved, is_cut=True)
            response.deliverBody(reader)
            raise status_error(peer, url, response.code, await reader.body)
        reader = BodyReader(maximum_bytes, silence.moved, consume)
        response.deliverBody(reader)
        received = await reader.body
        found = {
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return PeerAnswer(response.code, found, _cookies(response.headers), received)

    async def _client(self, peer: OrthancPeer) -> HTTPClient:
        own = ClientCertificate(
            peer.certificate_file, peer.certificate_key_file, peer.certificate_key_password
        )
        if own not in self._clients:
            try:
                policy = await self._in_thread(client_policy, self._settings.trust, own)
            except ValueError as error:
                raise PeerTlsError(peer.name, str(error)) from None
            # Another request may have been as quick.
            if own not in self._clients:
                self._clients[own] = self._made(policy)
        return self._clients[own][0]

    def _made(self, policy: Any) -> tuple[HTTPClient, HTTPConnectionPool]:
        pool: Any = HTTPConnectionPool(self._reactor)
        pool.maxPersistentPerHost = self._settings.connections
        pool.cachedConnectionTimeout = self._settings.idle_s
        pool._factory = _QuietFactory
        agent: Any
        if self._settings.proxy is None:
            agent = Agent(self._reactor, policy, pool=pool)
        else:
            agent = ProxiedAgent(self._reactor, self._settings.proxy, policy, pool)
        # What one peer sets is no other's business: cookies go by `PeerAnswer.cookies`.
        no_cookies: Any = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # Here, for a server that has no peers starts faster without.
        from treq.client import HTTPClient

        return HTTPClient(agent, no_cookies), pool


class _QuietFactory(_HTTP11ClientFactory):
    """Logs no line a connection: there may be thousands, and `HttpVerbose` tells more."""

    noisy = False


def json_of(peer: OrthancPeer, answer: PeerAnswer) -> JsonValue:
    """The document of an answer.

    :raises PeerAnswerError: it is none
    """
    try:
        return cast(JsonValue, json.loads(answer.body))
    except (ValueError, RecursionError):
        raise PeerAnswerError(peer.name, "its answer is no JSON") from None


def _in_file(body: bytes | FileBody) -> FileBody:
    if isinstance(body, FileBody):
        return body
    data = body
    return FileBody(lambda: BytesIO(data), len(data))


def _headers(peer: OrthancPeer, headers: Mapping[str, str]) -> Headers:
    found = Headers()
    for name, value in (*peer.headers.items(), *headers.items()):
        found.setRawHeaders(name.encode("ascii"), [value.encode("utf-8")])
    return found


def _cookies(headers: Headers) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in headers.getRawHeaders("set-cookie", []):
        name, mark, value = line.partition(";")[0].partition("=")
        if mark:
            found[name.strip()] = value.strip()
    return found
