"""Opens connections to modalities: TCP or TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, SSL4ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from orthanc_tw.net.errors import AssociationTimeout, ConnectionRefused
from orthanc_tw.net.modalities import RemoteModality

# Where a modality may be silent for ever, a connection may still not take longer than this.
_CONNECT_S = 30.0

#: Connects a protocol to a modality within a time: ``connect(modality, protocol, timeout_s)``.
Connect = Callable[[RemoteModality, Protocol, float], Deferred[Any]]


class _Once(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol


def connector(reactor: Any, tls: Callable[[], Any]) -> Connect:
    """Connections of a reactor.

    :param tls: the contexts for modalities with ``UseDicomTls``; asked when there is one, may
        raise ValueError with one line
    """

    def connect(modality: RemoteModality, protocol: Protocol, timeout_s: float) -> Deferred[Any]:
        limit_s = timeout_s or _CONNECT_S
        endpoint: Any
        if modality.use_tls:
            try:
                contexts = tls()
            except ValueError as error:
                raise ConnectionRefused(_details(modality, str(error))) from None
            endpoint = SSL4ClientEndpoint(
                reactor, modality.host, modality.port, contexts, timeout=limit_s
            )
        else:
            endpoint = HostnameEndpoint(reactor, modality.host, modality.port, timeout=limit_s)
        connecting: Deferred[Any] = endpoint.connect(_Once(protocol))
        return connecting.addErrback(_explained, modality)

    return connect


def _explained(failure: Failure, modality: RemoteModality) -> Any:
    if failure.check(CancelledError):
        return failure
    error = failure.value
    if isinstance(error, TimeoutError):
        raise AssociationTimeout(_details(modality, "TCP Initialization Error: timeout"))
    if isinstance(error, DNSLookupError):
        what = "unknown host"
    elif isinstance(error, ConnectError):
        os_error = error.osError
        known = getattr(os_error, "strerror", None) or _strerror(os_error)
        what = known or str(error)
    else:
        what = str(error) or type(error).__name__
    raise ConnectionRefused(_details(modality, f"TCP Initialization Error: {what}"))


def _strerror(number: object) -> str:
    import os

    return os.strerror(number) if isinstance(number, int) else ""


def _details(modality: RemoteModality, what: str) -> str:
    return f'DicomAssociation - connecting to AET "{modality.aet}": {what}'
