"""``/instances/{id}/pdf``: the document of an Encapsulated PDF (topic 27 of the corpus)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Body, Route
from orthanc_tw.rest.json_list import SendChunks
from orthanc_tw.rest.spec import BINARY, Spec
from orthanc_tw.rest.values import send_value

InThread = Callable[..., Deferred[Any]]
_GET = Spec(content={"application/pdf": BINARY}, statuses=(404,), bare=(404,))


class PdfRoutes:
    """See `RouteProvider`."""

    def __init__(
        self,
        instances: Instances,
        documents: Documents,
        send_chunks: SendChunks,
        in_thread: InThread,
    ) -> None:
        self._instances = instances
        self._documents = documents
        self._send_chunks = send_chunks
        self._in_thread = in_thread

    def routes(self) -> Iterable[Route]:
        """The route."""
        yield Route(
            "GET", "/instances/<public_id>/pdf", self._get, "Get the embedded PDF", spec=_GET
        )

    async def _get(self, request: Request, public_id: str) -> Body:
        """The PDF byte for byte; 404 without a body if the instance is none."""
        instance = self._instances.one(public_id)
        value, close = await self._documents.pdf(instance.file)
        if value is None:
            return bare(request, 404)
        return await send_value(request, value, close, self._send_chunks, self._in_thread)
