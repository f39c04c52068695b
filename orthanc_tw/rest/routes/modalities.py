"""``/modalities``: the remote modalities that are known. Source: topic 40 of the corpus."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.http import Route, json_body, json_request
from orthanc_tw.rest.views import is_set

CHILDREN: tuple[str, ...] = (
    *("configuration", "echo", "find", "find-instance", "find-patient", "find-series"),
    *("find-study", "find-worklist", "get", "move", "query", "storage-commitment", "store"),
    "store-straight",
)


class ModalityRoutes:
    """Lists modalities, shows, changes and forgets them."""

    def __init__(self, modalities: ModalityRegistry) -> None:
        self._modalities = modalities

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one = "/modalities/<name>"
        yield Route(
            "GET", "/modalities", self.get_all, "List DICOM modalities", spec=spec_dicom.MODALITIES
        )
        yield Route(
            "GET", one, self.get_children, "List operations on modality", spec=spec_dicom.MODALITY
        )
        yield Route("PUT", one, self.put, "Update DICOM modality", spec=spec_dicom.PUT_MODALITY)
        yield Route(
            "DELETE", one, self.delete, "Delete DICOM modality", spec=spec_dicom.DELETE_MODALITY
        )
        yield Route(
            "GET",
            f"{one}/configuration",
            self.get,
            "Get modality configuration",
            spec=spec_dicom.MODALITY_CONFIGURATION,
        )

    def get_all(self, request: Request) -> bytes:
        """Names, or with ``?expand`` their configurations by name."""
        if is_set(request, "expand"):
            shown: dict[str, JsonValue] = {
                name: modality.to_json() for name, modality in self._modalities.items()
            }
            return json_body(request, shown)
        return json_body(request, list(self._modalities))

    def get_children(self, request: Request, name: str) -> bytes:
        """What can be done with one."""
        if name not in self._modalities:
            raise BareError(404)
        return json_body(request, list(CHILDREN))

    def get(self, request: Request, name: str) -> bytes:
        """The configuration of one."""
        return json_body(request, self._modalities.require(name).to_json())

    async def put(self, request: Request, name: str) -> bytes:
        """Add or replace one, by an array or an object."""
        await self._modalities.put(name, RemoteModality.from_json(json_request(request)))
        return empty_text(request)

    async def delete(self, request: Request, name: str) -> bytes:
        """Forget one."""
        await self._modalities.remove(name)
        return empty_text(request)
