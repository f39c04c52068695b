"""``POST /instances`` (topics 05 and 06 of the corpus)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import StoreResult
from orthanc_tw.core.upload import Uploader
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.http import JSON_TYPE, Body, Route, json_body
from orthanc_tw.rest.orthanc_request import OrthancRequest
from orthanc_tw.rest.spec import BINARY, DICOM, JSON, STRING, ZIP, Spec, answer, array, one_of

_STORED = answer(
    {
        "ID": STRING,
        "ParentPatient": STRING,
        "ParentStudy": STRING,
        "ParentSeries": STRING,
        "Path": STRING,
        "Status": one_of("Success", "AlreadyStored"),
    }
)
_POST = Spec(
    # Forms are taken too, but their answer is empty and has no type.
    body={DICOM: BINARY, ZIP: BINARY},
    body_required=True,
    content={JSON: {"oneOf": [_STORED, array(_STORED)]}},
    statuses=(404, 507),
)


class UploadRoutes:
    """The door for files over HTTP. Left out of the site when the server is read-only."""

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader

    def routes(self) -> Iterable[Route]:
        """The routes."""
        yield Route(
            "POST", "/instances", self._post, "Upload DICOM instances", hot=True, spec=_POST
        )

    def _post(self, request: Request) -> Deferred[Body]:
        body = take_spool(request)
        if body is None or not body.size_bytes:
            if body is not None:
                body.discard()
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Received an empty DICOM file")
        origin = http_origin(request)
        uploader = self._uploader
        content_type = _header(request, b"content-type")
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            storing = Deferred.fromCoroutine(uploader.store_form(body, content_type, origin))
            return storing.addCallback(lambda _: b"")
        if _header(request, b"content-encoding").strip().lower() == "gzip":
            answering = Deferred.fromCoroutine(uploader.store_gzip(body, origin))
        else:
            answering = cast(
                "Deferred[StoreResult | list[StoreResult]]", uploader.store_body(body, origin)
            )
        return answering.addCallback(_answer, request)


def http_origin(request: Request) -> StoreOrigin:
    """Where an instance comes from that a request brings."""
    if isinstance(request, OrthancRequest):
        return StoreOrigin(
            RequestOrigin.REST_API,
            remote_ip=request.client_ip,
            http_username=request.http_username,
        )
    return StoreOrigin(RequestOrigin.REST_API)


def store_result_json(result: StoreResult) -> JsonObject:
    """The answer to the upload of an instance."""
    return {
        "ID": result.instance,
        "ParentPatient": result.patient,
        "ParentSeries": result.series,
        "ParentStudy": result.study,
        "Path": f"/instances/{result.instance}",
        "Status": result.status.value,
    }


def _answer(result: StoreResult | list[StoreResult], request: Request) -> bytes:
    if isinstance(result, StoreResult):
        request.setHeader(b"content-type", JSON_TYPE)
        return _ONE % tuple(map(str.encode, _fields(result)))
    return json_body(request, [store_result_json(one) for one in result])


# What `json_body` makes of `store_result_json`: on the hot path the encoder with indentation,
# which is not in C, costs more than everything else in the answer.
_ONE = b"""{
  "ID": "%b",
  "ParentPatient": "%b",
  "ParentSeries": "%b",
  "ParentStudy": "%b",
  "Path": "/instances/%b",
  "Status": "%b"
}
"""


def _fields(result: StoreResult) -> tuple[str, ...]:
    instance = result.instance
    return (
        instance,
        result.patient,
        result.series,
        result.study,
        instance,
        result.status.value,
    )


def _header(request: Request, name: bytes) -> str:
    values = request.requestHeaders.getRawHeaders(name)
    return values[0].decode("latin-1") if values else ""
