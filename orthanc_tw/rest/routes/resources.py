"""``/patients``, ``/studies``, ``/series``, ``/instances``: lists, one, its family, deletion."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.browse import Browser, all_of, below
from orthanc_tw.core.content import View
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import resource_reference
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Body, Route, argument, json_body
from orthanc_tw.rest.json_list import SendChunks, json_list
from orthanc_tw.rest.routes.system import sizes_json
from orthanc_tw.rest.spec import (
    NATURAL,
    STRING,
    array,
    described,
    fields,
    json_spec,
)
from orthanc_tw.rest.views import content_of, format_of, is_set, since_and_limit, view_of

_PARTS = "Parts to show, by semicolons: MainDicomTags, Metadata, Children, Parent, Labels..."
_LIST = json_spec(
    array({}),
    query={
        **parts.PAGE,
        **parts.EXPAND,
        **parts.VIEW,
        "response-content": described(STRING, _PARTS),
    },
)
_ONE = json_spec(fields({"ID": STRING, "Type": parts.LEVEL}, ["ID", "Type"]), query=parts.VIEW)
_CHILDREN = json_spec(array({}), query={**parts.EXPAND, **parts.VIEW})
_STATISTICS = json_spec(
    fields(
        {
            **parts.SIZES,
            **{f"Dicom{name}": schema for name, schema in parts.SIZES.items()},
            "CountStudies": NATURAL,
            "CountSeries": NATURAL,
            "CountInstances": NATURAL,
        },
        [*parts.SIZES],
    )
)
_DELETE = json_spec(parts.DELETED)


class ResourceRoutes:
    """Routes that every level has.

    :param levels: levels with routes of their own (``PatientLevelEnabled``)
    """

    def __init__(
        self,
        browser: Browser,
        deleter: ResourceDeleter,
        send_chunks: SendChunks,
        levels: Iterable[ResourceType],
    ) -> None:
        self._browser = browser
        self._deleter = deleter
        self._send_chunks = send_chunks
        self._levels = tuple(levels)

    def routes(self) -> Iterable[Route]:
        """At each level: the list, one, its parents, its children."""
        for level in self._levels:
            name = level.label.lower()
            path = f"/{level.plural}"
            one = f"{path}/<public_id>"
            yield Route(
                "GET",
                path,
                partial(self.get_list, level),
                f"List the {level.plural}",
                hot=True,
                spec=_LIST,
            )
            yield Route(
                "GET", one, partial(self.get_one, level), f"Get a {name}", hot=True, spec=_ONE
            )
            yield Route(
                "DELETE", one, partial(self.delete, level), f"Delete a {name}", spec=_DELETE
            )
            yield Route(
                "GET",
                f"{one}/statistics",
                partial(self.get_statistics, level),
                f"Get what a {name} holds",
                spec=_STATISTICS,
            )
            for other in ResourceType:
                if other < level:
                    other_name = other.label.lower()
                    yield Route(
                        "GET",
                        f"{one}/{other_name}",
                        partial(self.get_ancestor, level, other),
                        f"Get the {other_name} of a {name}",
                        spec=_ONE,
                    )
                elif other > level:
                    yield Route(
                        "GET",
                        f"{one}/{other.plural}",
                        partial(self.get_children, level, other),
                        f"List the {other.plural} of a {name}",
                        spec=_CHILDREN,
                    )

    async def get_list(self, level: ResourceType, request: Request) -> Body:
        """All resources of a level, or a page of them: identifiers, or expanded."""
        since, limit = since_and_limit(request, f"/{level.plural}/")
        rows = all_of(level, since)
        if is_set(request, "expand"):
            view = view_of(request, content_of(request), self._browser.dictionary)
            pages = self._browser.resources(rows, view, limit)
        else:
            pages = self._browser.identifiers(rows, limit)
        return await json_list(request, pages, self._send_chunks)

    def get_one(
        self, level: ResourceType, request: Request, public_id: str
    ) -> bytes | Awaitable[bytes]:
        """One resource; an unknown one is 404 without a body."""
        view = view_of(request, dictionary=self._browser.dictionary)
        if view.requested or level is ResourceType.SERIES:
            return self._get_one(level, request, public_id, view)
        # A look-up costs less than the hop to another thread.
        found = self._browser.one_now(level, public_id, view)
        return bare(request, 404) if found is None else json_body(request, found)

    async def _get_one(
        self, level: ResourceType, request: Request, public_id: str, view: View
    ) -> bytes:
        if not self._browser.exists(level, public_id):
            return bare(request, 404)
        return json_body(request, await self._browser.one(level, public_id, view))

    async def get_ancestor(
        self, level: ResourceType, shown: ResourceType, request: Request, public_id: str
    ) -> bytes:
        """The patient, study or series that a resource belongs to (without requested tags)."""
        view = View(format=format_of(request, TagFormat.SIMPLIFY))
        return json_body(request, await self._browser.one(level, public_id, view, shown))

    async def get_children(
        self, level: ResourceType, children: ResourceType, request: Request, public_id: str
    ) -> Body:
        """Descendants, expanded unless ``?expand=false``."""
        rows = below(level, public_id, children)
        if argument(request, "expand") in ("false", "0"):
            pages = self._browser.identifiers(rows)
        else:
            pages = self._browser.resources(
                rows, view_of(request, dictionary=self._browser.dictionary)
            )
        return await json_list(request, pages, self._send_chunks)

    async def get_statistics(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """Numbers of descendants, and sizes with and without other attachments than DICOM."""
        found = await self._browser.statistics(level, public_id)
        answer: JsonObject = {
            **sizes_json("", found.disk_size_bytes, found.uncompressed_size_bytes),
            **sizes_json("Dicom", found.dicom_disk_size_bytes, found.dicom_uncompressed_size_bytes),
        }
        if level < ResourceType.STUDY:
            answer["CountStudies"] = found.count_studies
        if level < ResourceType.SERIES:
            answer["CountSeries"] = found.count_series
        if level < ResourceType.INSTANCE:
            answer["CountInstances"] = found.count_instances
        return json_body(request, answer)

    async def delete(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """Delete a resource, and its parents if nothing is left below them."""
        outcome = await self._deleter.delete(public_id, level)
        if outcome is None:
            return bare(request, 404)
        remaining = outcome.remaining_ancestor
        reference = (
            None if remaining is None else resource_reference(remaining.level, remaining.public_id)
        )
        return json_body(request, {"RemainingAncestor": reference})
