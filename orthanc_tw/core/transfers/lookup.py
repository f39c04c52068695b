"""Which instances the resources of a request have, with size and MD5 of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.retrieve import transfer_instances
from orthanc_tw.core.transfers.buckets import TransferInstance
from orthanc_tw.index.gateway import Attachment, Index, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.storage.interface import Storage

_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class TransferResource:
    """A resource that a request names."""

    level: ResourceType
    public_id: str

    def to_json(self) -> JsonObject:
        """As it travels."""
        return {"Level": self.level.label, "ID": self.public_id}


def parse_resources(value: JsonValue) -> list[TransferResource]:
    """``[{Level, ID}, ...]``.

    :raises OrthancError: BAD_FILE_FORMAT naming the field
    """
    if not isinstance(value, list):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, 'Array expected in field: "Resources"')
    found: dict[TransferResource, None] = {}
    for item in value:
        level = item.get("Level") if isinstance(item, dict) else None
        public_id = item.get("ID") if isinstance(item, dict) else None
        try:
            if not isinstance(level, str) or not isinstance(public_id, str):
                raise ValueError
            found[TransferResource(ResourceType.from_label(level), public_id)] = None
        except ValueError:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                'Objects with "Level" (Patient, Study, Series, Instance) and "ID" expected in'
                " field: Resources",
            ) from None
    return list(found)


class TransferLookup:
    """Finds instances (reactor thread)."""

    def __init__(
        self, index: Index, storage: Storage, in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._index = index
        self._storage = storage
        self._in_thread = in_thread

    async def instances(self, resources: Sequence[TransferResource]) -> list[TransferInstance]:
        """The instances of all resources, each once, those without a DICOM file left out.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        instances, unknown = await self._index.read(lambda tx: _instances(tx, resources))
        for number, file in unknown.items():
            md5 = await self._in_thread(self._md5, file)
            instances[number] = replace(instances[number], md5=md5)
        return instances

    async def check(self, resources: Sequence[TransferResource]) -> None:
        """Whether they are here.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        await self._index.read(lambda tx: [_row(tx, resource) for resource in resources])

    async def files(self, public_ids: Sequence[str]) -> list[Attachment]:
        """The DICOM files of instances, in this order.

        :raises OrthancError: UNKNOWN_RESOURCE
        """
        return await self._index.read(lambda tx: [_file(tx, one) for one in public_ids])

    def _md5(self, file: Attachment) -> str:
        # Without StoreMD5ForAttachments.
        digest = hashlib.md5(usedforsecurity=False)
        with self._storage.open(file.uuid, file.compression) as reader:
            while data := reader.read(_READ_BYTES):
                digest.update(data)
        return digest.hexdigest()


def _files(tx: ReadTransaction, resources: Sequence[TransferResource]) -> dict[str, Attachment]:
    found: dict[str, Attachment] = {}
    for resource in resources:
        for instance in transfer_instances(tx, _row(tx, resource)):
            found[instance.public_id] = instance.file
    return found


def _instances(
    tx: ReadTransaction, resources: Sequence[TransferResource]
) -> tuple[list[TransferInstance], dict[int, Attachment]]:
    """The instances, and those whose MD5 is not known, by number. There may be many: no work
    for the reactor thread.
    """
    files = _files(tx, resources)
    instances = [TransferInstance(one, file.size_bytes, file.md5) for one, file in files.items()]
    unknown = {number: file for number, file in enumerate(files.values()) if not file.md5}
    return instances, unknown


def _row(tx: ReadTransaction, resource: TransferResource) -> ResourceRow:
    row = tx.lookup(resource.public_id, resource.level)
    if row is None:
        raise _unknown(resource.level.label.lower(), resource.public_id)
    return row


def _file(tx: ReadTransaction, public_id: str) -> Attachment:
    file = tx.attachment_of(ResourceType.INSTANCE, public_id, ContentType.DICOM)
    if file is None:
        raise _unknown("instance", public_id)
    return file


def _unknown(what: str, public_id: str) -> OrthancError:
    return OrthancError(ErrorCode.UNKNOWN_RESOURCE, f"There is no {what} {public_id}")
