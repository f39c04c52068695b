"""Bodies of requests that make this server talk to another: what they have in common."""

from __future__ import annotations

from dataclasses import replace

from twisted.web.server import Request

from orthanc_tw.dicom.attributes import Attributes
from orthanc_tw.dicom.identifier import parse_query
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.rest.http import json_request
from orthanc_tw.rest.submission import integer_field

NOT_A_QUERY = "Associative array of DICOM tags to strings expected in field: Query"


def json_object(request: Request, details: str) -> dict[str, JsonValue]:
    """The body as a JSON object.

    :raises OrthancError: BAD_FILE_FORMAT with those details
    """
    try:
        body = json_request(request)
    except OrthancError as error:
        if error.code is not ErrorCode.BAD_FILE_FORMAT:
            raise
        body = None
    if not isinstance(body, dict):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, details)
    return body


def text_field(body: JsonValue, name: str, default: str | None = None) -> str | None:
    """A text field of a JSON object.

    :raises OrthancError: BAD_FILE_FORMAT naming the field if it is something else
    """
    if not isinstance(body, dict) or name not in body:
        return default
    value = body[name]
    if not isinstance(value, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
    return value


def timeout_field(body: JsonValue) -> int | None:
    """``Timeout`` in seconds, None if it is not given.

    :raises OrthancError: BAD_FILE_FORMAT, PARAMETER_OUT_OF_RANGE if it is negative
    """
    if not isinstance(body, dict) or "Timeout" not in body:
        return None
    timeout_s = integer_field(body, "Timeout", 0)
    if timeout_s < 0:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, "Positive integer expected in field: Timeout"
        )
    return timeout_s


def as_called(modality: RemoteModality, body: JsonValue) -> RemoteModality:
    """The modality with the ``LocalAet`` of a body, if there is one.

    :raises OrthancError: BAD_FILE_FORMAT, BAD_APPLICATION_ENTITY_TITLE
    """
    local_aet = text_field(body, "LocalAet")
    if local_aet is None:
        return modality
    return replace(modality, local_aet=checked_aet(local_aet))


def checked_aet(aet: str) -> str:
    """An AE title, not empty and of at most 16 characters (PS3.5 6.2).

    :raises OrthancError: BAD_APPLICATION_ENTITY_TITLE (400)
    """
    if not 1 <= len(aet) <= 16 or not aet.isascii() or not aet.isprintable():
        raise OrthancError(ErrorCode.BAD_APPLICATION_ENTITY_TITLE, aet, http_status=400)
    return aet


def query_field(body: dict[str, JsonValue]) -> Attributes:
    """``Query``: tags to text; empty if it is not given.

    :raises OrthancError: BAD_FILE_FORMAT, BAD_REQUEST
    """
    value = body.get("Query", {})
    if not isinstance(value, dict):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The field Query must contain a JSON object")
    if not all(isinstance(text, str) for text in value.values()):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, NOT_A_QUERY)
    try:
        return parse_query(value)
    except OrthancError as error:
        if error.code is ErrorCode.UNKNOWN_DICOM_TAG:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, NOT_A_QUERY) from None
        raise
