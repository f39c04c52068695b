"""The instances of a resource with their DICOM files, and what is read out of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.lookup import require
from orthanc_tw.dicom.modules import module_json
from orthanc_tw.dicom.shared_tags import SharedTags
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, header_json, tags_json
from orthanc_tw.index.gateway import Attachment, Index, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance and its DICOM file."""

    public_id: str
    file: Attachment


class Instances:
    """Reads instances. Called in the reactor thread.

    :param per_slice: instances looked up at once
    """

    def __init__(self, index: Index, documents: Documents, *, per_slice: int = 100) -> None:
        self._index = index
        self._documents = documents
        self._per_slice = per_slice

    def one(self, public_id: str) -> StoredInstance:
        """An instance.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        file = self._index.read_one(
            lambda tx: tx.attachment_of(ResourceType.INSTANCE, public_id, ContentType.DICOM)
        )
        if file is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        return StoredInstance(public_id, file)

    async def any_of(self, level: ResourceType, public_id: str) -> StoredInstance:
        """The instance whose file speaks for a resource: the first by public identifier.

        :raises OrthancError: UNKNOWN_RESOURCE
        """

        def read(tx: ReadTransaction) -> StoredInstance:
            row = require(tx, level, public_id)
            for instance in tx.descendants(row, ResourceType.INSTANCE, limit=1):
                return StoredInstance(instance.public_id, _file(tx, instance.internal_id))
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)

        return await self._index.read(read)

    async def all_of(
        self, level: ResourceType, public_id: str
    ) -> AsyncIterator[Sequence[StoredInstance]]:
        """All instances of a resource by public identifier, in slices.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        after: str | None = None

        def read(tx: ReadTransaction) -> list[StoredInstance]:
            rows = tx.descendants(
                require(tx, level, public_id),
                ResourceType.INSTANCE,
                after=after,
                limit=self._per_slice,
            )
            return [StoredInstance(row.public_id, _file(tx, row.internal_id)) for row in rows]

        while True:
            page = await self._index.read(read)
            yield page
            if len(page) < self._per_slice:
                return
            after = page[-1].public_id

    async def tags(
        self,
        instance: StoredInstance,
        tag_format: TagFormat,
        options: TagOptions,
        *,
        whole: bool = False,
    ) -> JsonObject:
        """Tags of an instance.

        :param whole: go on after the pixel data
        """
        return await self._documents.read(
            instance.file, lambda file: tags_json(file, tag_format, options, whole=whole)
        )

    async def header(
        self, instance: StoredInstance, tag_format: TagFormat, options: TagOptions
    ) -> JsonObject:
        """Meta information of an instance."""
        return await self._documents.read(
            instance.file, lambda file: header_json(file, tag_format, options)
        )

    async def module(
        self,
        level: ResourceType,
        public_id: str,
        module: ResourceType,
        tag_format: TagFormat,
        options: TagOptions,
    ) -> JsonObject:
        """The tags of the DICOM module of a level.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        instance = await self.any_of(level, public_id)
        return await self._documents.read(
            instance.file, lambda file: module_json(file, module, tag_format, options)
        )

    async def shared_tags(
        self,
        level: ResourceType,
        public_id: str,
        tag_format: TagFormat,
        options: TagOptions,
    ) -> JsonObject:
        """Tags that all instances of a resource have in common.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        shared = SharedTags()
        async for page in self.all_of(level, public_id):
            for instance in page:
                shared.add(await self.tags(instance, TagFormat.FULL, options))
        return shared.result(tag_format)


def _file(tx: ReadTransaction, internal_id: int) -> Attachment:
    found = tx.attachment(internal_id, ContentType.DICOM)
    if found is None:
        raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
    return found
