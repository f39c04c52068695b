"""C-GET: instances go back over the association that asked for them (PS3.4 C.4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

from orthanc_tw.core.retrieve import TransferInstance, retrieve
from orthanc_tw.dicom.uids import accepted_transfer_syntaxes
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.errors import AssociationError, NoPresentationContext
from orthanc_tw.net.scp.identifiers import Identifiers, level_of, text_keys
from orthanc_tw.net.scp.sub_operations import SubOperations
from orthanc_tw.net.scp.transfer import instance_file
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.values import InstanceFile, Reply, Status
from orthanc_tw.storage.interface import Storage

_log = Logger()
_ALL_SYNTAXES = tuple(accepted_transfer_syntaxes(["*"]))


class Transcoder(Protocol):
    """Makes another transfer syntax of an instance."""

    async def transcode(
        self, instance: InstanceFile, syntaxes: Sequence[str]
    ) -> InstanceFile | None:
        """The instance in the best of some transfer syntaxes, None if that cannot be done."""
        ...


class GetHandler:
    """Answers C-GET. See `orthanc_tw.net.service.ServiceHandler`.

    :param transcoder: None if ``TranscodeDicomProtocol`` is off
    """

    def __init__(
        self,
        index: Index,
        storage: Storage,
        identifiers: Identifiers,
        transcoder: Transcoder | None = None,
    ) -> None:
        self._index = index
        self._storage = storage
        self._identifiers = identifiers
        self._transcoder = transcoder

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """A C-STORE sub-operation and a pending response for each instance."""
        identifier = self._identifiers.read(request)
        instances = await retrieve(self._index, level_of(identifier), text_keys(identifier))
        if not instances:
            # As Orthanc: PS3.4 would call it a success, which nobody who retrieves expects.
            return Reply(Status.CANNOT_UNDERSTAND, "No resource matches the identifier")
        counters = SubOperations(len(instances), request.transfer_syntax)
        for instance in instances:
            if responder.is_cancelled:
                return counters.final(cancelled=True)
            reply = await self._store(instance, responder)
            counters.count(instance.sop_instance_uid, reply)
            await responder.pending(counters.pending())
        return counters.final()

    async def _store(self, instance: TransferInstance, responder: Responder) -> Reply | None:
        try:
            file = await self._file(instance, responder)
            return await responder.store(file)
        except OrthancError as error:
            if isinstance(error, AssociationError) and not isinstance(error, NoPresentationContext):
                raise
            _log.warn("Instance {id} is not sent: {error}", id=instance.public_id, error=error)
        return None

    async def _file(self, instance: TransferInstance, responder: Responder) -> InstanceFile:
        file = instance_file(self._storage, instance)
        if responder.accepts(file.sop_class_uid, file.transfer_syntax):
            return file
        if self._transcoder is not None:
            accepted = [uid for uid in _ALL_SYNTAXES if responder.accepts(file.sop_class_uid, uid)]
            transcoded = await self._transcoder.transcode(file, accepted) if accepted else None
            if transcoded is not None:
                return transcoded
        raise NoPresentationContext(
            f"the peer does not accept {file.sop_class_uid} in {file.transfer_syntax}"
        )
