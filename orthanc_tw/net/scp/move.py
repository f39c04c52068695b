"""C-MOVE: instances go to another application entity (PS3.4 C.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.retrieve import TransferInstance, found_resources, retrieve
from orthanc_tw.index.gateway import Index, ResourceRow
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.associations import Modalities
from orthanc_tw.net.errors import AssociationError, NoPresentationContext
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.identifiers import Identifiers, level_of, text_keys
from orthanc_tw.net.scp.sub_operations import SubOperations
from orthanc_tw.net.scp.transfer import StoreSender, instance_file
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.values import MoveOriginator, Reply, Status
from orthanc_tw.storage.interface import Storage

_log = Logger()
_UPCOMING = 100
# As Orthanc: PS3.4 would call it a success, which nobody who retrieves expects.
_NOTHING = Reply(Status.CANNOT_UNDERSTAND, "No resource matches the identifier")
# Who did not take so many associations, one after the other, is not asked for another one
_MAXIMUM_REFUSALS = 2

#: Submits a job that sends resources, with so many instances, to a modality.
SubmitStore = Callable[[RemoteModality, Sequence[ResourceRow], int, MoveOriginator], Deferred[str]]


class MoveHandler:
    """Answers C-MOVE. See `orthanc_tw.net.service.ServiceHandler`.

    :param sender: makes what sends to a modality
    :param same_aet: compares titles (``StrictAetComparison``)
    :param submit: for ``SynchronousCMove`` off; None: the transfer is part of the operation
    """

    def __init__(
        self,
        index: Index,
        storage: Storage,
        identifiers: Identifiers,
        modalities: Modalities,
        sender: Callable[[RemoteModality], StoreSender],
        same_aet: Callable[[str, str], bool],
        submit: SubmitStore | None = None,
    ) -> None:
        self._index = index
        self._storage = storage
        self._identifiers = identifiers
        self._modalities = modalities
        self._sender = sender
        self._same_aet = same_aet
        self._submit = submit

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """A pending response for each instance, or success once a job is submitted."""
        identifier = self._identifiers.read(request)
        modality = self._destination(request.move_destination)
        if modality is None:
            # As Orthanc: PS3.4 C.4.2.1.5 has 0xA801 for it as well.
            return Reply(
                Status.CANNOT_UNDERSTAND,
                f"No modality has the AET {request.move_destination}",
            )
        level, keys = level_of(identifier), text_keys(identifier)
        originator = MoveOriginator(request.association.calling_aet, request.message_id)
        if self._submit is not None:
            rows, count = await found_resources(self._index, level, keys)
            if not count:
                return _NOTHING
            await self._submit(modality, rows, count, originator)
            # As in Orthanc: what was asked for is one operation, which is done.
            return Reply(Status.SUCCESS, remaining=0, completed=1, failed=0, warning=0)
        instances = await retrieve(self._index, level, keys)
        if not instances:
            return _NOTHING
        counters = SubOperations(len(instances), request.transfer_syntax)
        transfer = _Transfer(self._sender(modality), self._storage, originator)
        try:
            for place, instance in enumerate(instances):
                if responder.is_cancelled:
                    return counters.final(cancelled=True)
                reply = await transfer.send(instance, instances[place + 1 : place + _UPCOMING])
                counters.count(instance.sop_instance_uid, reply)
                await responder.pending(counters.pending())
        finally:
            transfer.sender.give_back()
        return counters.final()

    def _destination(self, aet: str) -> RemoteModality | None:
        for modality in self._modalities().values():
            if self._same_aet(modality.aet, aet):
                return modality
        return None


class _Transfer:
    """The sub-operations of one C-MOVE."""

    def __init__(self, sender: StoreSender, storage: Storage, originator: MoveOriginator) -> None:
        self.sender = sender
        self._storage = storage
        self._originator = originator
        self._refusals = 0

    async def send(
        self, instance: TransferInstance, following: Sequence[TransferInstance]
    ) -> Reply | None:
        """None if it was not stored there."""
        if self._refusals >= _MAXIMUM_REFUSALS:
            return None
        file = instance_file(self._storage, instance)
        upcoming = dict.fromkeys((next.sop_class_uid, next.transfer_syntax) for next in following)
        try:
            reply = await self.sender.send(file, tuple(upcoming), self._originator)
        except OrthancError as error:
            _log.warn("Instance {id} is not sent: {error}", id=instance.public_id, error=error)
            if isinstance(error, NoPresentationContext) or not isinstance(error, AssociationError):
                self._refusals = 0
            else:
                self._refusals += 1
            return None
        self._refusals = 0
        return reply
