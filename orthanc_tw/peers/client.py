"""The HTTP client of Orthanc peers: authenticated, with TLS, streamed both ways, connections kept.

Over treq. Every failure is a `PeerError` that names the peer. All in the reactor thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.peers.answer import BodyReader
from orthanc_tw.peers.body import FileBody, FileProducer, InThread
from orthanc_tw.peers.connections import PeerConnections
from orthanc_tw.peers.errors import PeerAnswerError, PeerError
from orthanc_tw.peers.failures import peer_failure, status_error, was_never_answered
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxySettings
from orthanc_tw.peers.request import Consume, PeerRequest
from orthanc_tw.peers.silence import Silence
from orthanc_tw.peers.tls import TrustSettings

if TYPE_CHECKING:
    from treq.client import HTTPClient

#: What an answer that is kept in memory may have.
MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024
_MAXIMUM_ERROR_BYTES = 16 * 1024
_log = Logger()


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
        self._connections = PeerConnections(
            reactor,
            in_thread,
            settings.trust,
            settings.proxy,
            per_peer=settings.connections,
            idle_s=settings.idle_s,
        )

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
            PeerRequest(peer, method, path, body, headers, timeout_s, is_idempotent, maximum_bytes)
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
            PeerRequest(
                peer, method, path, body, headers, timeout_s, is_idempotent, consume=consume
            )
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
    ) -> JsonValue:
        """POST a document, and take one.

        :raises PeerError: also if the answer is no JSON
        """
        body = json.dumps(value).encode()
        types = {"Content-Type": "application/json", **(headers or {})}
        answer = await self.request(
            peer, "POST", path, body=body, headers=types, timeout_s=timeout_s
        )
        return json_of(peer, answer)

    def close(self) -> Deferred[Any]:
        """Close the connections that nothing uses; those in use are their users' to cancel."""
        return self._connections.close()

    async def _request(self, request: PeerRequest) -> PeerAnswer:
        try:
            answer = await self._tried(request)
        except PeerError as error:
            self._count(request.peer.name, type(error).__name__, 0)
            raise
        self._count(request.peer.name, "success", request.size_bytes)
        return answer

    async def _tried(self, request: PeerRequest) -> PeerAnswer:
        peer, url, timeout_s = request.peer, request.url, request.timeout_s
        client = await self._connections.client(peer)
        if self._settings.verbose:
            _log.info(
                "{method} {url} (peer {peer})", method=request.method, url=url, peer=peer.name
            )
        if timeout_s is None:
            timeout_s = peer.timeout_s or self._settings.timeout_s
        once_more = request.may_be_repeated
        while True:
            silence = Silence(self._reactor, timeout_s)
            call = Deferred.fromCoroutine(self._ask(client, request, silence))
            silence.watch(call)
            try:
                return await _cancellable(call)
            except Exception as error:
                # One that was kept open may have been closed by the peer meanwhile.
                if not (once_more and not silence.is_over and was_never_answered(error)):
                    raise peer_failure(peer, url, error, silence) from None
                once_more = False
            finally:
                silence.end()

    async def _ask(self, client: HTTPClient, request: PeerRequest, silence: Silence) -> PeerAnswer:
        peer, url = request.peer, request.url
        body = request.file()
        sent: Any = None
        if body is not None:
            sent = FileProducer(body, self._in_thread, silence.moved)
        response = await cast(
            "Deferred[Any]",
            client.request(
                request.method,
                url,
                headers=request.all_headers(),
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
        reader = BodyReader(request.maximum_bytes, silence.moved, request.consume)
        response.deliverBody(reader)
        received = await reader.body
        found = {
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return PeerAnswer(response.code, found, _cookies(response.headers), received)


def json_of(peer: OrthancPeer, answer: PeerAnswer) -> JsonValue:
    """The document of an answer.

    :raises PeerAnswerError: it is none
    """
    try:
        return cast(JsonValue, json.loads(answer.body))
    except (ValueError, RecursionError):
        raise PeerAnswerError(peer.name, "its answer is no JSON") from None


def _cancellable(call: Deferred[PeerAnswer]) -> Deferred[PeerAnswer]:
    """The same; cancelled it fails as cancelled, whatever the call makes of that.

    An endpoint that is cancelled while it looks up a host says that there is no such host, which
    would be a reason to ask again.
    """
    is_cancelled = False

    def cancel(_: object) -> None:
        nonlocal is_cancelled
        is_cancelled = True
        call.cancel()

    def ended(result: Any) -> None:
        if not is_cancelled:
            ending.callback(result)

    ending: Deferred[PeerAnswer] = Deferred(cancel)
    call.addBoth(ended)
    return ending


def _cookies(headers: Headers) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in headers.getRawHeaders("set-cookie", []):
        name, mark, value = line.partition(";")[0].partition("=")
        if mark:
            found[name.strip()] = value.strip()
    return found
