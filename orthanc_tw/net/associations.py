"""SCU: associations to others; whoever uses a service asks an `AssociationPool` for one.

Everything here runs in the reactor thread. Sources: PS3.7 (DIMSE), PS3.8 (upper layer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.values import Dataset, InstanceFile, MoveOriginator, Reply

#: Presentation contexts of one association (PS3.8 9.3.2.2: odd numbers from 1 to 255).
MOST_CONTEXTS = 128


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
    """

    @property
    def id(self) -> int:
        """No other association has it: `AssociationInfo.id` of what comes over it."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        ...

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
