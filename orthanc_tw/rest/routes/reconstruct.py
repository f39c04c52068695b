"""``/{level}/{id}/reconstruct`` and ``/tools/reconstruct``: the index read from the files again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.fields import boolean, object_request
from orthanc_tw.rest.http import Route, read_body
from orthanc_tw.rest.spec import BOOLEAN, JSON, STRING, TEXT, Spec, described, fields

FILES = "ReconstructFiles"
THIS_LEVEL_ONLY = "LimitToThisLevelMainDicomTags"

_FILES_FIELD = {FILES: described(BOOLEAN, "Write the files anew")}
_ALL = Spec(body={JSON: fields(_FILES_FIELD)}, content={TEXT: STRING}, statuses=(501,))
_RESOURCE = Spec(
    body={JSON: fields({**_FILES_FIELD, THIS_LEVEL_ONLY: BOOLEAN})},
    content={TEXT: STRING},
    statuses=(501,),
)


class ReconstructRoutes:
    """Answers when all is done; goes on if the client hangs up.

    :param levels: levels with routes of their own
    """

    def __init__(self, reconstructor: Reconstructor, levels: Iterable[ResourceType]) -> None:
        self._reconstructor = reconstructor
        self._levels = tuple(levels)

    def routes(self) -> Iterable[Route]:
        """One a level, and one for everything."""
        for level in self._levels:
            path = f"/{level.plural}/<public_id>/reconstruct"
            handler = partial(self.post_resource, level)
            yield Route("POST", path, handler, "Read the tags from the files again", spec=_RESOURCE)
        yield Route(
            "POST",
            "/tools/reconstruct",
            self.post_all,
            "Read all tags from the files again",
            spec=_ALL,
        )

    async def post_resource(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """A resource with all below and above it, or alone."""
        body = _body(request)
        this_level_only = boolean(body, THIS_LEVEL_ONLY)
        await self._reconstructor.resource(level, public_id, this_level_only=this_level_only)
        return empty_text(request)

    async def post_all(self, request: Request) -> bytes:
        """Every resource."""
        _body(request)
        await self._reconstructor.everything()
        return empty_text(request)


def _body(request: Request) -> Mapping[str, JsonValue]:
    """The body, which may be empty.

    :raises OrthancError: BAD_REQUEST; NOT_IMPLEMENTED if files are to be written anew
    """
    body = object_request(request) if read_body(request).strip() else {}
    if boolean(body, FILES):
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED, f'Field "{FILES}" is not honoured', http_status=501
        )
    return body
