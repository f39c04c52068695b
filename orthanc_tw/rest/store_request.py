"""The resources that a request to send to a modality or a peer names.

Source: topics 41 and 42 of the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.index.gateway import ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from orthanc_tw.rest.http import json_request, read_body

_MISSING = 'Missing field in JSON: "Resources"'


class ExportLogger(Protocol):
    """Remembers what was sent, for ``/exports``."""

    def record(self, public_id: str, remote_modality: str) -> Deferred[bool]:
        """Log a resource that is sent to a modality of that symbolic name."""
        ...


def store_body(request: Request) -> JsonValue:
    """The body: JSON, or an identifier as plain text.

    :raises OrthancError: BAD_FILE_FORMAT if there is none
    """
    try:
        body = json_request(request)
    except OrthancError as error:
        if error.code is not ErrorCode.BAD_FILE_FORMAT:
            raise
        text = read_body(request).decode("utf-8", "replace").strip()
        if not text:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Must provide a JSON value") from None
        body = text
    return body


def store_identifiers(body: JsonValue) -> list[str]:
    """The identifiers that a body names, each once.

    :raises OrthancError: BAD_FILE_FORMAT naming what is not as it should be
    """
    if isinstance(body, dict):
        if "Resources" not in body:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _MISSING)
        body = body["Resources"]
    if isinstance(body, str):
        return [body]
    if not isinstance(body, list):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Expected a list of resources in the body")
    found = [item.strip() for item in body if isinstance(item, str)]
    if len(found) != len(body):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, "Expected a list of strings (Orthanc identifiers)"
        )
    return list(dict.fromkeys(found))


def resolve(tx: ReadTransaction, identifiers: Sequence[str]) -> tuple[Sequence[Resource], int]:
    """The resources of any level with these identifiers, and how many instances they have.

    :raises OrthancError: UNKNOWN_RESOURCE (404)
    """
    resources = []
    instances = 0
    for identifier in identifiers:
        row = tx.lookup(identifier)
        if row is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        resources.append(Resource(row.level, row.public_id))
        if row.level is ResourceType.INSTANCE:
            instances += 1
        else:
            size = tx.archive_size(row.public_id, row.level)
            instances += 0 if size is None else size[0]
    return resources, instances
