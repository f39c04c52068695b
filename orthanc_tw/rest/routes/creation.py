"""``POST /tools/create-dicom`` (topic 27 of the corpus)."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.core.creation.creator import Creator
from orthanc_tw.core.creation.form import form_reader
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.http import Route, json_body
from orthanc_tw.rest.routes.upload import http_origin, store_result_json
from orthanc_tw.rest.spec import (
    ANY,
    BINARY,
    BOOLEAN,
    JSON,
    OBJECT,
    STRING,
    Spec,
    array,
    described,
    fields,
    one_of,
)

_FORM = "multipart/form-data"
_REQUEST = {
    "Tags": described(OBJECT, "Values of elements, by name or number; sequences are lists"),
    "Content": described(ANY, "A data URI (PDF, PNG, JPEG, STL, OBJ, MTL), or a list of them"),
    "Parent": described(STRING, "Patient, study or series to attach the instance to"),
    "PrivateCreator": described(STRING, "Of private elements in Tags"),
    "InterpretBinaryTags": described(BOOLEAN, "Whether data URIs in Tags stand for their bytes"),
    "Encapsulate": described(BOOLEAN, "Keep JPEG as it is"),
    "Force": described(BOOLEAN, "Let Tags override identifiers and inherited values"),
}
_POST = Spec(
    body={
        JSON: fields(_REQUEST),
        _FORM: fields({**_REQUEST, "Tags": STRING, "Content": array(BINARY)}),
    },
    body_required=True,
    content={
        JSON: fields(
            {
                "ID": STRING,
                "ParentPatient": STRING,
                "ParentStudy": STRING,
                "ParentSeries": STRING,
                "Path": STRING,
                "Status": one_of("Success", "AlreadyStored"),
            },
            ("ID", "Path", "Status"),
        )
    },
    statuses=(404, 413, 507),
)


class CreationRoutes:
    """Left out of the site when the server is read-only.

    :param limits: of forms
    """

    def __init__(self, creator: Creator, limits: ArchiveLimits) -> None:
        self._creator = creator
        self._limits = limits

    def routes(self) -> Iterable[Route]:
        """The route."""
        yield Route("POST", "/tools/create-dicom", self._post, "Create DICOM instances", spec=_POST)

    async def _post(self, request: Request) -> bytes:
        """The body is JSON unless it says that it is a form: ``curl -d`` calls JSON one too."""
        body = take_spool(request)
        if body is None:
            raise OrthancError(ErrorCode.BAD_REQUEST)
        content_type = request.getHeader("content-type") or ""
        origin = http_origin(request)
        if content_type.partition(";")[0].strip().lower() == _FORM:
            reader = form_reader(content_type, self._limits)
            created = await self._creator.create(body, origin, reader)
        else:
            created = await self._creator.create(body, origin)
        result = created.last
        if created.is_series:
            return json_body(
                request,
                {
                    "ID": result.series,
                    "Path": f"/series/{result.series}",
                    "Status": result.status.value,
                },
            )
        return json_body(request, store_result_json(result))
