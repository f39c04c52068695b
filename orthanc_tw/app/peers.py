"""Makes what this server asks of other Orthancs: the peers, their client, the job that sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.app.base import Base
from orthanc_tw.config import Configuration
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobKind, JobsEngine
from orthanc_tw.jobs.kinds.peer_sender import PeerSender
from orthanc_tw.jobs.kinds.peer_store import PeerStoreKind
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.peers.client import PeerClient, PeerClientSettings
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxySettings
from orthanc_tw.peers.registry import PeerRegistry
from orthanc_tw.peers.tls import TrustSettings
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.routes.peers import PeerRoutes, PeerServices
from orthanc_tw.rest.store_request import ExportLogger
from orthanc_tw.startup import StartupError


@dataclass(frozen=True, slots=True)
class Peers:
    """What the routes and others share. The client is closed when the server stops.

    :ivar kinds: types of jobs
    """

    services: PeerServices
    kinds: Sequence[JobKind]

    @property
    def registry(self) -> PeerRegistry:
        """The peers that are known."""
        return self.services.peers

    @property
    def client(self) -> PeerClient:
        """Asks them."""
        return self.services.client


def make_peers(base: Base, transcoder: FileTranscoder, exports: ExportLogger) -> Peers:
    """Wire it; nothing is asked yet.

    :raises StartupError: naming the option that is not as it should be, and no secret
    """
    registry = _registry(base.configuration, base.served_index)
    client = PeerClient(
        base.reactor,
        client_settings(base.configuration),
        base.in_thread,
        base.metrics.count_peer,
    )
    sender = PeerSender(client, base.storage, transcoder, base.in_thread)
    return Peers(
        PeerServices(registry, client, exports),
        (PeerStoreKind(base.index, sender, registry),),
    )


def peer_routes(peers: Peers, index: Index, engine: JobsEngine) -> Sequence[RouteProvider]:
    """The routes of peers."""
    return (PeerRoutes(peers.services, index, engine),)


def client_settings(configuration: Configuration) -> PeerClientSettings:
    """The options of the HTTP client.

    :raises StartupError: ``HttpProxy`` is none
    """
    try:
        proxy = ProxySettings.parse(configuration.text("HttpProxy"))
    except ValueError as error:
        raise StartupError(str(error)) from None
    authorities = configuration.path("HttpsCACertificates")
    return PeerClientSettings(
        timeout_s=configuration.integer("HttpTimeout"),
        trust=TrustSettings(
            verify=configuration.boolean("HttpsVerifyPeers"),
            authorities="" if authorities is None else str(authorities),
        ),
        proxy=proxy,
        verbose=configuration.boolean("HttpVerbose"),
    )


def _registry(configuration: Configuration, index: Index) -> PeerRegistry:
    if configuration.boolean("OrthancPeersInDatabase"):
        return PeerRegistry({}, index)
    return PeerRegistry(
        {name: _peer(name, value) for name, value in configuration.mapping("OrthancPeers").items()}
    )


def _peer(name: str, value: object) -> OrthancPeer:
    try:
        return OrthancPeer.from_json(name, value)
    except OrthancError as error:
        raise StartupError(f"OrthancPeers.{name}: {error}") from None
