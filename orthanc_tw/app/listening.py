"""The HTTP ports: addresses, TLS, sockets handed over by systemd."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import LogLevel

from orthanc_tw.app import settings
from orthanc_tw.config import Configuration
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.metrics import Metrics
from orthanc_tw.rest.auth import Authenticator
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.site import OrthancSite
from orthanc_tw.rest.tls import context_factory
from orthanc_tw.startup import StartupError
from orthanc_tw.storage.interface import Spool

BACKLOG = 512
# Longest time that answers have to be taken once the server stops, seconds.
PATIENCE_S = 2.0


class Listening:
    """Listens on every address that is configured, with one site.

    The ports are taken first of all, since they may be in use. What connects before `accept`
    waits in the backlog.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        new_spool: Callable[[], Spool],
        in_thread: Callable[..., Deferred[Any]],
        log_levels: LogLevels,
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._site = OrthancSite(
            RestRoot([], Executor(ErrorSettings())),
            settings.site(configuration),
            Authenticator(settings.auth(configuration)),
            new_spool,
            reactor,
            in_thread=in_thread,
            logs_requests=lambda: log_levels.shows(LogLevel.info, "http"),
        )
        self._ports: list[Any] = []

    def listen(self) -> None:
        """Take the ports.

        :raises StartupError: if the certificate cannot be used
        :raises CannotListenError: if an address is in use or not ours
        """
        configuration = self._configuration
        if not configuration.boolean("HttpServerEnabled"):
            return
        tls = settings.tls(configuration)
        try:
            contexts = None if tls is None else context_factory(tls)
        except ValueError as error:
            raise StartupError(str(error)) from None
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            self._adopt(contexts)
            return
        port = configuration.integer("HttpPort")
        for address in settings.bind_addresses(configuration):
            if contexts is None:
                listening = self._reactor.listenTCP(port, self._site, BACKLOG, address)
            else:
                listening = self._reactor.listenSSL(port, self._site, contexts, BACKLOG, address)
            self._ports.append(listening)
        self._pause()

    def _adopt(self, contexts: Any) -> None:
        """Listen on the first socket of systemd's socket activation (sd_listen_fds(3))."""
        if contexts is not None:
            raise StartupError("SslEnabled: a socket of systemd cannot be used with HTTPS")
        endpoint = serverFromString(self._reactor, "systemd:domain=INET:index=0")
        listened: list[IListeningPort] = []
        endpoint.listen(self._site).addCallback(listened.append)
        self._ports += listened
        self._pause()

    def _pause(self) -> None:
        for port in self._ports:
            port.stopReading()

    def serve(self, root: RestRoot, metrics: Metrics) -> None:
        """Answer requests with these routes, once they are accepted."""
        self._site.serve(root, RequestMetrics(metrics))

    def accept(self) -> None:
        """Take connections from now on."""
        for port in self._ports:
            port.startReading()

    async def stop(self) -> None:
        """Take no more connections, end those whose request is not there yet."""
        ports, self._ports = self._ports, []
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])
        self._site.end()

    def end(self) -> Deferred[None]:
        """Fires when all that is being answered is, or `PATIENCE_S` is over."""
        return self._site.ended_all(PATIENCE_S)


class RequestMetrics:
    """Counts and times requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def request_begun(self) -> None:
        """One more is being answered."""
        self._metrics.inc("orthanc_rest_api_active_requests")

    def request_ended(self, duration_ms: float) -> None:
        """One less."""
        self._metrics.dec("orthanc_rest_api_active_requests")
        self._metrics.observe("orthanc_rest_api_duration_ms", duration_ms)
