"""What an acceptor answers to A-ASSOCIATE-RQ: a pure function of the request and a policy.

Source: PS3.8 sections 7.1 and 9.3, PS3.7 annex D.3.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass

from orthanc_tw.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from orthanc_tw.net.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
)
from orthanc_tw.net.session import Context
from orthanc_tw.net.user_items import APPLICATION_CONTEXT, Role, UserInformation

# Results of a presentation context (PS3.8 table 9-18).
ACCEPTED, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 3, 4

# Source service-user (PS3.8 table 9-21).
NO_REASON = AssociateReject(1, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = AssociateReject(1, 1, 2)
CALLING_AET_NOT_RECOGNIZED = AssociateReject(1, 1, 3)
CALLED_AET_NOT_RECOGNIZED = AssociateReject(1, 1, 7)

#: Of what is small: everything but instances.
PLAIN_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
# A peer that takes less than this at a time would make one byte out of twenty.
_LEAST_MAXIMUM_LENGTH = 128
#: SOP classes that are no storage begin with these: never taken for an unknown storage class.
_NO_STORAGE = (
    "1.2.840.10008.1.",
    "1.2.840.10008.5.1.1.",
    "1.2.840.10008.5.1.4.1.2.",
    "1.2.840.10008.5.1.4.3",
    "1.2.840.10008.5.1.4.37.",
    "1.2.840.10008.5.1.4.38.",
    "1.2.840.10008.5.1.4.39.",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What is accepted now.

    :ivar storage_classes: SOP classes of C-STORE
    :ivar unknown_classes: whether any other one is taken for a storage class
    :ivar storage_syntaxes: transfer syntaxes of C-STORE
    :ivar services: all other SOP classes
    :ivar sub_operations: whether the peer may be the SCP of storage classes (C-GET)
    :ivar maximum_length: of the P-DATA-TF that are taken, bytes
    :ivar reporting: SOP classes of N-EVENT-REPORT: the peer may be their SCP
    """

    storage_classes: Container[str]
    unknown_classes: bool
    storage_syntaxes: Container[str]
    services: Collection[str]
    sub_operations: bool
    maximum_length: int
    reporting: Collection[str] = ()


def refusal(request: AssociateRequest) -> AssociateReject | None:
    """Why it cannot be accepted whatever the policy is."""
    if request.application_context != APPLICATION_CONTEXT:
        return APPLICATION_CONTEXT_NOT_SUPPORTED
    if 0 < request.user.maximum_length < _LEAST_MAXIMUM_LENGTH:
        return NO_REASON
    return None


def negotiate(
    request: AssociateRequest, policy: Policy
) -> tuple[AssociateAccept, dict[int, Context]]:
    """The answer, and the presentation contexts that were accepted, by number.

    Of the transfer syntaxes of a context the first one that is accepted is taken, as the
    requestor's order is its preference. Asynchronous operations are answered with one at a time;
    extended negotiation and user identity with nothing, which says that they have no effect.
    """
    roles = {role.sop_class_uid: role for role in request.user.roles}
    results: list[ContextResult] = []
    contexts: dict[int, Context] = {}
    for proposed in request.contexts:
        result, syntax, is_storage = _choose(proposed, policy)
        results.append(ContextResult(proposed.id, result, syntax))
        if result == ACCEPTED:
            role = roles.get(proposed.abstract_syntax)
            contexts[proposed.id] = Context(
                proposed.id,
                proposed.abstract_syntax,
                syntax,
                we_request=role is not None and role.scp and is_storage and policy.sub_operations,
                peer_requests=role is None or role.scu,
            )
    answer = UserInformation(
        maximum_length=policy.maximum_length,
        asynchronous=None if request.user.asynchronous is None else (1, 1),
        roles=tuple(_answered_roles(roles, contexts, policy)),
    )
    return (
        AssociateAccept(request.called_aet, request.calling_aet, tuple(results), answer),
        contexts,
    )


def _choose(proposed: ProposedContext, policy: Policy) -> tuple[int, str, bool]:
    """Result, transfer syntax, whether it is of storage."""
    sop_class = proposed.abstract_syntax
    is_service = sop_class in policy.services
    is_storage = not is_service and _is_storage(sop_class, policy)
    # The item is there whatever the result, and not to be tested (PS3.8 table 9-18).
    fallback = next(filter(None, proposed.transfer_syntaxes), IMPLICIT_LITTLE_ENDIAN)
    if not is_service and not is_storage:
        return ABSTRACT_SYNTAX_NOT_SUPPORTED, fallback, False
    accepted: Container[str] = policy.storage_syntaxes if is_storage else PLAIN_SYNTAXES
    for syntax in proposed.transfer_syntaxes:
        if syntax in accepted:
            return ACCEPTED, syntax, is_storage
    return TRANSFER_SYNTAXES_NOT_SUPPORTED, fallback, is_storage


def _is_storage(sop_class: str, policy: Policy) -> bool:
    if sop_class in policy.storage_classes:
        return True
    return policy.unknown_classes and bool(sop_class) and not sop_class.startswith(_NO_STORAGE)


def _answered_roles(
    roles: Mapping[str, Role], contexts: Mapping[int, Context], policy: Policy
) -> list[Role]:
    accepted = {context.abstract_syntax: context for context in contexts.values()}
    return [
        Role(
            uid,
            role.scu,
            # the SCP of such a class is the one who sends requests: reports (PS3.4 J.3.3)
            accepted[uid].we_request or (role.scp and uid in policy.reporting),
        )
        for uid, role in roles.items()
        if uid in accepted
    ]
