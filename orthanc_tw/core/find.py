"""Runs searches: index first, then metadata and computed tags, then files.

Called in the reactor thread. Results are slices, ordered by public identifier, each of one
snapshot of the index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.ordering import order_values, sorted_rows
from orthanc_tw.core.requested import computed_value, first_instance
from orthanc_tw.core.search import Criteria, Search
from orthanc_tw.dicom.requested_tags import computed_tag
from orthanc_tw.index.gateway import (
    Attachment,
    ExpandParts,
    FindQuery,
    Index,
    ReadTransaction,
    ResourceRow,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType

T = TypeVar("T")
_METADATA = ExpandParts(children=False, attachments=False, labels=False)
Candidate = tuple[ResourceRow, Attachment | None]


@dataclass(frozen=True, slots=True)
class FindSettings:
    """Limits of searches.

    :ivar limit_results: ``LimitFindResults``; 0 is no limit
    :ivar limit_instances: ``LimitFindInstances``; 0 is no limit
    :ivar files_allowed: ``StorageAccessOnFind`` is not ``Never``
    :ivar candidates_per_slice: of what is filtered here, after the index
    :ivar rows_per_slice: of what the index alone finds
    :ivar maximum_ordered: most resources that are put in order for ``OrderBy`` at once, where
        no limit is set
    """

    limit_results: int = 0
    limit_instances: int = 0
    files_allowed: bool = True
    candidates_per_slice: int = 1000
    rows_per_slice: int = 2000
    files_per_slice: int = 100
    maximum_ordered: int = 100_000

    def limit_of(self, level: ResourceType) -> int:
        """Most results of a search at a level, 0 for any number."""
        return self.limit_instances if level is ResourceType.INSTANCE else self.limit_results


class Finder:
    """Finds resources."""

    def __init__(self, index: Index, documents: Documents, settings: FindSettings) -> None:
        self._index = index
        self._documents = documents
        self._settings = settings

    async def find(self, search: Search) -> AsyncIterator[Sequence[ResourceRow]]:
        """Rows of what matches, in slices."""
        if search.order:
            for page in await self._ordered(search):
                yield page
            return
        async for page in self._by_identifier(search):
            yield page

    async def identifiers(self, search: Search) -> AsyncIterator[Sequence[str]]:
        """Public identifiers of what `find` finds, in slices."""
        criteria = search.criteria
        if search.order or criteria.is_void or not criteria.is_for_the_index:
            async for page in self.find(search):
                yield [row.public_id for row in page]
            return
        async for names in self._exact(search, lambda tx, query: tx.find_identifiers(query), str):
            yield names

    async def count(self, search: Search) -> int:
        """Number of matches, ``since`` and ``limit`` aside.

        :raises OrthancError: BAD_REQUEST if files would have to be read
        """
        if search.criteria.in_file or any(c.case_sensitive for c in search.criteria.constraints):
            raise OrthancError(
                ErrorCode.BAD_REQUEST,
                "Unable to count resources when querying tags that are not stored as "
                "MainDicomTags in the Database or when using case sensitive queries.",
            )
        if search.criteria.is_for_the_index and not search.criteria.is_void:

            def read(tx: ReadTransaction) -> int:
                query = _query(tx, search)
                return 0 if query is None else tx.count(query)

            return await self._index.read(read)
        total = 0
        async for page in self._by_identifier(replace(search, since=0, limit=0)):
            total += len(page)
        return total

    async def _ordered(self, search: Search) -> Sequence[Sequence[ResourceRow]]:
        if search.criteria.is_void:
            return []
        if search.criteria.is_for_the_index:
            rows = await self._ordered_by_index(search)
        else:
            rows = await self._ordered_here(search)
        size = self._settings.files_per_slice
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    async def _ordered_by_index(self, search: Search) -> Sequence[ResourceRow]:
        most = self._settings.maximum_ordered

        def read(tx: ReadTransaction) -> Sequence[ResourceRow]:
            query = _query(tx, search)
            if query is None:
                return []
            limit = min(search.limit or most + 1, most + 1)
            return tx.find(replace(query, order=search.order, since=search.since, limit=limit))

        rows = await self._index.read(read)
        self._check_ordered(len(rows))
        return rows

    async def _ordered_here(self, search: Search) -> Sequence[ResourceRow]:
        found = []
        async for page in self._by_identifier(replace(search, since=0, limit=0)):

            def read(
                tx: ReadTransaction, page: Sequence[ResourceRow] = page
            ) -> list[tuple[ResourceRow, list[str | None]]]:
                return order_values(tx, page, search.order)

            found.extend(await self._index.read(read))
            self._check_ordered(len(found))
        rows = sorted_rows(found, search.order)
        end = search.since + search.limit if search.limit else None
        return rows[search.since : end]

    def _check_ordered(self, count: int) -> None:
        if count > self._settings.maximum_ordered:
            raise OrthancError(
                ErrorCode.BAD_REQUEST,
                f'Field "OrderBy": more than {self._settings.maximum_ordered} resources '
                "match, which are too many to be ordered",
            )

    async def _exact(
        self,
        search: Search,
        read: Callable[[ReadTransaction, FindQuery], Sequence[T]],
        public_id: Callable[[T], str],
    ) -> AsyncIterator[Sequence[T]]:
        """What the index alone finds, in slices.

        :param read: one slice
        :param public_id: of what is in it
        """
        left = search.limit
        after: str | None = None

        def slice_after(tx: ReadTransaction) -> Sequence[T]:
            query = _query(tx, search)
            if query is None:
                return ()
            since = search.since if after is None else 0
            return read(tx, replace(query, after=after, since=since, limit=wanted))

        while True:
            wanted = self._settings.rows_per_slice
            if search.limit:
                wanted = min(wanted, left)
            found = await self._index.read(slice_after)
            if found:
                yield found
                after = public_id(found[-1])
            left -= len(found)
            if len(found) < wanted or (search.limit and not left):
                return

    async def _by_identifier(self, search: Search) -> AsyncIterator[Sequence[ResourceRow]]:
        criteria = search.criteria
        if criteria.is_void or (criteria.in_file and not self._settings.files_allowed):
            return
        if criteria.is_for_the_index:
            async for page in self._exact(
                search, lambda tx, query: tx.find(query), lambda row: row.public_id
            ):
                yield page
            return
        size = self._settings.candidates_per_slice
        if criteria.in_file:
            size = self._settings.files_per_slice
        skip, left = search.since, search.limit
        after: str | None = None

        def read(tx: ReadTransaction) -> tuple[list[Candidate], str | None, bool]:
            query = _query(tx, search)
            if query is None:
                return [], None, False
            rows = tx.find(replace(query, after=after, limit=size))
            last = rows[-1].public_id if rows else None
            return _filtered(tx, rows, criteria), last, len(rows) == size

        more = True
        while more:
            candidates, after, more = await self._index.read(read)
            rows = await self._in_files(candidates, criteria)
            skipped = min(skip, len(rows))
            skip -= skipped
            rows = rows[skipped:]
            if search.limit:
                rows = rows[:left]
                left -= len(rows)
                more = more and left > 0
            if rows:
                yield rows

    async def _in_files(
        self, candidates: Sequence[Candidate], criteria: Criteria
    ) -> list[ResourceRow]:
        if not criteria.in_file:
            return [row for row, _ in candidates]
        matching = []
        tags = list(criteria.in_file)
        for row, file in candidates:
            if file is None:
                continue
            texts = await self._documents.texts(file, tags)
            if all(
                (text := texts[tag]) is not None and matcher.matches(text)
                for tag, matcher in criteria.in_file.items()
            ):
                matching.append(row)
        return matching


def _query(tx: ReadTransaction, search: Search) -> FindQuery | None:
    """The part of a search that the index answers; None if its parents do not fit."""
    parent = None
    if search.parents:
        lowest = max(search.parents)
        row = tx.lookup(search.parents[lowest], lowest)
        if row is None:
            return None
        family = {above.level: above.public_id for above in tx.ancestors(row)}
        family[lowest] = row.public_id
        if any(family[level] != public_id for level, public_id in search.parents.items()):
            return None
        parent = (lowest, row.public_id)
    labels, constraint = search.labels, search.labels_constraint
    if constraint == "None" and not labels:
        # None of no labels in particular: resources without any label.
        labels = tx.all_labels()
    return FindQuery(
        search.level,
        constraints=search.criteria.constraints,
        labels=labels,
        labels_constraint=constraint,
        parent=parent,
    )


def _filtered(
    tx: ReadTransaction, rows: Sequence[ResourceRow], criteria: Criteria
) -> list[Candidate]:
    """Apply what the index does not, but its rows can tell."""
    candidates: list[Candidate] = []
    for row in _with_metadata(tx, rows, criteria) if criteria.metadata else rows:
        if not all(
            (value := _computed(tx, row, tag)) is not None and matcher.matches(value)
            for tag, matcher in criteria.computed.items()
        ):
            continue
        file = None
        if criteria.in_file:
            instance = first_instance(tx, row)
            if instance is not None:
                file = tx.attachment(instance.internal_id, ContentType.DICOM)
        candidates.append((row, file))
    return candidates


def _with_metadata(
    tx: ReadTransaction, rows: Sequence[ResourceRow], criteria: Criteria
) -> list[ResourceRow]:
    return [
        row
        for row, record in zip(rows, tx.expand(rows, _METADATA), strict=True)
        if all(
            number in record.metadata and matcher.matches(record.metadata[number])
            for number, matcher in criteria.metadata.items()
        )
    ]


def _computed(tx: ReadTransaction, row: ResourceRow, tag: int) -> str | None:
    computed = computed_tag(tag)
    return None if computed is None else computed_value(tx, row, computed)
