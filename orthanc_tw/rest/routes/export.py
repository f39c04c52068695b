"""``POST /instances/{id}/export``: the DICOM file, written into a folder of the server."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.core.export import Exporter
from orthanc_tw.core.instances import Instances
from orthanc_tw.rest.answers import text_request
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, empty_json
from orthanc_tw.rest.spec import JSON, OBJECT, STRING, TEXT, Spec, described

_POST = Spec(
    body={TEXT: described(STRING, "Path of the file below RestApiExportDirectory")},
    body_required=True,
    content={JSON: OBJECT},
    statuses=(507,),
)


class FileExportRoutes:
    """Answers 403 unless the configuration names a folder to export to."""

    def __init__(self, instances: Instances, exporter: Exporter) -> None:
        self._instances = instances
        self._exporter = exporter

    def routes(self) -> Iterable[Route]:
        """The one."""
        path = "/instances/<public_id>/export"
        yield Route(
            "POST", path, self.post, "Write the DICOM file into a folder of the server", spec=_POST
        )

    async def post(self, request: Request, public_id: str) -> bytes:
        """The body is the path, relative to the folder, or absolute and below it."""
        if not self._exporter.is_allowed:
            return bare(request, 403)
        path = text_request(request)
        instance = self._instances.one(public_id)
        await self._exporter.export(instance.file, path)
        return empty_json(request)
