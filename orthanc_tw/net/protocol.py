"""The Twisted protocol: one connection, its timers, its back-pressure, its upper layer.

No thread an association. Whatever goes wrong in here aborts this association, and no other.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from orthanc_tw.net.errors import AssociationAborted, AssociationError, AssociationTimeout
from orthanc_tw.net.pdu import Abort, AssociateAccept, AssociateReject, AssociateRequest
from orthanc_tw.net.sender import Pieces
from orthanc_tw.net.session import Session
from orthanc_tw.net.upper_layer import BY_USER, UpperLayer

#: Looks at silence so many times within the time that is allowed.
_LOOKS = 4
#: The ARTIM timer where nothing is configured, seconds.
ARTIM_S = 30.0


@implementer(IPushProducer)
class AssociationProtocol(Protocol):
    """What both ends share. Is `upper_layer.Lower`, `upper_layer.Upper` and `sender.Link`.

    :param clock: ``IReactorTime``
    :param timeout_s: how long the peer may be silent when it is its turn, 0: for ever
    :ivar session: DIMSE, once the association stands
    """

    is_requestor = False
    _log = Logger()

    def __init__(self, clock: Any, timeout_s: float) -> None:
        self.session: Session | None = None
        self._clock = clock
        self._timeout_s = timeout_s
        self._artim_s = timeout_s or ARTIM_S
        self._upper_layer = UpperLayer(self, self, is_requestor=self.is_requestor)
        self._artim: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._is_blocked = False
        self._is_held = False
        self._drained: list[Deferred[None]] = []
        self._progress = 0
        self._seen = 0
        self._silent_looks = 0

    # --- the connection ---

    def connectionMade(self) -> None:
        """Begin."""
        transport: Any = self.transport
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self._upper_layer.connected()
        if self._timeout_s:
            self._watch = self._clock.callLater(self._timeout_s / _LOOKS, self._look)

    def dataReceived(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self._upper_layer.received(data)
        except Exception:
            self._log.failure("An association is aborted by an error of this server")
            self.abort(AssociationAborted("an error of this server"))

    def connectionLost(self, reason: Failure = Failure(AssociationAborted(""))) -> None:  # noqa: B008
        """The end of it."""
        for timer in (self._artim, self._closing, self._watch):
            if timer is not None and timer.active():
                timer.cancel()
        self._watch = None
        self._upper_layer.disconnected()
        self._over(AssociationAborted("the connection was closed"))
        self._drain()

    # --- Lower ---

    def send(self, data: bytes) -> None:
        """Send a PDU."""
        transport: Any = self.transport
        transport.write(data)

    def close(self) -> None:
        """Close, with what is not sent yet; after a while even without."""
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()
        if self._closing is None:
            self._closing = self._clock.callLater(self._artim_s, transport.abortConnection)

    def start_artim(self) -> None:
        """Start the timer, or start it again."""
        self.stop_artim()
        self._artim = self._clock.callLater(self._artim_s, self._upper_layer.artim_expired)

    def stop_artim(self) -> None:
        """Stop the timer if it runs."""
        if self._artim is not None and self._artim.active():
            self._artim.cancel()
        self._artim = None

    # --- Link and IPushProducer ---

    @property
    def can_send(self) -> bool:
        """Whether there is an association."""
        return self._upper_layer.can_send

    def write(self, pieces: Pieces) -> None:
        """Send P-DATA-TF."""
        transport: Any = self.transport
        transport.write(b"".join(pieces))  # takes no memoryview

    def drained(self) -> Deferred[None]:
        """Fires when the peer has taken enough for more, or the association is over."""
        if not self._is_blocked:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        return waiting

    def hold(self) -> None:
        """Take nothing more of the peer for now."""
        self._is_held = True
        transport: Any = self.transport
        transport.pauseProducing()

    def go_on(self) -> None:
        """Take what the peer sends again."""
        if self._is_held:
            self._is_held = False
            transport: Any = self.transport
            transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The peer takes less than is sent."""
        self._is_blocked = True

    def resumeProducing(self) -> None:
        """It takes more."""
        self._progress += 1
        self._drain()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._drain()

    def _drain(self) -> None:
        self._is_blocked = False
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            if not deferred.called:
                deferred.callback(None)

    # --- silence ---

    def _look(self) -> None:
        self._watch = self._clock.callLater(self._timeout_s / _LOOKS, self._look)
        session = self.session
        if self._progress != self._seen or self._is_held or not self._is_peers_turn(session):
            self._seen = self._progress
            self._silent_looks = 0
            return
        self._silent_looks += 1
        if self._silent_looks >= _LOOKS:
            self.timed_out()

    def _is_peers_turn(self, session: Session | None) -> bool:
        return self._is_blocked or (session is not None and session.waits)

    def timed_out(self) -> None:
        """The peer was silent for too long."""
        self.abort(AssociationTimeout(f"silent for more than {self._timeout_s:g} s"))

    # --- Upper ---

    def associate_indication(self, request: AssociateRequest) -> None:
        """Only acceptors get it."""
        raise NotImplementedError

    def associate_accepted(self, accept: AssociateAccept) -> None:
        """Only requestors get it."""
        raise NotImplementedError

    def associate_rejected(self, reject: AssociateReject) -> None:
        """Only requestors get it."""
        raise NotImplementedError

    def data_indication(self, context_id: int, control: int, fragment: bytes) -> None:
        """A presentation data value came."""
        self._progress += 1
        assert self.session is not None
        self.session.received(context_id, control, fragment)

    def release_indication(self) -> None:
        """The peer has done: whatever it still waits for is dropped."""
        self._upper_layer.respond_release()
        self._over(AssociationAborted("the peer released the association"))

    def released(self) -> None:
        """The peer agreed to the end."""
        self._upper_layer.respond_release()
        self._over(AssociationAborted("the association was released"))

    def aborted(self, reason: str) -> None:
        """It is over, in disorder."""
        self._log.info("An association ended in disorder: {reason}", reason=reason)
        self._over(AssociationAborted(reason))

    # --- the end ---

    def abort(self, error: AssociationError, reason: Abort = BY_USER) -> None:
        """End it from here."""
        self._upper_layer.abort(reason)
        self._over(error)

    def _over(self, error: AssociationError) -> None:
        """Tell the session; called more than once."""
        self._drain()
        if self.session is not None:
            self.session.ended(error)
