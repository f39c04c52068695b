"""SCP: what whoever provides a service writes (`ServiceHandler`), and what it is given.

Everything here runs in the reactor thread. Sources: PS3.7 (DIMSE), PS3.4 (service classes).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from orthanc_tw.net.values import (
    AssociationInfo,
    Command,
    Dataset,
    InstanceFile,
    MoveOriginator,
    Reply,
)


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A DIMSE request, whole.

    :ivar command: which one
    :ivar message_id: (0000,0110)
    :ivar sop_class_uid: Affected (0000,0002) or Requested (0000,0003) SOP Class UID
    :ivar sop_instance_uid: Affected (0000,1000) or Requested (0000,1001) SOP Instance UID, or ''
    :ivar transfer_syntax: of the presentation context: that of the data sets of the responses
    :ivar dataset: Identifier, Action or Event Information; None if there is none
    :ivar priority: (0000,0700): 0 medium, 1 high, 2 low
    :ivar move_destination: (0000,0600), or ''
    :ivar action_type_id: (0000,1008) or Event Type ID (0000,1002), or 0
    """

    command: Command
    association: AssociationInfo
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    dataset: Dataset | None
    priority: int = 0
    move_destination: str = ""
    action_type_id: int = 0


class Responder(Protocol):
    """The way back to the one who asked."""

    @property
    def is_cancelled(self) -> bool:
        """Whether a C-CANCEL came, or the association ended."""
        ...

    def on_cancel(self, call: Callable[[], object]) -> None:
        """Call once when a C-CANCEL comes or the association ends; at once if it has."""
        ...

    def pending(self, reply: Reply) -> Deferred[None]:
        """Send a response of status 0xFF00 or 0xFF01.

        Fires when the peer takes more (back-pressure): wait for it before the next one.

        :raises AssociationError: (as a failure) if the association ended
        """
        ...

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """C-STORE sub-operation over this association (C-GET). One at a time.

        :raises NoPresentationContext: (as a failure) if the peer takes no such instance
        :raises AssociationError: (as a failure) if the association ended
        """
        ...

    def accepts(self, sop_class_uid: str, transfer_syntax: str) -> bool:
        """Whether `store` has a presentation context for it (C-GET)."""
        ...


class ServiceHandler(Protocol):
    """Provides a service. One object serves all associations."""

    def handle(self, request: ServiceRequest, responder: Responder) -> Awaitable[Reply]:
        """Answer: pending responses through ``responder``, the final one as the result.

        A raised `OrthancError` becomes a final response of 0xC000 with its text as comment,
        anything else the same, and a line in the log. Cancelled (as a Deferred) when the
        association ends.
        """
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is offered: what is negotiated, who answers, who may ask.

    :ivar name: for metrics and logs, such as ``c-find``
    :ivar sop_classes: abstract syntaxes that are accepted
    :ivar is_allowed: who may ask; asked when a request comes. Refused with 0x0124
    :ivar sub_operations: C-GET: the peer is to be an SCP of storage in the same association
    """

    name: str
    command: Command
    sop_classes: tuple[str, ...]
    handler: ServiceHandler
    is_allowed: Callable[[AssociationInfo], bool]
    sub_operations: bool = False
