"""The DICOM port: address, TLS, a socket handed over by systemd."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol

from orthanc_tw.app import dicom_settings
from orthanc_tw.config import Configuration
from orthanc_tw.net.scp.acceptor import AcceptorFactory
from orthanc_tw.net.tls import server_contexts
from orthanc_tw.startup import StartupError

BACKLOG = 512


class DicomListening(Factory):
    """Takes the port first of all, since it may be in use.

    What connects before `accept` waits in the backlog.
    """

    noisy = False

    def __init__(self, configuration: Configuration, reactor: Any) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._ports: list[Any] = []
        self._acceptors: AcceptorFactory | None = None

    def listen(self) -> None:
        """Take the port.

        :raises StartupError: if the certificates cannot be used
        :raises CannotListenError: if the port is in use or not ours
        """
        configuration = self._configuration
        if not configuration.boolean("DicomServerEnabled"):
            return
        port = configuration.integer("DicomPort")
        contexts = self._contexts()
        if contexts is not None:
            self._ports.append(self._reactor.listenSSL(port, self, contexts, BACKLOG))
        elif os.environ.get("LISTEN_PID") == str(os.getpid()) and _passed_sockets() > 1:
            # The second socket of systemd's socket activation; the first one is for HTTP.
            endpoint = serverFromString(self._reactor, "systemd:domain=INET:index=1")
            listened: list[IListeningPort] = []
            endpoint.listen(self).addCallback(listened.append)
            self._ports += listened
        else:
            self._ports.append(self._reactor.listenTCP(port, self, BACKLOG))
        for listening in self._ports:
            listening.stopReading()

    def _contexts(self) -> Any:
        if not self._configuration.boolean("DicomTlsEnabled"):
            return None
        tls = dicom_settings.tls(self._configuration)
        if tls is None:
            raise StartupError(
                "DicomTlsEnabled: DicomTlsCertificate and DicomTlsPrivateKey were expected"
            )
        try:
            return server_contexts(tls)
        except ValueError as error:
            raise StartupError(str(error)) from None

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """An association, once `serve` said with what."""
        return None if self._acceptors is None else self._acceptors.buildProtocol(addr)

    def serve(self, acceptors: AcceptorFactory) -> None:
        """Answer with these."""
        self._acceptors = acceptors

    def accept(self) -> None:
        """Take connections from now on."""
        for port in self._ports:
            port.startReading()

    async def stop(self) -> None:
        """Take no more connections, end those that are there."""
        ports, self._ports = self._ports, []
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])
        if self._acceptors is not None:
            self._acceptors.abort_all()


def _passed_sockets() -> int:
    try:
        return int(os.environ.get("LISTEN_FDS", "0"))
    except ValueError:
        return 0
