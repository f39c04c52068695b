"""C-GET: instances go back over the association that asked for them (PS3.4 C.4.3)."""

from __future__ import annotations

from twisted.logger import Logger

from orthanc_tw.core.retrieve import TransferInstance, retrieve
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.errors import AssociationError, NoPresentationContext
from orthanc_tw.net.interface import Reply, Responder, ServiceRequest
from orthanc_tw.net.scp.identifiers import Identifiers, level_of, text_keys
from orthanc_tw.net.scp.sub_operations import SubOperations
from orthanc_tw.net.scp.transfer import InstanceFiles

_log = Logger()


class GetHandler:
    """Answers C-GET. See `orthanc_tw.net.interface.ServiceHandler`."""

    def __init__(self, index: Index, files: InstanceFiles, identifiers: Identifiers) -> None:
        self._index = index
        self._files = files
        self._identifiers = identifiers

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """A C-STORE sub-operation and a pending response for each instance."""
        identifier = self._identifiers.read(request)
        instances = await retrieve(self._index, level_of(identifier), text_keys(identifier))
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
            file = self._files.for_peer(instance, responder.accepts)
            return await responder.store(file)
        except NoPresentationContext as error:
            _log.warn("Instance {id} is not sent: {error}", id=instance.public_id, error=error)
        except AssociationError:
            raise
        except OrthancError as error:
            _log.error("Instance {id} is not sent: {error}", id=instance.public_id, error=error)
        return None
