"""What the DICOM network offers: services to register (SCP), associations to use (SCU).

Everything here runs in the reactor thread. Data sets are bytes in a transfer syntax, as they
are on the wire: `Dataset`. Whoever provides a service writes a `ServiceHandler`, whoever uses
one asks an `AssociationPool` for a `ScuAssociation`.

Sources: PS3.7 (DIMSE), PS3.4 (service classes), PS3.8 (upper layer).
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from twisted.internet.defer import Deferred

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.net.modalities import RemoteModality


class Command(enum.IntEnum):
    """Command Field (0000,0100) of the requests (PS3.7 E.1); a response adds 0x8000."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class Status(enum.IntEnum):
    """The statuses that this server sends (PS3.7 C, PS3.4)."""

    SUCCESS = 0x0000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WARNING = 0xFF01
    WARNING_SUB_OPERATIONS = 0xB000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_SOP_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    REFUSED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    REFUSED_NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    OUT_OF_RESOURCES_MATCHES = 0xA701
    OUT_OF_RESOURCES_SUB_OPERATIONS = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DATASET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set as it is encoded on the wire: no preamble, no meta header.

    `orthanc_tw.net.datasets` makes one of a pydicom data set, and reads it.

    :ivar transfer_syntax: UID
    """

    transfer_syntax: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    """Who is at the other end.

    :ivar calling_aet: title of the one who opened the association, without spaces around
    :ivar called_aet: title that it was opened to
    :ivar remote_ip: address of the other end
    :ivar modality_name: symbolic name of the modality with that AE title, '' if it is unknown
    :ivar modality: that modality, None if it is unknown
    :ivar id: number of an association that this server opened, else 0
    """

    calling_aet: str
    called_aet: str
    remote_ip: str
    modality_name: str = ""
    modality: RemoteModality | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A DIMSE response.

    :ivar status: Status (0000,0900)
    :ivar comment: Error Comment (0000,0902)
    :ivar dataset: what came with it
    :ivar remaining: Number of Remaining Sub-operations (0000,1020), None if there is none; so
        are the next ones: completed (0000,1021), failed (1022), warning (1023)
    """

    status: int
    comment: str = ""
    dataset: Dataset | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    @property
    def is_pending(self) -> bool:
        """Whether more responses follow."""
        return self.status in (Status.PENDING, Status.PENDING_WARNING)

    @property
    def is_success(self) -> bool:
        """Success, or a warning (PS3.7 C.2: 0x0001, 0x0107, 0x0116, 0xBxxx)."""
        return self.status in (0, 1, 0x0107, 0x0116) or self.status >> 12 == 0xB


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A DICOM file (PS3.10) to be sent with C-STORE.

    :ivar open: opens it; called in a thread, and closed by whoever sends it
    :ivar transfer_syntax: UID, as the file has it
    :ivar attachment: the same file in the storage area, if it is stored
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    open: Callable[[], BinaryIO]
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class MoveOriginator:
    """The C-MOVE on whose behalf a C-STORE is sent: (0000,1030) and (0000,1031)."""

    aet: str
    message_id: int


# --- SCP: what a provider of a service is given ------------------------------------------------


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


# --- SCU: associations to others ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context that is proposed.

    :ivar scp_role: propose that the other one be SCU of this class (C-GET)
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    scp_role: bool = False


class ScuAssociation(Protocol):
    """An association that this server opened. One operation at a time.

    Cancelling the Deferred of an operation aborts the association. Each fails with an
    `AssociationError` if the association ends or the peer is silent for too long, and with
    `NoPresentationContext` if there is no presentation context for it.

    :ivar id: no other association has it: `AssociationInfo.id` of what comes over it
    """

    @property
    def id(self) -> int: ...

    @property
    def is_open(self) -> bool: ...

    def accepted(self, abstract_syntax: str) -> Sequence[str]:
        """Transfer syntaxes in which the peer accepted it; empty: not at all."""
        ...

    def echo(self) -> Deferred[Reply]:
        """C-ECHO."""
        ...

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """C-STORE of a file, streamed. The transfer syntax of the file must be accepted.

        :raises OrthancError: (as a failure) if the file cannot be read
        """
        ...

    def find(
        self,
        sop_class_uid: str,
        identifier: Callable[[str], bytes],
        answer: Callable[[Dataset], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-FIND; fires with the final response.

        :param identifier: encodes it in the transfer syntax it is given (`datasets.encoder`)
        :param answer: gets each identifier as it comes; a Deferred that it returns holds back
            the next; what it raises ends the query with C-CANCEL and fails it
        """
        ...

    def cancel(self) -> None:
        """C-CANCEL of the C-FIND, C-MOVE or C-GET that runs, which then ends by its response."""
        ...

    def move(
        self,
        sop_class_uid: str,
        destination: str,
        identifier: Callable[[str], bytes],
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-MOVE; fires with the final response.

        :param destination: AE title
        :param progress: gets each pending response
        """
        ...

    def get(
        self,
        sop_class_uid: str,
        identifier: Callable[[str], bytes],
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-GET; what arrives is stored as what C-STORE brings; fires with the final response."""
        ...

    def action(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        action_type_id: int,
        information: Callable[[str], bytes] | None,
    ) -> Deferred[Reply]:
        """N-ACTION."""
        ...

    def event_report(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        event_type_id: int,
        information: Callable[[str], bytes] | None,
    ) -> Deferred[Reply]:
        """N-EVENT-REPORT."""
        ...

    def release(self) -> Deferred[None]:
        """A-RELEASE; fires when the connection is closed, and never fails."""
        ...

    def abort(self) -> None:
        """A-ABORT."""
        ...


class AssociationPool(Protocol):
    """Opens associations, and keeps them for ``DicomAssociationCloseDelay``."""

    def acquire(
        self,
        modality: RemoteModality,
        proposals: Sequence[Proposal],
        *,
        timeout_s: int | None = None,
    ) -> Deferred[ScuAssociation]:
        """An association of its own for the caller, until `give_back`.

        A kept one is taken if it was opened to the same modality with the same proposals.
        Cancelling gives up connecting.

        :param local_aet: calling title, instead of the modality's and of ``DicomAet``
        :param timeout_s: instead of the modality's and of ``DicomScuTimeout``; 0: for ever
        :raises ConnectionRefused: (as failures, all of them) nobody there
        :raises AssociationTimeout: no answer in time
        :raises AssociationRejected: with result, source and reason
        :raises AssociationAborted: the peer ended it
        :raises NoPresentationContext: if none was accepted
        """
        ...

    def give_back(self, association: ScuAssociation) -> None:
        """The caller needs it no more: it is kept for a while, unless it is over."""
        ...

    def close(self) -> Deferred[None]:
        """Release what is kept, abort what is in use."""
        ...


#: The modalities by symbolic name, asked at every use: ``/modalities`` may change them.
Modalities = Callable[[], Mapping[str, RemoteModality]]
