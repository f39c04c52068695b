"""Use cases on the attachments of one resource. Called in the reactor thread.

Source: REST API, ``/{level}/{id}/attachments``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from orthanc_tw.core.lookup import require
from orthanc_tw.core.revisions import Revision, next_revision
from orthanc_tw.core.utc import utc_text
from orthanc_tw.index.gateway import Attachment, Index, ReadTransaction, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ChangeType, Compression
from orthanc_tw.storage.interface import Spool, Storage, StoredFile

InThread = Callable[..., Deferred[Any]]
_CHUNK_BYTES = 256 * 1024


def revision_of(attachment: Attachment) -> Revision:
    """Revision of an attachment."""
    return Revision(attachment.revision, attachment.md5)


class Attachments:
    """Reads all attachments, writes those of users, compresses and verifies any.

    :param in_thread: runs a blocking function in a thread
    :param compress: option ``StorageCompression``
    :param check_revisions: option ``CheckRevisions``
    """

    _log = Logger()

    def __init__(
        self,
        index: Index,
        storage: Storage,
        in_thread: InThread,
        clock: IReactorTime,
        *,
        compress: bool,
        check_revisions: bool,
    ) -> None:
        self._index = index
        self._storage = storage
        self._in_thread = in_thread
        self._clock = clock
        self._compress = compress
        self.check_revisions = check_revisions

    def all(self, level: ResourceType, public_id: str) -> Sequence[Attachment]:
        """The attachments of a resource, by number.

        :raises OrthancError: UNKNOWN_RESOURCE
        """

        def read(tx: ReadTransaction) -> Sequence[Attachment]:
            found = tx.attachments(require(tx, level, public_id).internal_id)
            return sorted(found, key=lambda attachment: attachment.content_type)

        return self._index.read_now(read)

    def find(self, level: ResourceType, public_id: str, number: int) -> Attachment | None:
        """One attachment; None if it or the resource is not there."""

        def read(tx: ReadTransaction) -> Attachment | None:
            row = tx.lookup(public_id, level)
            return None if row is None else tx.attachment(row.internal_id, number)

        return self._index.read_now(read)

    def get(self, level: ResourceType, public_id: str, number: int) -> Attachment:
        """One attachment.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        found = self.find(level, public_id, number)
        if found is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        return found

    async def put(
        self,
        level: ResourceType,
        public_id: str,
        number: int,
        spool: Spool,
        expected: Revision | None,
    ) -> Revision:
        """Make the content of ``spool`` the attachment; it is durable when this returns.

        :raises OrthancError: INEXISTENT_ITEM if there is no such resource, REVISION
        """

        def check(tx: ReadTransaction) -> int:
            row = tx.lookup(public_id, level)
            if row is None:
                raise OrthancError(ErrorCode.INEXISTENT_ITEM)
            old = tx.attachment(row.internal_id, number)
            return next_revision(
                None if old is None else revision_of(old),
                expected,
                check_revisions=self.check_revisions,
            )

        try:
            self._index.read_now(check)  # before bytes are moved for nothing
            stored = await self._in_thread(self._storage.commit, spool, compress=self._compress)
        finally:
            spool.discard()

        def write(tx: WriteTransaction) -> tuple[int, Sequence[str]]:
            revision = check(tx)
            return revision, self._record(tx, level, public_id, number, stored, revision)

        revision, removed = await self._write_or_remove(write, stored)
        await self._remove(removed)
        return Revision(revision, stored.md5)

    async def delete(
        self, level: ResourceType, public_id: str, number: int, expected: Revision | None
    ) -> None:
        """Remove an attachment.

        :raises OrthancError: UNKNOWN_RESOURCE, of it too, REVISION
        """
        date = utc_text(self._clock.seconds())

        def write(tx: WriteTransaction) -> Sequence[str]:
            row = require(tx, level, public_id)
            old = tx.attachment(row.internal_id, number)
            if old is None:
                raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
            if expected is not None and expected != revision_of(old):
                raise OrthancError(ErrorCode.REVISION)
            tx.log_change(ChangeType.UPDATED_ATTACHMENT, row, date)
            return tx.delete_attachment(row.internal_id, number)

        await self._remove(await self._index.write(write))

    async def recompress(
        self, level: ResourceType, public_id: str, number: int, *, compress: bool
    ) -> None:
        """Store an attachment compressed or not; nothing happens if it is already.

        :raises OrthancError: UNKNOWN_RESOURCE, INEXISTENT_FILE
        """
        old = self.get(level, public_id, number)
        if (old.compression is Compression.ZLIB_WITH_SIZE) == compress:
            return
        stored: StoredFile = await self._in_thread(self._copy, old, compress)

        def write(tx: WriteTransaction) -> tuple[int, Sequence[str]]:
            row = require(tx, level, public_id)
            current = tx.attachment(row.internal_id, number)
            if current is None or current.uuid != old.uuid:
                raise OrthancError(ErrorCode.REVISION)
            revision = old.revision + 1
            return revision, self._record(tx, level, public_id, number, stored, revision)

        _, removed = await self._write_or_remove(write, stored)
        await self._remove(removed)

    def verify(self, attachment: Attachment) -> Deferred[bool]:
        """Whether the file has the MD5 of the index, stored and uncompressed."""
        return self._in_thread(self._verify, attachment)

    def _record(
        self,
        tx: WriteTransaction,
        level: ResourceType,
        public_id: str,
        number: int,
        stored: StoredFile,
        revision: int,
    ) -> Sequence[str]:
        row = require(tx, level, public_id)
        attachment = Attachment(
            stored.uuid,
            number,
            stored.size_bytes,
            stored.md5,
            stored.stored_size_bytes,
            stored.stored_md5,
            stored.compression,
            revision,
        )
        removed = tx.put_attachment(row.internal_id, attachment)
        date = utc_text(self._clock.seconds())
        tx.log_change(ChangeType.UPDATED_ATTACHMENT, row, date)
        return removed

    async def _write_or_remove(
        self,
        write: Callable[[WriteTransaction], tuple[int, Sequence[str]]],
        stored: StoredFile,
    ) -> tuple[int, Sequence[str]]:
        try:
            return await self._index.write(write)
        except BaseException:
            await self._remove([stored.uuid])
            raise

    async def _remove(self, uuids: Sequence[str]) -> None:
        """Delete files that no row names; what stays is swept at the next start."""
        try:
            await self._in_thread(self._storage.delete, uuids)
        except Exception:
            self._log.failure("Deleting files of attachments")

    def _copy(self, attachment: Attachment, compress: bool) -> StoredFile:
        spool = self._storage.new_spool()
        try:
            with self._storage.open(attachment.uuid, attachment.compression) as file:
                while data := file.read(_CHUNK_BYTES):
                    spool.write(data)
            return self._storage.commit(spool, compress=compress)
        finally:
            spool.discard()

    def _verify(self, attachment: Attachment) -> bool:
        for md5, compression in (
            (attachment.stored_md5, Compression.NONE),
            (attachment.md5, attachment.compression),
        ):
            with self._storage.open(attachment.uuid, compression) as file:
                if _md5(file) != md5:
                    return False
        return True


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while data := file.read(_CHUNK_BYTES):
        digest.update(data)
    return digest.hexdigest()
