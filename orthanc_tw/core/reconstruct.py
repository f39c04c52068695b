"""Reconstruction: what the index says of resources, read again from their files.

For files that were stored under another configuration (``ExtraMainDicomTags``,
``DefaultEncoding``) or by an older version. Main DICOM tags, what queries match, and the
metadata that come out of the file are replaced; all else stays. A patient, study or series is
what the instance that was received first says, as at ingest: doing it twice changes nothing.
Runs in the reactor thread; files are read in others, a page of resources at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from orthanc_tw.core.ingest_metadata import HEADER_METADATA, header_metadata
from orthanc_tw.core.lookup import require
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.index.gateway import (
    Attachment,
    Index,
    ReadTransaction,
    ResourceRow,
    WriteTransaction,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.storage.interface import Storage

InThread = Callable[..., Deferred[Any]]
ReadPage = Callable[[ReadTransaction, str | None], Sequence[ResourceRow]]
_LEVELS_ABOVE = (ResourceType.PATIENT, ResourceType.STUDY, ResourceType.SERIES)


@dataclass(frozen=True, slots=True)
class _Source:
    """A resource and the file of the instance that speaks for it."""

    row: ResourceRow
    file: Attachment


@dataclass(slots=True)
class Reconstruction:
    """How far a reconstruction has come; the first failure stands for all.

    :ivar done: resources that were read
    :ivar changed: of these, the ones of which the index said something else
    :ivar failed: resources whose file cannot be read
    """

    done: int = 0
    changed: int = 0
    failed: int = 0
    first_error: OrthancError | None = None
    first_failed: ResourceRow | None = None


class Reconstructor:
    """Reads resources again.

    :param read_summary: reads the header of a file: ``read_summary(file, size_bytes)``
    :param in_thread: runs a blocking function in a thread
    :param signatures: ``MainDicomTagsSignature`` of each level
    :param per_page: resources in one transaction
    :param at_once: files that are read at the same time; threads beyond a few only make the
        reactor thread wait for the interpreter lock
    """

    _log = Logger()

    def __init__(
        self,
        index: Index,
        storage: Storage,
        read_summary: Callable[[BinaryIO, int], InstanceSummary],
        in_thread: InThread,
        signatures: Mapping[ResourceType, str],
        *,
        per_page: int = 100,
        at_once: int = 2,
    ) -> None:
        self._index = index
        self._storage = storage
        self._read_summary = read_summary
        self._in_thread = in_thread
        self._signatures = signatures
        self._per_page = per_page
        self._at_once = at_once

    async def everything(self) -> Reconstruction:
        """All resources of the server.

        :raises OrthancError: that of the first file that cannot be read, once the others are done
        """
        return await self._run(self._all_rows())

    async def resource(
        self, level: ResourceType, public_id: str, *, this_level_only: bool = False
    ) -> Reconstruction:
        """A resource, all below it and all above it.

        :param this_level_only: the resource alone, by one of its files
        :raises OrthancError: UNKNOWN_RESOURCE; that of the first file that cannot be read, once
            the others are done
        """

        def family(tx: ReadTransaction) -> list[ResourceRow]:
            row = require(tx, level, public_id)
            return [row] if this_level_only else [row, *tx.ancestors(row)]

        root, *above = await self._index.read(family)
        if this_level_only:
            return await self._run(_each((root,)))
        return await self._run(self._rows_of(root, above))

    def instances(self) -> AsyncIterator[ResourceRow]:
        """All instances of the server."""
        return self._level(ResourceType.INSTANCE)

    async def instances_of(self, level: ResourceType, public_id: str) -> AsyncIterator[ResourceRow]:
        """The instances of a resource.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        root = await self._index.read(lambda tx: require(tx, level, public_id))
        if level is ResourceType.INSTANCE:
            yield root
        else:
            async for row in self._below(root, ResourceType.INSTANCE):
                yield row

    async def from_instance(
        self, instance: str, resources: Sequence[tuple[ResourceType, str]]
    ) -> None:
        """Give resources above an instance the tags of its file. What is gone is left out.

        :raises OrthancError: if the file cannot be read
        """

        def read(tx: ReadTransaction) -> list[_Source]:
            own = tx.lookup(instance, ResourceType.INSTANCE)
            file = None if own is None else tx.attachment(own.internal_id, ContentType.DICOM)
            rows = [tx.lookup(public_id, level) for level, public_id in resources]
            return [_Source(row, file) for row in rows if row is not None and file is not None]

        sources = await self._index.read(read)
        if sources:
            reading = self._in_thread(self._summary, sources[0].file)
            summary: InstanceSummary | OrthancError = await reading
            if isinstance(summary, OrthancError):
                raise summary
            summaries: dict[_Source, InstanceSummary] = dict.fromkeys(sources, summary)
            await self._index.write(partial(self._write, read=summaries))

    async def _all_rows(self) -> AsyncIterator[ResourceRow]:
        for level in ResourceType:
            async for row in self._level(level):
                yield row

    def _level(self, level: ResourceType) -> AsyncIterator[ResourceRow]:
        return self._pages(lambda tx, after: tx.page(level, after=after, limit=self._per_page))

    async def _rows_of(
        self, root: ResourceRow, above: Sequence[ResourceRow]
    ) -> AsyncIterator[ResourceRow]:
        for row in above:
            yield row
        if root.level is ResourceType.INSTANCE:
            yield root
        for level in _LEVELS_ABOVE:
            async for row in self._below(root, level):
                yield row
                if level is ResourceType.SERIES:
                    # By series, which have an index by key: of a study each page would cost all
                    async for instance in self._below(row, ResourceType.INSTANCE):
                        yield instance

    def _below(self, row: ResourceRow, level: ResourceType) -> AsyncIterator[ResourceRow]:
        return self._pages(
            lambda tx, after: tx.descendants(row, level, after=after, limit=self._per_page)
        )

    async def _pages(self, read: ReadPage) -> AsyncIterator[ResourceRow]:
        after: str | None = None

        def read_page(tx: ReadTransaction) -> Sequence[ResourceRow]:
            return read(tx, after)

        while True:
            page = await self._index.read(read_page)
            for row in page:
                yield row
            if len(page) < self._per_page:
                return
            after = page[-1].public_id

    async def _run(self, rows: AsyncIterator[ResourceRow]) -> Reconstruction:
        progress = Reconstruction()
        page: list[ResourceRow] = []
        async for row in rows:
            page.append(row)
            if len(page) == self._per_page:
                await self._reconstruct(page, progress)
                page = []
        await self._reconstruct(page, progress)
        if progress.first_error is not None and progress.first_failed is not None:
            failed = progress.first_failed
            raise OrthancError(
                progress.first_error.code,
                f"{progress.failed} resources cannot be read from their files, the first is the"
                f" {failed.level.label.lower()} {failed.public_id}",
            )
        return progress

    async def _reconstruct(self, page: Sequence[ResourceRow], progress: Reconstruction) -> None:
        rows = page
        failed: dict[_Source, OrthancError] = {}
        while rows:
            sources = await self._index.read(partial(_sources, rows=rows))
            for source in sources:
                if source in failed:
                    self._fail(progress, source.row, failed[source])
            # Of what failed before, another file speaks now, or none: it was deleted meanwhile
            read, failed = await self._read_all([one for one in sources if one not in failed])
            if read:
                progress.done += len(read)
                progress.changed += await self._index.write(partial(self._write, read=read))
            rows = [source.row for source in failed]

    async def _read_all(
        self, sources: Sequence[_Source]
    ) -> tuple[dict[_Source, InstanceSummary], dict[_Source, OrthancError]]:
        shares = [sources[n :: self._at_once] for n in range(self._at_once)]
        reading = [self._in_thread(self._read, share) for share in shares if share]
        read: dict[_Source, InstanceSummary] = {}
        failed: dict[_Source, OrthancError] = {}
        for share in await gatherResults(reading, consumeErrors=True):
            for source, result in share:
                if isinstance(result, OrthancError):
                    failed[source] = result
                else:
                    read[source] = result
        return read, failed

    def _fail(self, progress: Reconstruction, row: ResourceRow, error: OrthancError) -> None:
        self._log.error(
            "Cannot reconstruct the {kind} {public_id}: {error}",
            kind=row.level.label.lower(),
            public_id=row.public_id,
            error=error,
        )
        progress.failed += 1
        if progress.first_error is None:
            progress.first_error, progress.first_failed = error, row

    def _read(
        self, sources: Sequence[_Source]
    ) -> list[tuple[_Source, InstanceSummary | OrthancError]]:
        return [(source, self._summary(source.file)) for source in sources]

    def _summary(self, file: Attachment) -> InstanceSummary | OrthancError:
        try:
            with self._storage.open(file.uuid, file.compression) as content:
                return self._read_summary(content, file.size_bytes)
        except OrthancError as error:
            return error
        except OSError as error:
            return OrthancError(ErrorCode.CORRUPTED_FILE, str(error))

    def _write(self, tx: WriteTransaction, read: Mapping[_Source, InstanceSummary]) -> int:
        changed = 0
        for source, summary in read.items():
            level = source.row.level
            metadata = header_metadata(level, summary, self._signatures)
            changed += tx.replace_main_tags(
                source.row.internal_id,
                summary.tags.get(level, {}),
                {number: metadata.get(number) for number in HEADER_METADATA[level]},
            )
        return changed


async def _each(rows: Iterable[ResourceRow]) -> AsyncIterator[ResourceRow]:
    for row in rows:
        yield row


def _sources(tx: ReadTransaction, rows: Iterable[ResourceRow]) -> list[_Source]:
    """What to read; a resource that is gone by now is left out."""
    sources = []
    for row in rows:
        instance = row if row.level is ResourceType.INSTANCE else tx.oldest_instance(row)
        file = tx.attachment(instance.internal_id, ContentType.DICOM) if instance else None
        if file is not None:
            sources.append(_Source(row, file))
    return sources
