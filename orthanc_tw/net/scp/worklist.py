"""C-FIND of modality worklists (PS3.4 K)."""

from __future__ import annotations

from orthanc_tw.core.worklists import Worklists
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.values import Reply, Status


class WorklistHandler:
    """Answers C-FIND for worklists. See `orthanc_tw.net.service.ServiceHandler`."""

    def __init__(self, worklists: Worklists, identifiers: Identifiers) -> None:
        self._worklists = worklists
        self._identifiers = identifiers

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """Pending responses with the items, then success.

        The final status is 0xFE00 after a C-CANCEL, and if ``LimitAnswers`` held items back.
        """
        identifier = self._identifiers.read(request)
        found = await self._worklists.find(identifier, request.association.calling_aet)
        for item in found.answers:
            if responder.is_cancelled:
                return Reply(Status.CANCEL)
            dataset = self._identifiers.write(item, identifier, request.transfer_syntax)
            await responder.pending(Reply(Status.PENDING, dataset=dataset))
        if found.is_truncated:
            return Reply(Status.CANCEL, "Too many answers")
        return Reply(Status.SUCCESS)
