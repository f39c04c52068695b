"""The connections to peers that are kept open, and the TLS that they were opened with."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory

from orthanc_tw.peers.body import InThread
from orthanc_tw.peers.errors import PeerTlsError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxiedAgent, ProxySettings
from orthanc_tw.peers.tls import ClientCertificate, TrustSettings, client_policy

if TYPE_CHECKING:
    from treq.client import HTTPClient


class PeerConnections:
    """A client of treq for each certificate of ours, with its pool. Reactor thread.

    :param reactor: clock, TCP and TLS
    :param in_thread: runs a blocking function in a thread, Deferred of its result
    :param per_peer: connections kept open to one peer, at most
    :param idle_s: how long one is kept
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: InThread,
        trust: TrustSettings,
        proxy: ProxySettings | None,
        *,
        per_peer: int,
        idle_s: float,
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._trust = trust
        self._proxy = proxy
        self._per_peer = per_peer
        self._idle_s = idle_s
        # A certificate of ours is a property of a connection: no pool may mix two.
        self._clients: dict[ClientCertificate, tuple[HTTPClient, HTTPConnectionPool]] = {}

    async def client(self, peer: OrthancPeer) -> HTTPClient:
        """What asks that peer.

        :raises PeerTlsError: a certificate cannot be used
        """
        own = ClientCertificate(
            peer.certificate_file, peer.certificate_key_file, peer.certificate_key_password
        )
        if own not in self._clients:
            try:
                policy = await self._in_thread(client_policy, self._trust, own)
            except ValueError as error:
                raise PeerTlsError(peer.name, str(error)) from None
            # Another request may have been as quick.
            if own not in self._clients:
                self._clients[own] = self._made(policy)
        return self._clients[own][0]

    def close(self) -> Deferred[Any]:
        """Close those that nothing uses; those in use are their users' to cancel."""
        pools = [pool for _, pool in self._clients.values()]
        self._clients.clear()
        return DeferredList([pool.closeCachedConnections() for pool in pools])

    def _made(self, policy: Any) -> tuple[HTTPClient, HTTPConnectionPool]:
        pool: Any = HTTPConnectionPool(self._reactor)
        pool.maxPersistentPerHost = self._per_peer
        pool.cachedConnectionTimeout = self._idle_s
        pool._factory = _QuietFactory
        agent: Any
        if self._proxy is None:
            agent = Agent(self._reactor, policy, pool=pool)
        else:
            agent = ProxiedAgent(self._reactor, self._proxy, policy, pool)
        # What one peer sets is no other's business: cookies go by `PeerAnswer.cookies`.
        no_cookies: Any = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # Here, for a server that has no peers starts faster without.
        from treq.client import HTTPClient

        return HTTPClient(agent, no_cookies), pool


class _QuietFactory(_HTTP11ClientFactory):
    """Logs no line a connection: there may be thousands, and `HttpVerbose` tells more."""

    noisy = False
