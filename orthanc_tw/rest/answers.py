"""Answers and bodies that several routes share: Booleans, text, references to resources."""

from __future__ import annotations

from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.http import read_body, text_body

_TRUE = (b"1", b"true")
_FALSE = (b"0", b"false")


def empty_text(request: Request) -> bytes:
    """Status 200 with an empty body labelled ``text/plain``."""
    return text_body(request, "")


def boolean_request(request: Request) -> bool:
    """The body ``0``, ``1``, ``true`` or ``false``.

    :raises OrthancError: BAD_FILE_FORMAT for anything else
    """
    body = read_body(request)
    if body in _TRUE:
        return True
    if body in _FALSE:
        return False
    raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Boolean value expected")


def text_request(request: Request) -> str:
    """The body as text.

    :raises OrthancError: BAD_FILE_FORMAT if it is not UTF-8
    """
    try:
        return read_body(request).decode("utf-8")
    except UnicodeDecodeError:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The body must be UTF-8 text") from None


def resource_path(level: ResourceType, public_id: str) -> str:
    """Path of a resource, such as ``/studies/ID``."""
    return f"/{level.plural}/{public_id}"


def resource_reference(level: ResourceType, public_id: str) -> JsonObject:
    """``ID``, ``Path`` and ``Type``: how answers point to a resource."""
    return {"ID": public_id, "Path": resource_path(level, public_id), "Type": level.label}
