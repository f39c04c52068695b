"""The instances of a resource with their DICOM files, and what is read out of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.lookup import require
from orthanc_tw.dicom.modules import module_json
from orthanc_tw.dicom.shared_tags import SharedTags
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, add_tag, header_json, tags_json
from orthanc_tw.dicom.tags import PIXEL_DATA
from orthanc_tw.index.gateway import Attachment, Index, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, ContentType


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance and its DICOM file.

    :ivar header: what is before the pixel data, kept apart where the file is compressed
    """

    public_id: str
    file: Attachment
    header: Attachment | None = None


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
        file = self._attachment(public_id, ContentType.DICOM)
        if file is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        if file.compression is Compression.NONE:
            return StoredInstance(public_id, file)
        header = self._attachment(public_id, ContentType.DICOM_UNTIL_PIXEL_DATA)
        return StoredInstance(public_id, file, header)

    def _attachment(self, public_id: str, content_type: ContentType) -> Attachment | None:
        return self._index.read_one(
            lambda tx: tx.attachment_of(ResourceType.INSTANCE, public_id, content_type)
        )

    async def any_of(self, level: ResourceType, public_id: str) -> StoredInstance:
        """The instance whose file speaks for a resource: the first by public identifier.

        :raises OrthancError: UNKNOWN_RESOURCE
        """

        def read(tx: ReadTransaction) -> StoredInstance:
            row = require(tx, level, public_id)
            for instance in tx.descendants(row, ResourceType.INSTANCE, limit=1):
                return _stored(tx, instance)
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
            return [_stored(tx, row) for row in rows]

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
        header = None if whole else instance.header
        tags = await self._documents.read(
            header or instance.file, lambda file: tags_json(file, tag_format, options, whole=whole)
        )
        if header is not None:
            # It ends where the pixel data begins, which is shown without its value.
            add_tag(tags, PIXEL_DATA, None, "Null", None, tag_format)
        return tags

    async def header(
        self, instance: StoredInstance, tag_format: TagFormat, options: TagOptions
    ) -> JsonObject:
        """Meta information of an instance."""
        return await self._documents.read(
            instance.header or instance.file, lambda file: header_json(file, tag_format, options)
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


def _stored(tx: ReadTransaction, row: ResourceRow) -> StoredInstance:
    file = tx.attachment(row.internal_id, ContentType.DICOM)
    if file is None:
        raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
    header = None
    if file.compression is not Compression.NONE:
        header = tx.attachment(row.internal_id, ContentType.DICOM_UNTIL_PIXEL_DATA)
    return StoredInstance(row.public_id, file, header)
