"""What a client uploads in one body: an instance, a ZIP of them, a form, any of it gzipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.archive_reader import (
    ArchiveLimits,
    gunzip,
    multipart_parts,
    zip_entries,
)
from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import InstanceStore, StoreResult
from orthanc_tw.dicom.sniff import looks_like_zip
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.interface import Spool

InThread = Callable[..., Deferred[Any]]

# Instances of an archive on their way into the store while the next is extracted: enough to
# share commits, few enough to bound memory.
WINDOW = 8
_NO_INSTANCE = (ErrorCode.BAD_FILE_FORMAT, ErrorCode.INEXISTENT_TAG)


class Uploader:
    """Stores uploads (reactor thread; archives are read in threads).

    :param limits: of archives
    """

    def __init__(self, store: InstanceStore, in_thread: InThread, limits: ArchiveLimits) -> None:
        self._store = store
        self._in_thread = in_thread
        self._limits = limits

    def store_body(
        self, body: Spool, origin: StoreOrigin
    ) -> Deferred[StoreResult] | Deferred[list[StoreResult]]:
        """Store an instance, or the instances of a ZIP: a result, or a list of them.

        The body belongs to the store, whatever happens.
        """
        with body.reader() as file:
            head = file.read(4)
        if looks_like_zip(head):
            return Deferred.fromCoroutine(self._store_zip(body, origin))
        return self._store.store(body, origin)

    async def store_gzip(self, body: Spool, origin: StoreOrigin) -> StoreResult | list[StoreResult]:
        """As `store_body`, of a body that is compressed with gzip."""
        inflated = self._store.new_spool()
        try:
            await self._in_thread(gunzip, body, inflated, self._limits)
        except BaseException:
            inflated.discard()
            raise
        finally:
            body.discard()
        return await self.store_body(inflated, origin)

    async def store_form(self, body: Spool, content_type: str, origin: StoreOrigin) -> None:
        """Store the parts of a multipart form, in order, up to the first that is no instance."""
        try:
            parts: list[Spool] = await self._in_thread(
                multipart_parts, body, content_type, self._store.new_spool, self._limits
            )
        finally:
            body.discard()
        remaining = deque(parts)
        try:
            while remaining:
                await self._store.store(remaining.popleft(), origin)
        finally:
            for part in remaining:
                part.discard()

    async def _store_zip(self, body: Spool, origin: StoreOrigin) -> list[StoreResult]:
        entries = zip_entries(body, self._store.new_spool, self._limits)
        results: list[StoreResult] = []
        on_the_way: deque[Deferred[StoreResult]] = deque()
        try:
            while (entry := await self._in_thread(_next, entries)) is not None:
                on_the_way.append(self._store.store(entry, origin))
                if len(on_the_way) >= WINDOW:
                    await _collect(on_the_way.popleft(), results)
            while on_the_way:
                await _collect(on_the_way.popleft(), results)
        finally:
            for pending in on_the_way:
                pending.addErrback(lambda _: None)  # the first error is the one that is told
            await self._in_thread(_close, entries)
            body.discard()
        return results


async def _collect(storing: Deferred[StoreResult], results: list[StoreResult]) -> None:
    """Wait for one entry; one that is no instance is skipped silently."""
    try:
        results.append(await storing)
    except OrthancError as error:
        if error.code not in _NO_INSTANCE:
            raise


def _next(entries: Iterator[Spool]) -> Spool | None:
    return next(entries, None)


def _close(entries: Any) -> None:
    entries.close()
