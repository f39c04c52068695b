"""The accepting end of associations: who may connect, what is negotiated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.net import negotiation
from orthanc_tw.net.dispatcher import Dispatcher, Host
from orthanc_tw.net.errors import AssociationAborted
from orthanc_tw.net.negotiation import Policy
from orthanc_tw.net.pdu import AssociateReject, AssociateRequest
from orthanc_tw.net.permissions import Permissions
from orthanc_tw.net.protocol import AssociationProtocol
from orthanc_tw.net.sender import MessageSender
from orthanc_tw.net.session import Session
from orthanc_tw.net.tracing import Trace


@dataclass(frozen=True, slots=True)
class AcceptorSettings:
    """Options.

    :ivar timeout_s: ``DicomScpTimeout``, 0: for ever
    """

    timeout_s: float = 30


class Acceptor(AssociationProtocol):
    """One association that another one opened."""

    _log = Logger()

    def __init__(self, factory: AcceptorFactory) -> None:
        super().__init__(factory.clock, factory.settings.timeout_s)
        self._factory = factory

    def connectionMade(self) -> None:
        """Begin."""
        self._factory.connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = Failure(AssociationAborted(""))) -> None:  # noqa: B008
        """The end of it."""
        self._factory.connections.discard(self)
        super().connectionLost(reason)

    def associate_indication(self, request: AssociateRequest) -> None:
        """Accept or reject."""
        factory = self._factory
        permissions = factory.permissions
        transport: Any = self.transport
        remote_ip = str(getattr(transport.getPeer(), "host", ""))
        info = permissions.identify(request.calling_aet, request.called_aet, remote_ip)
        refusal = negotiation.refusal(request)
        if refusal is None and not permissions.is_called(request.called_aet):
            refusal = negotiation.CALLED_AET_NOT_RECOGNIZED
        if refusal is None and not permissions.may_connect(info):
            refusal = negotiation.CALLING_AET_NOT_RECOGNIZED
        if refusal is not None:
            self._reject(request, remote_ip, refusal)
            return
        accept, contexts = negotiation.negotiate(request, factory.policy())
        dispatcher = Dispatcher(factory.host, info)
        self.session = Session(
            MessageSender(self, request.user.maximum_length, factory.host.in_thread),
            contexts,
            dispatcher,
            abort=self.abort,
            traces=factory.traces,
            label=f"{request.calling_aet} at {remote_ip}",
        )
        dispatcher.attach(self.session)
        self._log.info(
            "Association of {aet} at {ip}: {accepted} of {proposed} presentation contexts",
            aet=request.calling_aet,
            ip=remote_ip,
            accepted=len(contexts),
            proposed=len(request.contexts),
        )
        self._upper_layer.accept(accept)

    def _reject(self, request: AssociateRequest, remote_ip: str, refusal: AssociateReject) -> None:
        self._log.warn(
            "Rejected an association of {calling} at {ip} to {called}: reason {reason}",
            calling=request.calling_aet,
            ip=remote_ip,
            called=request.called_aet,
            reason=refusal.reason,
        )
        self._upper_layer.reject(refusal)


class AcceptorFactory(Factory):
    """Makes an `Acceptor` of each connection.

    :param clock: ``IReactorTime``
    :param policy: what is accepted now
    :param traces: what of messages is told to the log
    :ivar connections: those that are open
    """

    noisy = False

    def __init__(
        self,
        settings: AcceptorSettings,
        host: Host,
        permissions: Permissions,
        policy: Callable[[], Policy],
        *,
        clock: Any,
        traces: Callable[[], Trace],
    ) -> None:
        self.settings = settings
        self.host = host
        self.permissions = permissions
        self.policy = policy
        self.clock = clock
        self.traces = traces
        self.connections: set[Acceptor] = set()

    def buildProtocol(self, addr: object) -> Acceptor:
        """One a connection."""
        return Acceptor(self)

    def abort_all(self) -> None:
        """End all associations, as the server stops."""
        for connection in list(self.connections):
            connection.abort(AssociationAborted("this server stops"))
