"""An association as PS3.8 section 9.2 has it: bytes and primitives in, bytes and indications out.

Without input and output of its own: tests drive it with bytes. Knows nothing of DIMSE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orthanc_tw.net import pdu
from orthanc_tw.net.framing import BadHeader, PduReader
from orthanc_tw.net.machine import TRANSITIONS, Action, Event, State
from orthanc_tw.net.pdu import Abort, AssociateAccept, AssociateReject, AssociateRequest
from orthanc_tw.net.user_items import Malformed

#: Sources and reasons of A-ABORT (PS3.8 table 9-26).
BY_USER = Abort(0, 0)
UNRECOGNIZED_PDU = Abort(2, 1)
UNEXPECTED_PDU = Abort(2, 2)
INVALID_PARAMETER = Abort(2, 6)
#: Of a protocol version that is not known (PS3.8 table 9-21).
_VERSION_NOT_SUPPORTED = AssociateReject(1, 2, 2)


class Lower(Protocol):
    """The transport connection, and the ARTIM timer."""

    def send(self, data: bytes) -> None:
        """Send a PDU."""
        ...

    def close(self) -> None:
        """Close the connection, once all is sent."""
        ...

    def start_artim(self) -> None:
        """Start the timer, or start it again."""
        ...

    def stop_artim(self) -> None:
        """Stop the timer if it runs."""
        ...


class Upper(Protocol):
    """The user of the association: gets its indications and confirmations."""

    def associate_indication(self, request: AssociateRequest) -> None:
        """Someone wants an association: call `accept` or `reject`."""
        ...

    def associate_accepted(self, accept: AssociateAccept) -> None:
        """The association stands."""
        ...

    def associate_rejected(self, reject: AssociateReject) -> None:
        """It does not; the connection is being closed."""
        ...

    def data_indication(self, context_id: int, control: int, fragment: bytes) -> None:
        """A presentation data value came."""
        ...

    def release_indication(self) -> None:
        """The peer wants to end it: call `respond_release`."""
        ...

    def released(self) -> None:
        """The peer agreed to the end."""
        ...

    def aborted(self, reason: str) -> None:
        """It is over, in disorder: by the peer, by a violation, by a lost connection."""
        ...


class UpperLayer:
    """One association.

    :param is_requestor: whether it is opened by us
    :ivar state: where it stands
    """

    def __init__(self, lower: Lower, upper: Upper, *, is_requestor: bool) -> None:
        self.state = State.IDLE
        self._lower = lower
        self._upper = upper
        self._is_requestor = is_requestor
        self._reader = PduReader(self._pdu_received)
        self._is_deaf = False
        self._request: AssociateRequest | None = None
        self._receivers: dict[int, Callable[[bytes], None]] = {
            pdu.RQ: self._request_received,
            pdu.AC: self._accept_received,
            pdu.RJ: self._reject_received,
            pdu.RELEASE_RQ: self._release_received,
            pdu.RELEASE_RP: self._release_response_received,
            pdu.ABORT: self._abort_received,
        }

    # --- primitives of the user ---

    def request(self, request: AssociateRequest) -> None:
        """A-ASSOCIATE request; sent when the connection is made."""
        self._request = request
        self._do(Event.ASSOCIATE_REQUEST)

    def accept(self, accept: AssociateAccept) -> None:
        """A-ASSOCIATE response: the association stands."""
        if self._do(Event.ACCEPT_RESPONSE):
            self._lower.send(pdu.encode_accept(accept))

    def reject(self, reject: AssociateReject) -> None:
        """A-ASSOCIATE response: it does not."""
        if self._do(Event.REJECT_RESPONSE):
            self._lower.send(pdu.encode_reject(reject))
            self._lower.start_artim()

    @property
    def can_send(self) -> bool:
        """Whether P-DATA may be sent now."""
        return self.state in (State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE)

    def release(self) -> None:
        """A-RELEASE request; nothing happens if there is no association."""
        if self._do(Event.RELEASE_REQUEST):
            self._lower.send(pdu.encode_release(pdu.RELEASE_RQ))

    def respond_release(self) -> None:
        """A-RELEASE response."""
        action = self._do(Event.RELEASE_RESPONSE)
        if action is not None:
            self._lower.send(pdu.encode_release(pdu.RELEASE_RP))
            if action is Action.AR_4:
                self._lower.start_artim()

    def abort(self, reason: Abort = BY_USER) -> None:
        """A-ABORT request; nothing happens if it is over. The user gets no indication of it."""
        action = self._do(Event.ABORT_REQUEST)
        if action is Action.AA_1:
            self._lower.send(pdu.encode_abort(reason))
            self._lower.start_artim()
        elif action is Action.AA_2:
            self._close()

    # --- events of the transport ---

    def connected(self) -> None:
        """There is a connection."""
        if self._is_requestor:
            if self._do(Event.CONNECTED) and self._request is not None:
                self._lower.send(pdu.encode_request(self._request))
        elif self._do(Event.CONNECTION_INDICATION):
            self._lower.start_artim()

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_deaf:
            return
        try:
            self._reader.feed(data)
        except BadHeader as error:
            self._is_deaf = True
            self._invalid(str(error), UNRECOGNIZED_PDU if error.is_unknown else INVALID_PARAMETER)

    def disconnected(self) -> None:
        """The connection is closed."""
        self._is_deaf = True
        action = self._do(Event.CLOSED)
        if action in (Action.AA_5, Action.AR_5):
            self._lower.stop_artim()
        elif action is Action.AA_4:
            self._upper.aborted("the connection was closed")

    def artim_expired(self) -> None:
        """The ARTIM timer is over."""
        if self._do(Event.ARTIM_EXPIRED):
            self._close()

    # --- events: protocol data units ---

    def _pdu_received(self, pdu_type: int, body: bytes) -> None:
        if self._is_deaf:
            return
        try:
            if pdu_type == pdu.P_DATA:
                self._data_received(body)
            else:
                self._receivers[pdu_type](body)
        except Malformed as error:
            self._invalid(str(error), INVALID_PARAMETER)

    def _data_received(self, body: bytes) -> None:
        values = list(pdu.values(body))
        if self._unexpected(self._do(Event.PDU_DATA)):
            return
        for context_id, control, fragment in values:
            if self.state not in (State.ESTABLISHED, State.AWAITING_RELEASE_RESPONSE):
                return
            self._upper.data_indication(context_id, control, fragment)

    def _request_received(self, body: bytes) -> None:
        request = pdu.decode_request(body)
        action = self._do(Event.PDU_REQUEST)
        if action is Action.AE_6:
            self._lower.stop_artim()
            if not request.protocol_version & 1:
                self.state = State.AWAITING_CLOSE
                self._lower.send(pdu.encode_reject(_VERSION_NOT_SUPPORTED))
                self._lower.start_artim()
                return
            self.state = State.AWAITING_LOCAL_RESPONSE
            self._upper.associate_indication(request)
        elif action is Action.AA_7:
            self._lower.send(pdu.encode_abort(UNEXPECTED_PDU))
        else:
            self._unexpected(action)

    def _accept_received(self, body: bytes) -> None:
        accept = pdu.decode_accept(body)
        action = self._do(Event.PDU_ACCEPT)
        if action is Action.AE_3:
            self._upper.associate_accepted(accept)
        else:
            self._unexpected(action)

    def _reject_received(self, body: bytes) -> None:
        reject = pdu.decode_reject(body)
        action = self._do(Event.PDU_REJECT)
        if action is Action.AE_4:
            self._close()
            self._upper.associate_rejected(reject)
        else:
            self._unexpected(action)

    def _release_received(self, body: bytes) -> None:
        pdu.check_release(body)
        action = self._do(Event.PDU_RELEASE_REQUEST)
        if action is Action.AR_8:
            self.state = (
                State.COLLISION_REQUESTOR_LOCAL
                if self._is_requestor
                else State.COLLISION_ACCEPTOR_REMOTE
            )
        if action in (Action.AR_2, Action.AR_8):
            self._upper.release_indication()
        else:
            self._unexpected(action)

    def _release_response_received(self, body: bytes) -> None:
        pdu.check_release(body)
        action = self._do(Event.PDU_RELEASE_RESPONSE)
        if action is Action.AR_3:
            self._close()
            self._upper.released()
        elif action is Action.AR_10:
            self._upper.released()
        else:
            self._unexpected(action)

    def _abort_received(self, body: bytes) -> None:
        abort = pdu.decode_abort(body)
        action = self._do(Event.PDU_ABORT)
        if action in (Action.AA_2, Action.AA_3):
            self._lower.stop_artim()
            self._close()
        if action is Action.AA_3:
            who = "the peer" if abort.source == 0 else "the upper layer of the peer"
            self._upper.aborted(f"{who} aborted it (reason {abort.reason})")

    def _invalid(self, what: str, reason: Abort) -> None:
        action = self._do(Event.PDU_INVALID)
        if action is Action.AA_7:
            self._lower.send(pdu.encode_abort(reason))
        else:
            self._unexpected(action, what, reason)

    def _unexpected(
        self, action: Action | None, what: str = "an unexpected PDU", reason: Abort = UNEXPECTED_PDU
    ) -> bool:
        """Act if the event was not one that belongs here; say whether it was not."""
        if action is Action.AA_1:
            self._lower.send(pdu.encode_abort(reason))
            self._lower.start_artim()
        elif action is Action.AA_8:
            self._lower.send(pdu.encode_abort(reason))
            self._lower.start_artim()
            self._upper.aborted(f"the peer violated the protocol: {what}")
        return action not in (Action.DT_2, Action.AR_6)

    def _close(self) -> None:
        self._is_deaf = True
        self._lower.stop_artim()
        self._lower.close()

    def _do(self, event: Event) -> Action | None:
        """Take the transition; None if the event cannot be here."""
        found = TRANSITIONS.get((event, self.state))
        if found is None:
            return None
        action, after = found
        if after is not None:
            self.state = after
        return action
