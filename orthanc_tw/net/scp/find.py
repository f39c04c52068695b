"""C-FIND at the levels of patients, studies, series and instances (PS3.4 C.4.1)."""

from __future__ import annotations

from contextlib import aclosing

from twisted.logger import Logger

from orthanc_tw.core.dicom_query import Answer, ResourceQueries, ResourceQuery
from orthanc_tw.dicom.attributes import Attribute, Attributes
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.net.scp.identifiers import (
    QUERY_RETRIEVE_LEVEL,
    Identifiers,
    required_level,
    text_keys,
)
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.values import Reply, Status

RETRIEVE_AE_TITLE = 0x00080054
_log = Logger()


class FindHandler:
    """Answers C-FIND. See `orthanc_tw.net.service.ServiceHandler`.

    :param aet: title from which what is found can be retrieved (``DicomAet``)
    """

    def __init__(self, queries: ResourceQueries, identifiers: Identifiers, aet: str) -> None:
        self._queries = queries
        self._identifiers = identifiers
        self._aet = aet

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """Pending responses with the answers, then success.

        The final status is 0xFE00 after a C-CANCEL, and if ``LimitFindResults`` or
        ``LimitFindInstances`` held answers back.
        """
        identifier = self._identifiers.read(request)
        _warn_of_sequences(identifier)
        query = ResourceQuery(required_level(identifier), text_keys(identifier))
        async with aclosing(self._queries.answers(query)) as slices:
            async for answers in slices:
                for answer in answers:
                    if responder.is_cancelled:
                        return Reply(Status.CANCEL)
                    shown = self._shown(identifier, answer)
                    dataset = self._identifiers.write(shown, identifier, request.transfer_syntax)
                    await responder.pending(Reply(Status.PENDING, dataset=dataset))
        if query.is_truncated:
            _log.warn(
                "Not all answers to a query of {aet}: LimitFindResults or LimitFindInstances",
                aet=request.association.calling_aet,
            )
            return Reply(Status.CANCEL, "Too many answers")
        return Reply(Status.SUCCESS)

    def _shown(self, identifier: Attributes, answer: Answer) -> Attributes:
        shown: Attributes = {
            tag: Attribute(self._identifiers.vr(tag, identifier[tag]), text)
            for tag, text in answer.items()
        }
        # The level as the query wrote it, whether IMAGE or INSTANCE.
        shown[QUERY_RETRIEVE_LEVEL] = identifier[QUERY_RETRIEVE_LEVEL]
        shown[RETRIEVE_AE_TITLE] = Attribute("AE", self._aet)
        return shown


def _warn_of_sequences(identifier: Attributes) -> None:
    # As in Orthanc: optional keys that are not supported are neither matched nor answered.
    for tag, attribute in identifier.items():
        if any(attribute.items or ()):
            _log.warn("Sequences match in worklists only: {tag} is ignored", tag=format_tag(tag))
