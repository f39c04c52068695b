"""C-MOVE: instances go to another application entity (PS3.4 C.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.retrieve import TransferInstance, retrieve
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.interface import (
    AssociationPool,
    Modalities,
    MoveOriginator,
    Proposal,
    Reply,
    Responder,
    ScuAssociation,
    ServiceRequest,
    Status,
)
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.identifiers import Identifiers, level_of, text_keys
from orthanc_tw.net.scp.sub_operations import SubOperations
from orthanc_tw.net.scp.transfer import InstanceFiles

_log = Logger()
# Presentation context identifiers are the odd numbers below 256 (PS3.8 9.3.2.2)
MAXIMUM_CONTEXTS = 128

#: Submits a job that sends instances (public identifiers) to a modality, by its name.
SubmitStore = Callable[[str, RemoteModality, Sequence[str], MoveOriginator], Deferred[str]]


class MoveHandler:
    """Answers C-MOVE. See `orthanc_tw.net.interface.ServiceHandler`.

    :param same_aet: compares titles (``StrictAetComparison``)
    :param submit: for ``SynchronousCMove`` off; None: the transfer is part of the operation
    """

    def __init__(
        self,
        index: Index,
        files: InstanceFiles,
        identifiers: Identifiers,
        modalities: Modalities,
        pool: AssociationPool,
        same_aet: Callable[[str, str], bool],
        submit: SubmitStore | None = None,
    ) -> None:
        self._index = index
        self._files = files
        self._identifiers = identifiers
        self._modalities = modalities
        self._pool = pool
        self._same_aet = same_aet
        self._submit = submit

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """A pending response for each instance, or success once a job is submitted."""
        identifier = self._identifiers.read(request)
        found = self._destination(request.move_destination)
        if found is None:
            return Reply(
                Status.MOVE_DESTINATION_UNKNOWN,
                f"No modality has the AET {request.move_destination}",
            )
        instances = await retrieve(self._index, level_of(identifier), text_keys(identifier))
        originator = MoveOriginator(request.association.calling_aet, request.message_id)
        if self._submit is not None:
            public_ids = [instance.public_id for instance in instances]
            if public_ids:
                await self._submit(*found, public_ids, originator)
            # As in Orthanc: what was asked for is one operation, which is done.
            return Reply(Status.SUCCESS, remaining=0, completed=1, failed=0, warning=0)
        counters = SubOperations(len(instances), request.transfer_syntax)
        transfer = _Transfer(self._pool, found[1], self._files, originator, counters, responder)
        return await transfer.run(instances)

    def _destination(self, aet: str) -> tuple[str, RemoteModality] | None:
        for name, modality in self._modalities().items():
            if self._same_aet(modality.aet, aet):
                return name, modality
        return None


class _Transfer:
    """One C-MOVE."""

    def __init__(
        self,
        pool: AssociationPool,
        modality: RemoteModality,
        files: InstanceFiles,
        originator: MoveOriginator,
        counters: SubOperations,
        responder: Responder,
    ) -> None:
        self._pool = pool
        self._modality = modality
        self._files = files
        self._originator = originator
        self._counters = counters
        self._responder = responder
        self._association: ScuAssociation | None = None

    async def run(self, instances: Sequence[TransferInstance]) -> Reply:
        try:
            for proposals, batch in batches(instances, self._files.syntaxes):
                await self._send(proposals, batch)
                if self._responder.is_cancelled:
                    return self._counters.final(cancelled=True)
        finally:
            self._give_back()
        return self._counters.final()

    async def _send(self, proposals: Sequence[Proposal], batch: Sequence[TransferInstance]) -> None:
        self._give_back()
        refused = False
        for instance in batch:
            if self._responder.is_cancelled:
                return
            reply = None
            try:
                # Whoever refuses the association is not asked again for each instance.
                if not refused:
                    association = await self._open(proposals)
                    reply = await self._store(association, instance)
            except OrthancError as error:
                refused = self._association is None
                _log.warn(
                    "Instance {id} is not sent to {aet}: {error}",
                    id=instance.public_id,
                    aet=self._modality.aet,
                    error=error,
                )
            self._counters.count(instance.sop_instance_uid, reply)
            await self._responder.pending(self._counters.pending())

    async def _open(self, proposals: Sequence[Proposal]) -> ScuAssociation:
        if self._association is not None and self._association.is_open:
            return self._association
        self._give_back()
        self._association = await self._pool.acquire(self._modality, proposals)
        return self._association

    async def _store(self, association: ScuAssociation, instance: TransferInstance) -> Reply:
        file = self._files.for_peer(
            instance, lambda sop_class, syntax: syntax in association.accepted(sop_class)
        )
        return await association.store(file, self._originator)

    def _give_back(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            self._pool.give_back(association)


def batches(
    instances: Sequence[TransferInstance], syntaxes: Callable[[TransferInstance], list[str]]
) -> list[tuple[list[Proposal], list[TransferInstance]]]:
    """Instances in their order, by associations: none needs more than 128 contexts.

    Each transfer syntax of a class is a context of its own: of one with several, the peer would
    choose.
    """
    found: list[tuple[list[Proposal], list[TransferInstance]]] = []
    contexts: dict[tuple[str, str], Proposal] = {}
    batch: list[TransferInstance] = []
    for instance in instances:
        needed = {
            (instance.sop_class_uid, syntax): Proposal(instance.sop_class_uid, (syntax,))
            for syntax in syntaxes(instance)
        }
        if batch and len({**contexts, **needed}) > MAXIMUM_CONTEXTS:
            found.append((list(contexts.values()), batch))
            contexts, batch = {}, []
        contexts.update(needed)
        batch.append(instance)
    if batch:
        found.append((list(contexts.values()), batch))
    return found
