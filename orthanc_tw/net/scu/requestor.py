"""The requesting end of associations: proposes, and finds out what was accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.net.associations import MOST_CONTEXTS, Proposal
from orthanc_tw.net.dispatcher import Dispatcher, Host
from orthanc_tw.net.errors import (
    AssociationAborted,
    AssociationError,
    AssociationRejected,
    NoPresentationContext,
)
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.negotiation import ACCEPTED
from orthanc_tw.net.pdu import AssociateAccept, AssociateReject, AssociateRequest, ProposedContext
from orthanc_tw.net.protocol import AssociationProtocol
from orthanc_tw.net.sender import MessageSender
from orthanc_tw.net.session import Context, Session
from orthanc_tw.net.tracing import Trace
from orthanc_tw.net.user_items import Role, UserInformation
from orthanc_tw.net.values import AssociationInfo

# PS3.8 table 9-21, by source and reason.
_REASONS = {
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


def association_request(
    called_aet: str, calling_aet: str, proposals: Sequence[Proposal], maximum_length: int
) -> AssociateRequest:
    """The A-ASSOCIATE-RQ for proposals, numbered in their order.

    :raises ValueError: if there are none, or more than `MOST_CONTEXTS`
    """
    if not 0 < len(proposals) <= MOST_CONTEXTS:
        raise ValueError(f"1 to {MOST_CONTEXTS} presentation contexts expected: {len(proposals)}")
    classes = dict.fromkeys(item.abstract_syntax for item in proposals if item.scp_role)
    return AssociateRequest(
        called_aet,
        calling_aet,
        tuple(
            ProposedContext(2 * index + 1, item.abstract_syntax, item.transfer_syntaxes)
            for index, item in enumerate(proposals)
        ),
        UserInformation(
            maximum_length, roles=tuple(Role(uid, scu=False, scp=True) for uid in classes)
        ),
    )


class Requestor(AssociationProtocol):
    """One association that this server opens.

    :param host: answers what the peer asks meanwhile: C-STORE of a C-GET, N-EVENT-REPORT
    :ivar established: fires with None when the association stands, fails with an
        `AssociationError`
    :ivar id: its number, not 0
    :ivar closed: called once when the association is over
    """

    is_requestor = True
    _log = Logger()

    def __init__(
        self,
        modality: RemoteModality,
        request: AssociateRequest,
        proposals: Sequence[Proposal],
        host: Host,
        *,
        clock: Any,
        timeout_s: float,
        traces: Callable[[], Trace],
        association_id: int = 1,
    ) -> None:
        super().__init__(clock, timeout_s)
        self.id = association_id
        self.established: Deferred[None] = Deferred()
        self.closed: Callable[[], None] = lambda: None
        self._modality = modality
        self._request = request
        self._proposals = proposals
        self._host = host
        self._traces = traces
        self._is_over = False
        self._upper_layer.request(request)

    def associate_accepted(self, accept: AssociateAccept) -> None:
        """The association stands, if any presentation context does."""
        results = {result.id: result for result in accept.contexts}
        contexts: dict[int, Context] = {}
        for proposed, proposal in zip(self._request.contexts, self._proposals, strict=True):
            result = results.get(proposed.id)
            if (
                result is not None
                and result.result == ACCEPTED
                and result.transfer_syntax in proposed.transfer_syntaxes
            ):
                contexts[proposed.id] = Context(
                    proposed.id,
                    proposed.abstract_syntax,
                    result.transfer_syntax,
                    we_request=not proposal.scp_role,
                    peer_requests=proposal.scp_role,
                )
        transport: Any = self.transport
        modality = self._modality
        remote_ip = str(getattr(transport.getPeer(), "host", ""))
        dispatcher = Dispatcher(
            self._host,
            AssociationInfo(
                modality.aet,
                self._request.calling_aet,
                remote_ip,
                modality=modality,
                id=self.id,
            ),
        )
        self.session = Session(
            MessageSender(self, accept.user.maximum_length, self._host.in_thread),
            contexts,
            dispatcher,
            abort=self.abort,
            traces=self._traces,
            label=f"{modality.aet} at {remote_ip}",
        )
        dispatcher.attach(self.session)
        if not contexts:
            self._upper_layer.release()
            self._over(
                NoPresentationContext(
                    f'Unable to negotiate a presentation context with AET "{modality.aet}"'
                )
            )
        elif not self.established.called:
            self.established.callback(None)

    def associate_rejected(self, reject: AssociateReject) -> None:
        """The peer does not want it."""
        reason = _REASONS.get((reject.source, reject.reason), "no reason given")
        lasts = "transient" if reject.result == 2 else "permanent"
        self._over(
            AssociationRejected(
                self._details(f"Association rejected ({lasts}): {reason}"),
                reject.result,
                reject.source,
                reject.reason,
            )
        )

    def connectionLost(self, reason: Failure = Failure(AssociationAborted(""))) -> None:  # noqa: B008
        """The end of it."""
        if not self.established.called:
            self._over(AssociationAborted(self._details(reason.getErrorMessage())))
        super().connectionLost(reason)

    def release(self) -> None:
        """A-RELEASE; if the peer does not answer, the connection is closed all the same."""
        self._upper_layer.release()
        if self._closing is None:
            transport: Any = self.transport
            self._closing = self._clock.callLater(self._artim_s, transport.abortConnection)

    @property
    def is_over(self) -> bool:
        """Whether the association has ended."""
        return self._is_over

    def _is_peers_turn(self, session: Session | None) -> bool:
        return session is None or self._is_blocked or session.expects_reply

    def _details(self, what: str) -> str:
        return f'DicomAssociation - connecting to AET "{self._modality.aet}": {what}'

    def _over(self, error: AssociationError) -> None:
        if not self.established.called:
            self.established.errback(error)
        super()._over(error)
        if not self._is_over:
            self._is_over = True
            self.closed()
