"""``/tools/find``, ``/tools/count-resources``, and the operations on many resources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from twisted.web.server import Request

from orthanc_tw.core.browse import Browser, below
from orthanc_tw.core.content import DEFAULT, Content, View
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.find import Finder, FindSettings
from orthanc_tw.core.lookup import ancestor
from orthanc_tw.core.names import Names
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.search import Search
from orthanc_tw.index.gateway import Index, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.fields import boolean, object_request, text
from orthanc_tw.rest.find_request import ORDER_TYPES as _ORDER_TYPES
from orthanc_tw.rest.find_request import format_of_body, level_of, search_of, view_of_body
from orthanc_tw.rest.http import Body, Route, json_body, json_request
from orthanc_tw.rest.json_list import SendChunks, json_list
from orthanc_tw.rest.spec import (
    BOOLEAN,
    JSON,
    NATURAL,
    STRING,
    TEXT,
    Spec,
    answer,
    array,
    described,
    fields,
    json_spec,
    map_of,
    one_of,
)

_QUERY = {
    "Level": parts.LEVEL,
    "Query": described(map_of(STRING), "Values by tag: wildcards, lists, ranges"),
    "CaseSensitive": BOOLEAN,
    "Labels": array(),
    "LabelsConstraint": one_of("All", "Any", "None"),
    "MetadataQuery": described(map_of(STRING), "Values by metadata"),
    "ParentPatient": STRING,
    "ParentStudy": STRING,
    "ParentSeries": STRING,
    "Full": BOOLEAN,
    "Short": BOOLEAN,
}
_ORDER = answer(
    {
        "Type": one_of(*_ORDER_TYPES),
        "Key": STRING,
        "Direction": one_of("ASC", "DESC"),
    }
)
_FIND = json_spec(
    array({}),
    body=fields(
        {
            **_QUERY,
            "Expand": BOOLEAN,
            "Limit": NATURAL,
            "Since": NATURAL,
            "OrderBy": array(_ORDER),
            "RequestedTags": array(),
            "ResponseContent": array(),
        },
        ["Level", "Query"],
    ),
    statuses=(404,),
)
_COUNT = json_spec(
    answer({"Count": NATURAL}), body=fields(_QUERY, ["Level", "Query"]), statuses=(404,)
)
_CONTENT = json_spec(
    array({}),
    body=fields(
        {
            **parts.RESOURCES,
            "Level": described(parts.LEVEL, "Their relatives at this level"),
            "Metadata": BOOLEAN,
            "Full": BOOLEAN,
            "Short": BOOLEAN,
        },
        ["Resources"],
    ),
)
_DELETE = Spec(
    body={JSON: fields(parts.RESOURCES, ["Resources"])}, body_required=True, content={TEXT: STRING}
)


class FindRoutes:
    """Routes that look for resources, or take a list of them."""

    def __init__(
        self,
        index: Index,
        finder: Finder,
        browser: Browser,
        deleter: ResourceDeleter,
        names: Names,
        indexed: IndexedTags,
        settings: FindSettings,
        send_chunks: SendChunks,
    ) -> None:
        self._index = index
        self._finder = finder
        self._browser = browser
        self._deleter = deleter
        self._names = names
        self._indexed = indexed
        self._settings = settings
        self._send_chunks = send_chunks

    def routes(self) -> Iterable[Route]:
        """Find, count, show, delete. Finding and counting end with their client."""
        yield Route(
            "POST",
            "/tools/find",
            self.find,
            "Find resources",
            hot=True,
            changes_state=False,
            spec=_FIND,
        )
        count = "/tools/count-resources"
        yield Route("POST", count, self.count, "Count resources", changes_state=False, spec=_COUNT)
        bulk = "/tools/bulk-content"
        yield Route(
            "POST",
            bulk,
            self.bulk_content,
            "Describe resources",
            changes_state=False,
            spec=_CONTENT,
        )
        yield Route(
            "POST", "/tools/bulk-delete", self.bulk_delete, "Delete resources", spec=_DELETE
        )

    async def find(self, request: Request) -> Body:
        """Resources that match a query: identifiers, or expanded."""
        body = object_request(request)
        search = search_of(body, self._indexed, self._names, self._settings)
        pages = self._pages(search, view_of_body(body, self._indexed.dictionary))
        return await json_list(request, pages, self._send_chunks)

    async def count(self, request: Request) -> bytes:
        """How many resources match a query."""
        body = object_request(request)
        search = search_of(body, self._indexed, self._names, self._settings, paged=False)
        return json_body(request, {"Count": await self._finder.count(search)})

    async def _pages(self, search: Search, view: View | None) -> AsyncIterator[list[JsonValue]]:
        if view is None:
            async for identifiers in self._finder.identifiers(search):
                yield list(identifiers)
            return
        size = self._settings.files_per_slice
        async for rows in self._finder.find(search):
            for start in range(0, len(rows), size):
                yield list(await self._browser.show(rows[start : start + size], view))

    async def bulk_content(self, request: Request) -> Body:
        """Resources by identifier, of any level, or their relatives at one level."""
        body = object_request(request)
        identifiers = body.get("Resources")
        if not isinstance(identifiers, list) or not all(
            isinstance(item, str) for item in identifiers
        ):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, "List of strings expected in field: Resources"
            )
        label = text(body, "Level")
        level = None if label is None else level_of(label)
        content = DEFAULT
        if boolean(body, "Metadata", default=True):
            content |= Content.METADATA
        view = View(content, format_of_body(body))
        # As in Orthanc: what is named twice is shown twice, but relatives at a level only once.
        wanted = identifiers if level is None else list(dict.fromkeys(identifiers))
        pages = self._bulk_pages(wanted, level, view)
        return await json_list(request, pages, self._send_chunks)

    async def _bulk_pages(
        self, identifiers: Sequence[str], level: ResourceType | None, view: View
    ) -> AsyncIterator[list[JsonValue]]:
        shown: set[str] = set()
        for identifier in identifiers:

            def known(tx: ReadTransaction, wanted: str = identifier) -> ResourceRow | None:
                return tx.lookup(wanted)

            row = self._index.read_now(known)
            if row is None:
                continue
            if level is None or level <= row.level:

                def above(tx: ReadTransaction, row: ResourceRow = row) -> ResourceRow:
                    return ancestor(tx, row, level or row.level)

                relative = await self._index.read(above)
                if level is None or relative.public_id not in shown:
                    shown.add(relative.public_id)
                    yield list(await self._browser.show([relative], view))
                continue
            rows = below(row.level, row.public_id, level)
            async for page in self._browser.resources(rows, view):
                yield page

    async def bulk_delete(self, request: Request) -> bytes:
        """Delete resources by identifier; unknown ones are passed over."""
        body = json_request(request)
        identifiers = body.get("Resources") if isinstance(body, dict) else None
        if not isinstance(identifiers, list):
            raise OrthancError(ErrorCode.BAD_REQUEST, "The body must contain a Resources array")
        if not all(isinstance(item, str) for item in identifiers):
            raise OrthancError(ErrorCode.BAD_REQUEST, 'Field "Resources" must contain strings')
        for identifier in identifiers:
            await self._deleter.delete(str(identifier))
        return empty_text(request)
