"""``ReconstructFiles``: stored files written anew, as they would be if they were received now.

Their transfer syntax becomes that of ``IngestTranscoding`` (never with a loss: the instance keeps
its identity), their compression that of ``StorageCompression``. The new file is durable before
the row names it, and the old one is removed after that. Runs in the reactor thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.header_file import attachment_of, commit_header
from orthanc_tw.core.ingest_metadata import HEADER_METADATA, header_metadata
from orthanc_tw.core.transcoding.ingest import IngestTranscoder
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.index.gateway import Attachment, Index, ReadTransaction, WriteTransaction
from orthanc_tw.index.gateway import ResourceRow as Row
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, ContentType
from orthanc_tw.storage.interface import Spool, Storage, StoredFile

_CHUNK_BYTES = 1024 * 1024


class FileRewriter:
    """Rewrites the files of instances, one after another.

    :param read_summary: reads the header of a file: ``read_summary(file, size_bytes)``
    :param in_thread: runs a blocking function in a thread
    :param signatures: ``MainDicomTagsSignature`` of each level
    :param compress: ``StorageCompression``
    :param ingest: ``IngestTranscoding``, None if nothing is transcoded
    """

    _log = Logger()

    def __init__(
        self,
        index: Index,
        storage: Storage,
        read_summary: Callable[[BinaryIO, int], InstanceSummary],
        in_thread: Callable[..., Deferred[Any]],
        signatures: Mapping[ResourceType, str],
        *,
        compress: bool,
        ingest: IngestTranscoder | None = None,
    ) -> None:
        self._index = index
        self._storage = storage
        self._read_summary = read_summary
        self._in_thread = in_thread
        self._signatures = signatures
        self._compress = compress
        self._ingest = ingest

    async def rewrite(self, instances: AsyncIterator[Row]) -> int:
        """Rewrite what is not as it would be now; answers how many files were written.

        :raises OrthancError: of a file that cannot be read; FULL_STORAGE
        """
        count = 0
        async for row in instances:
            count += await self._one(row)
        return count

    async def _one(self, row: Row) -> bool:
        def find(tx: ReadTransaction) -> Attachment | None:
            return tx.attachment(row.internal_id, ContentType.DICOM)

        old = await self._index.read(find)
        if old is None:
            return False
        spool = await self._transcoded(old)
        if spool is None:
            if (old.compression is not Compression.NONE) == self._compress:
                return False
            spool = await self._in_thread(self._copied, old)
        try:
            summary, files = await self._in_thread(self._commit, spool)
        finally:
            spool.discard()
        write = partial(self._replace, row=row, old=old, summary=summary, files=files)
        try:
            unused = await self._index.write(write)
        except BaseException:
            self._delete([file.uuid for _, file in files])
            raise
        self._delete(unused)
        return True

    async def _transcoded(self, old: Attachment) -> Spool | None:
        if self._ingest is None:
            return None
        with await self._in_thread(self._storage.open, old.uuid, old.compression) as file:
            summary = await self._in_thread(self._read_summary, file, old.size_bytes)
        if not self._ingest.wants(summary):
            return None
        made = await self._ingest.file(old.uuid, old.compression)
        return None if made is None else self._ingest.adopted(made)

    def _copied(self, old: Attachment) -> Spool:
        spool = self._storage.new_spool()
        try:
            with self._storage.open(old.uuid, old.compression) as file:
                while data := file.read(_CHUNK_BYTES):
                    spool.write(data)
        except BaseException:
            spool.discard()
            raise
        return spool

    def _commit(self, spool: Spool) -> tuple[InstanceSummary, list[tuple[ContentType, StoredFile]]]:
        """In a thread: the durable files of an instance."""
        with spool.reader() as file:
            summary = self._read_summary(file, spool.size_bytes)
        files = []
        try:
            if self._compress and summary.pixel_data_offset:
                header = commit_header(self._storage, spool, summary.pixel_data_offset)
                files.append((ContentType.DICOM_UNTIL_PIXEL_DATA, header))
            files.append((ContentType.DICOM, self._storage.commit(spool, compress=self._compress)))
        except BaseException:
            self._storage.delete([file.uuid for _, file in files])
            raise
        return summary, files

    def _replace(
        self,
        tx: WriteTransaction,
        row: Row,
        old: Attachment,
        summary: InstanceSummary,
        files: Sequence[tuple[ContentType, StoredFile]],
    ) -> list[str]:
        """Name the new files; answers the UUIDs of those that nothing names any more."""
        current = tx.attachment(row.internal_id, ContentType.DICOM)
        if current is None or current.uuid != old.uuid:
            return [file.uuid for _, file in files]  # deleted or replaced meanwhile
        unused = list(tx.delete_attachment(row.internal_id, ContentType.DICOM_UNTIL_PIXEL_DATA))
        for content_type, file in files:
            unused += tx.put_attachment(row.internal_id, attachment_of(file, content_type))
        metadata = header_metadata(ResourceType.INSTANCE, summary, self._signatures)
        tx.replace_main_tags(
            row.internal_id,
            summary.tags.get(ResourceType.INSTANCE, {}),
            {number: metadata.get(number) for number in HEADER_METADATA[ResourceType.INSTANCE]},
        )
        return unused

    def _delete(self, uuids: Sequence[str]) -> None:
        if uuids:
            deleting = self._in_thread(self._storage.delete, tuple(uuids))
            deleting.addErrback(lambda failure: self._log.failure("Deleting files", failure))
