"""``/{level}/{id}/metadata``: lists, values, user metadata with revisions."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.core.metadata import Metadata
from orthanc_tw.core.metadata_text import bytes_of, shown, text_of
from orthanc_tw.core.names import Names
from orthanc_tw.core.revisions import Revision
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, has_argument, json_body, read_body
from orthanc_tw.rest.level_routes import level_routes
from orthanc_tw.rest.revisions import if_match, is_not_modified, set_etag
from orthanc_tw.rest.spec import FLAG, STRING, described, json_spec, text_spec
from orthanc_tw.rest.user_numbers import user_number

_LIST = json_spec(
    query={
        "expand": described(FLAG, "Values too"),
        "numeric": described(FLAG, "Numbers, not names"),
    }
)
_GET = text_spec(headers=parts.IF_NONE_MATCH, statuses=(304,))
_PUT = text_spec(body=STRING, headers=parts.IF_MATCH, statuses=(409,))
_DELETE = text_spec(headers=parts.IF_MATCH, statuses=(409,))


class MetadataRoutes:
    """Routes of metadata at the levels given."""

    def __init__(self, metadata: Metadata, names: Names, levels: Iterable[ResourceType]) -> None:
        self._metadata = metadata
        self._names = names
        self._levels = tuple(levels)

    def routes(self) -> Iterable[Route]:
        """List and one, at each level."""
        one = "metadata/<name>"
        return level_routes(
            self._levels,
            [
                ("GET", "metadata", self.list_all, "List the metadata", _LIST),
                ("GET", one, self.get, "Get a metadata", _GET),
                ("PUT", one, self.put, "Set a user metadata", _PUT),
                ("DELETE", one, self.delete, "Delete a user metadata", _DELETE),
            ],
        )

    def list_all(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """Names, numbers with ``?numeric``, or values with ``?expand``."""
        metadata = sorted(self._metadata.all(level, public_id).items())
        numeric = has_argument(request, "numeric")
        if has_argument(request, "expand"):
            values: JsonObject = {
                str(number) if numeric else self._names.label(number): shown(item.value)
                for number, item in metadata
            }
            return json_body(request, values)
        if numeric:
            return json_body(request, [number for number, _ in metadata])
        return json_body(request, [self._names.label(number) for number, _ in metadata])

    def get(self, level: ResourceType, request: Request, public_id: str, name: str) -> bytes:
        """The value as text, with its ``ETag``."""
        number = self._names.number(name)
        item = self._metadata.all(level, public_id).get(number)
        if item is None:
            return bare(request, 404)
        revision = Revision.of_text(item.revision, item.value)
        set_etag(request, revision)
        if is_not_modified(request, revision):
            return bare(request, 304)
        request.setHeader(b"content-type", b"text/plain")
        return bytes_of(item.value)

    async def put(self, level: ResourceType, request: Request, public_id: str, name: str) -> bytes:
        """Set a user metadata to the body."""
        number = user_number(self._names, name)
        expected = if_match(request, required=False)
        value = text_of(read_body(request))
        set_etag(request, await self._metadata.put(level, public_id, number, value, expected))
        return empty_text(request)

    async def delete(
        self, level: ResourceType, request: Request, public_id: str, name: str
    ) -> bytes:
        """Delete a user metadata."""
        number = user_number(self._names, name)
        expected = if_match(request, required=self._metadata.check_revisions)
        await self._metadata.delete(level, public_id, number, expected)
        return empty_text(request)
