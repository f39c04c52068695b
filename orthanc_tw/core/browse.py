"""Looking at resources: one, a page, a list of any length. Called in the reactor thread.

Lists are asynchronous iterators of slices, each of one snapshot and paged by public
identifier: what is stored or deleted meanwhile shows up, or not, but nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from twisted.internet.defer import Deferred

from orthanc_tw.core.content import View
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.encoded import encoded
from orthanc_tw.core.lookup import ancestor, require
from orthanc_tw.core.names import Names
from orthanc_tw.core.requested import IndexedTags, Requested, requested_of
from orthanc_tw.core.resource_json import ResourceJson
from orthanc_tw.core.tag_warnings import TagWarnings
from orthanc_tw.dicom.main_tag_json import format_main_tags
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.index.gateway import (
    Index,
    ReadTransaction,
    ResourceRecord,
    ResourceRow,
    Statistics,
)
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType

#: A slice of rows after a public identifier, at most so many.
Slice = Callable[[ReadTransaction, str | None, int], Sequence[ResourceRow]]
Pages = AsyncIterator[list[JsonValue]]
_NOTHING_REQUESTED = Requested()
# Nearly every study has less; a series of thousands of instances is not worth its memory.
_MOST_KEPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BrowseSettings:
    """How much is taken at once, and whether files may be opened to answer.

    :ivar identifiers_per_slice: of a list of identifiers
    :ivar resources_per_slice: of an expanded list
    :ivar files_allowed: ``StorageAccessOnFind`` is not ``Never``
    """

    identifiers_per_slice: int = 1000
    resources_per_slice: int = 100
    files_allowed: bool = True


class Browser:
    """Shows what the index holds.

    :param names: names of metadata
    :param indexed: which tags the index keeps
    :param warnings: told of the requested tags of each resource
    """

    def __init__(
        self,
        index: Index,
        documents: Documents,
        names: Names,
        indexed: IndexedTags,
        settings: BrowseSettings,
        warnings: TagWarnings | None = None,
    ) -> None:
        self._index = index
        self._documents = documents
        self._names = names
        self._indexed = indexed
        self._settings = settings
        self._warnings = warnings

    @property
    def dictionary(self) -> UserDictionary:
        """Names of tags that the configuration adds."""
        return self._indexed.dictionary

    async def one(
        self, level: ResourceType, public_id: str, view: View, shown: ResourceType | None = None
    ) -> JsonObject:
        """A resource, or its ancestor of the level ``shown``.

        :raises OrthancError: UNKNOWN_RESOURCE
        """

        def rows(tx: ReadTransaction, after: str | None, limit: int) -> Sequence[ResourceRow]:
            return (ancestor(tx, require(tx, level, public_id), shown or level),)

        found, _ = await self._whole(rows, view, None, 1)
        return found[0]

    def one_now(self, level: ResourceType, public_id: str, view: View) -> JsonObject | None:
        """A resource without requested tags, in this thread; None if it is unknown.

        Not for series: their lists of instances can be long.
        """

        def read(tx: ReadTransaction) -> JsonObject | None:
            row = tx.lookup(public_id, level)
            if row is None:
                return None
            (record,) = tx.expand((row,), view.parts(level))
            return self._shown(level, view)(record)

        return self._index.read_now(read)

    def exists(self, level: ResourceType, public_id: str) -> bool:
        """Whether there is such a resource."""
        return self._index.read_now(lambda tx: tx.lookup(public_id, level)) is not None

    def statistics(self, level: ResourceType, public_id: str) -> Deferred[Statistics]:
        """Counters of a resource; zeros if it is unknown."""

        def read(tx: ReadTransaction) -> Statistics:
            row = tx.lookup(public_id, level)
            return Statistics(0, 0, 0, 0, 0, 0) if row is None else tx.resource_statistics(row)

        return self._index.read(read)

    async def identifiers(self, rows: Slice, limit: int = 0) -> Pages:
        """Public identifiers, in slices. ``limit`` 0 is all."""
        size = self._settings.identifiers_per_slice
        after: str | None = None
        left = limit

        def read(tx: ReadTransaction) -> list[JsonValue]:
            return [row.public_id for row in rows(tx, after, wanted)]

        while True:
            wanted = min(size, left) if limit else size
            page = await self._index.read(read)
            yield page
            left -= len(page)
            if len(page) < wanted or (limit and left <= 0):
                return
            after = str(page[-1])

    async def resources(self, rows: Slice, view: View, limit: int = 0) -> Pages:
        """Resources to be encoded, in slices. ``limit`` 0 is all."""
        size = self._settings.resources_per_slice
        after: str | None = None
        left = limit
        while True:
            wanted = min(size, left) if limit else size
            page, last = await self._slice(rows, view, after, wanted)
            yield page
            left -= len(page)
            if len(page) < wanted or (limit and left <= 0):
                return
            after = last

    async def show(self, found: Sequence[ResourceRow], view: View) -> list[JsonValue]:
        """Resources of one level that were found, to be encoded, but those deleted since."""

        def rows(tx: ReadTransaction, after: str | None, limit: int) -> Sequence[ResourceRow]:
            return found

        shown, _ = await self._slice(rows, view, None, len(found))
        return shown

    async def _slice(
        self, rows: Slice, view: View, after: str | None, limit: int
    ) -> tuple[list[JsonValue], str | None]:
        """Resources as encoded JSON, and the last identifier of the rows."""
        if view.requested:
            answers, last = await self._whole(rows, view, after, limit)
            return [cast("JsonValue", encoded(answer)) for answer in answers], last

        def read(tx: ReadTransaction) -> tuple[list[JsonValue], str | None]:
            found = rows(tx, after, limit)
            return self._encoded(tx, found, view), found[-1].public_id if found else None

        return await self._index.read(read)

    def _encoded(
        self, tx: ReadTransaction, found: Sequence[ResourceRow], view: View
    ) -> list[JsonValue]:
        if not found:
            return []
        level = found[0].level
        kept = tx.notes((level, view))
        answers = {row.internal_id: kept.get(row.internal_id) for row in found}
        new = [row for row in found if answers[row.internal_id] is None]
        if new:
            shown = self._shown(level, view)
            for record in tx.expand(new, view.parts(level)):
                answer = encoded(shown(record))
                answers[record.internal_id] = answer
                if memoryview(answer).nbytes <= _MOST_KEPT_BYTES:
                    kept[record.internal_id] = answer
        # To be encoded: as good as a value.
        return [cast("JsonValue", answer) for answer in answers.values() if answer is not None]

    async def _whole(
        self, rows: Slice, view: View, after: str | None, limit: int
    ) -> tuple[list[JsonObject], str | None]:
        """Resources with their requested tags, and the last identifier of the rows."""

        def read(tx: ReadTransaction) -> tuple[list[tuple[JsonObject, Requested]], str | None]:
            found = rows(tx, after, limit)
            if not found:
                return [], None
            level, last = found[0].level, found[-1].public_id
            shown = self._shown(level, view)
            records = tx.expand(found, view.parts(level))
            return [(shown(record), self._resolved(tx, record, view)) for record in records], last

        found, last = await self._index.read(read)
        if view.requested:
            for answer, requested in found:
                if self._warnings is not None:
                    self._warnings.tell(requested)
                answer["RequestedTags"] = await self._requested(requested, view)
        return [answer for answer, _ in found], last

    def _shown(self, level: ResourceType, view: View) -> ResourceJson:
        return ResourceJson(level, view, self._names, self._indexed.dictionary)

    def _resolved(self, tx: ReadTransaction, record: ResourceRecord, view: View) -> Requested:
        if not view.requested:
            return _NOTHING_REQUESTED
        return requested_of(
            tx, record, view.requested, self._indexed, files_allowed=self._settings.files_allowed
        )

    async def _requested(self, requested: Requested, view: View) -> Mapping[str, JsonValue]:
        values: JsonObject = dict(requested.values)
        if requested.file is not None:
            values.update(await self._documents.entries(requested.file, requested.from_file))
        return format_main_tags(values, view.format, self._indexed.dictionary)


def all_of(level: ResourceType, since: int = 0) -> Slice:
    """Every resource of a level, without the first ``since`` ones."""

    def rows(tx: ReadTransaction, after: str | None, limit: int) -> Sequence[ResourceRow]:
        return tx.page(level, after=after, since=since if after is None else 0, limit=limit)

    return rows


def below(level: ResourceType, public_id: str, children: ResourceType) -> Slice:
    """Descendants of a resource; fails with UNKNOWN_RESOURCE if it is unknown."""

    def rows(tx: ReadTransaction, after: str | None, limit: int) -> Sequence[ResourceRow]:
        return tx.descendants(require(tx, level, public_id), children, after=after, limit=limit)

    return rows
