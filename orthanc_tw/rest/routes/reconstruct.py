"""``/{level}/{id}/reconstruct`` and ``/tools/reconstruct``: the index read from the files again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.core.rewrite_files import FileRewriter
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.fields import boolean, object_request
from orthanc_tw.rest.http import Route, read_body
from orthanc_tw.rest.spec import BOOLEAN, JSON, STRING, TEXT, Spec, described, fields

FILES = "ReconstructFiles"
THIS_LEVEL_ONLY = "LimitToThisLevelMainDicomTags"

_FILES_FIELD = {FILES: described(BOOLEAN, "Write the files anew")}
_ALL = Spec(body={JSON: fields(_FILES_FIELD)}, content={TEXT: STRING})
_RESOURCE = Spec(
    body={JSON: fields({**_FILES_FIELD, THIS_LEVEL_ONLY: BOOLEAN})},
    content={TEXT: STRING},
)


class ReconstructRoutes:
    """Answers when all is done; goes on if the client hangs up.

    :param rewriter: for ``ReconstructFiles``
    :param levels: levels with routes of their own
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        rewriter: FileRewriter,
        levels: Iterable[ResourceType],
    ) -> None:
        self._reconstructor = reconstructor
        self._rewriter = rewriter
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
        if boolean(body, FILES):
            await self._rewriter.rewrite(self._reconstructor.instances_of(level, public_id))
        await self._reconstructor.resource(level, public_id, this_level_only=this_level_only)
        return empty_text(request)

    async def post_all(self, request: Request) -> bytes:
        """Every resource."""
        if boolean(_body(request), FILES):
            await self._rewriter.rewrite(self._reconstructor.instances())
        await self._reconstructor.everything()
        return empty_text(request)


def _body(request: Request) -> Mapping[str, JsonValue]:
    """The body, which may be empty.

    :raises OrthancError: BAD_REQUEST
    """
    return object_request(request) if read_body(request).strip() else {}
