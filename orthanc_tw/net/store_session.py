"""Sending stored instances to one modality: which contexts are proposed, and when again.

An association carries 128 presentation contexts at most (PS3.8 9.3.2.2), so they are made of
what is about to be sent: each transfer syntax of a SOP class by itself, since an acceptor picks
one of a context, and the uncompressed ones together. Reactor thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.associations import MOST_CONTEXTS, AssociationPool, Proposal, ScuAssociation
from orthanc_tw.net.errors import NoPresentationContext
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.query.client import dimse_error, uncompressed_syntaxes
from orthanc_tw.net.values import InstanceFile, MoveOriginator, Reply

#: PS3.5 section 9.1. Its other rules are broken by real devices, and do no harm here.
_UID = re.compile("[0-9.]{1,64}")
#: SOP class and transfer syntax.
Content = tuple[str, str]


class Transcoder(Protocol):
    """Makes another transfer syntax of an instance. Called in the reactor thread."""

    async def transcode(
        self, instance: InstanceFile, syntaxes: Sequence[str]
    ) -> InstanceFile | None:
        """The instance in the best of some transfer syntaxes, None if that cannot be done.

        What it makes lasts until it has been opened and closed once.

        :raises OrthancError: if the file cannot be read
        """
        ...


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Options of sending.

    :ivar preferred_syntax: ``DicomScuPreferredTransferSyntax``
    :ivar transcode: ``TranscodeDicomProtocol``
    """

    preferred_syntax: str = EXPLICIT_LITTLE_ENDIAN
    transcode: bool = True


def _is_proposable(content: Content) -> bool:
    return all(map(_UID.fullmatch, content))


class StoreSession:
    """Sends instances one after another, over one association as long as that will do.

    :param timeout_s: instead of the modality's, None for that
    """

    def __init__(
        self,
        pool: AssociationPool,
        modality: RemoteModality,
        settings: StoreSettings,
        transcoder: Transcoder,
        timeout_s: int | None = None,
    ) -> None:
        self._pool = pool
        self._modality = modality
        self._settings = settings
        self._transcoder = transcoder
        self._timeout_s = timeout_s
        self._uncompressed = uncompressed_syntaxes(settings.preferred_syntax)
        self._proposed: dict[str, list[str]] = {}
        self._association: ScuAssociation | None = None

    async def send(
        self,
        instance: InstanceFile,
        upcoming: Iterable[Content] = (),
        originator: MoveOriginator | None = None,
    ) -> Reply:
        """C-STORE one instance; fires with a response of success, or a warning.

        :param upcoming: what will be sent after it, to be proposed together
        :raises OrthancError: NETWORK_PROTOCOL and the other errors of associations;
            NO_PRESENTATION_CONTEXT; INTERNAL_ERROR if it would have to be transcoded and cannot be
        """
        content = (instance.sop_class_uid, instance.transfer_syntax)
        if not _is_proposable(content):
            raise NoPresentationContext(
                f"SOPClassUID {content[0]!r} or TransferSyntaxUID {content[1]!r} is no UID"
            )
        association = await self._connected(content, upcoming)
        accepted = association.accepted(instance.sop_class_uid)
        if instance.transfer_syntax not in accepted:
            instance = await self._transcoded(instance, accepted)
        reply = await association.store(instance, originator)
        if not reply.is_success:
            raise dimse_error("C-STORE", self._modality.aet, reply)
        return reply

    def give_back(self) -> None:
        """Nothing more is sent for now."""
        association, self._association = self._association, None
        if association is not None:
            self._pool.give_back(association)

    async def _connected(self, content: Content, upcoming: Iterable[Content]) -> ScuAssociation:
        association = self._association
        if (
            association is not None
            and association.is_open
            and content[1] in self._proposed.get(content[0], ())
        ):
            return association
        self.give_back()
        self._propose(content, upcoming)
        proposals = [proposal for uid in self._proposed for proposal in self._proposals(uid)]
        self._association = await self._pool.acquire(
            self._modality, proposals, timeout_s=self._timeout_s
        )
        return self._association

    def _propose(self, content: Content, upcoming: Iterable[Content]) -> None:
        """Add to what was proposed before, as long as there is room; what is needed comes first."""
        before = [(uid, syntax) for uid, syntaxes in self._proposed.items() for syntax in syntaxes]
        proposed: dict[str, list[str]] = {}
        count = 0
        # What is no UID would spoil the association for the rest.
        following = [kind for kind in upcoming if _is_proposable(kind)]
        for sop_class, syntax in (content, *following, *before):
            syntaxes = proposed.get(sop_class, [])
            if syntax in syntaxes:
                continue
            # the one for the transfer syntax, and once for the uncompressed ones
            count += 1 if syntaxes else 2
            if count > MOST_CONTEXTS:
                break
            proposed[sop_class] = [*syntaxes, syntax]
        self._proposed = proposed

    def _proposals(self, sop_class: str) -> Iterable[Proposal]:
        syntaxes = self._proposed[sop_class]
        yield from (Proposal(sop_class, (syntax,)) for syntax in syntaxes)
        others = tuple(uid for uid in self._uncompressed if uid not in syntaxes)
        if others:
            yield Proposal(sop_class, others)

    async def _transcoded(self, instance: InstanceFile, accepted: Sequence[str]) -> InstanceFile:
        if not accepted:
            raise NoPresentationContext(
                f'Unable to negotiate a presentation context with AET "{self._modality.aet}" '
                f"for SOPClassUID {instance.sop_class_uid}"
            )
        if self._settings.transcode and self._modality.allow_transcoding:
            transcoded = await self._transcoder.transcode(instance, accepted)
            if transcoded is not None:
                return transcoded
        raise OrthancError(
            ErrorCode.INTERNAL_ERROR,
            f"Cannot transcode instance of SOPClassUID {instance.sop_class_uid} from "
            f"{instance.transfer_syntax} to one of [ {' '.join(sorted(accepted))} ]",
        )
