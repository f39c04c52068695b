"""Creates instances: the body of a request in, stored instances out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO
from uuid import UUID

from twisted.internet.defer import Deferred

from orthanc_tw.core.creation.data_uris import DataUri, LargeJson
from orthanc_tw.core.creation.request import Creation, NewInstance, parse_creation
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.store import InstanceStore, StoreResult
from orthanc_tw.dicom.creation import contents, images
from orthanc_tw.dicom.creation.compose import (
    ComposeSettings,
    Fresh,
    Given,
    Inherited,
    add_tags,
    check_instance_tags,
    compose,
    compose_deprecated,
    identify_instance,
    inherit,
)
from orthanc_tw.dicom.creation.dataset import NewDataset
from orthanc_tw.dicom.modification.new_values import ValueRules
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.storage.interface import Spool, Storage

InThread = Callable[..., Deferred[Any]]
RunInWorker = Callable[..., Deferred[Any]]
ReadBody = Callable[[Spool, Callable[[], Spool]], Any]

# Of each instance of a series: InstanceNumber, NumberOfTemporalPositions, ImagesInAcquisition,
# ImageIndex
_NUMBER, _POSITIONS, _IMAGES, _INDEX = 0x00200013, 0x00200105, 0x00201002, 0x00541330


@dataclass(frozen=True, slots=True)
class Created:
    """What was stored.

    :ivar last: of the last instance
    """

    is_series: bool
    last: StoreResult


def read_json(body: Spool, new_spool: Callable[[], Spool]) -> Any:
    """The value of a JSON body; see `LargeJson.read`."""
    return LargeJson(body, new_spool).read()


class Creator:
    """Creates instances (reactor thread; files are read and written in threads).

    :param run: calls a function in a worker process
    :param settings: of this moment
    :param new_uuid: source of random UUIDs
    :param clock: POSIX seconds
    """

    def __init__(
        self,
        index: Index,
        storage: Storage,
        store: InstanceStore,
        instances: Instances,
        documents: Documents,
        in_thread: InThread,
        run: RunInWorker,
        settings: Callable[[], ComposeSettings],
        new_uuid: Callable[[], UUID],
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._storage = storage
        self._store = store
        self._instances = instances
        self._documents = documents
        self._in_thread = in_thread
        self._run = run
        self._settings = settings
        self._new_uuid = new_uuid
        self._clock = clock

    async def create(self, body: Spool, origin: StoreOrigin, read: ReadBody = read_json) -> Created:
        """Create and store what a body asks for. The body is discarded, whatever happens.

        Instances of a series are stored in order; after a failure those before it stay.

        :param read: how the body is read (in a thread)
        :raises OrthancError: that names what is wrong with the body; as `InstanceStore.store`
        """
        spools: list[Spool] = []

        def new_spool() -> Spool:
            spools.append(self._storage.new_spool())
            return spools[-1]

        try:
            try:
                value = await self._in_thread(read, body, new_spool)
            finally:
                body.discard()
            creation: Creation = await self._in_thread(parse_creation, value, new_spool)
            del value
            return await self._create(creation, origin)
        finally:
            for spool in spools:
                spool.discard()

    async def _create(self, creation: Creation, origin: StoreOrigin) -> Created:
        settings = self._settings()
        inherited = await self._inherited(creation.parent, settings)
        given = Given(
            creation.tags,
            creation.private_creator,
            creation.force,
            ValueRules(strict=False, data_uris=creation.interpret),
        )
        common: NewDataset = await self._in_thread(
            _common, creation, given, inherited, self._fresh(), settings
        )
        last: StoreResult | None = None
        for number, instance in enumerate(creation.instances, 1):
            dataset = common.copy()
            tags = Given(instance.tags, given.private_creator, given.force, given.rules)
            await self._in_thread(
                _specific, dataset, tags, creation, number, self._new_uid(), settings
            )
            last = await self._stored(dataset, instance, creation.encapsulate, origin)
        assert last is not None
        return Created(creation.is_series, last)

    async def _inherited(self, parent: str | None, settings: ComposeSettings) -> Inherited:
        """What a parent has to give.

        :raises OrthancError: CREATE_DICOM_BAD_PARENT, CREATE_DICOM_PARENT_IS_INSTANCE
        """
        if parent is None:
            return Inherited()
        row = self._index.read_one(lambda tx: tx.lookup(parent))
        if row is None:
            raise OrthancError(ErrorCode.CREATE_DICOM_BAD_PARENT)
        if row.level is ResourceType.INSTANCE:
            raise OrthancError(ErrorCode.CREATE_DICOM_PARENT_IS_INSTANCE)
        instance = await self._instances.any_of(row.level, parent)
        return await self._documents.read(
            instance.file, partial(_inherit, level=row.level, settings=settings)
        )

    async def _stored(
        self, dataset: NewDataset, instance: NewInstance, encapsulate: bool, origin: StoreOrigin
    ) -> StoreResult:
        pixels: str | None = None
        try:
            if instance.content is not None:
                pixels = await self._put_content(dataset, instance.content, encapsulate)
            spool = self._store.new_spool()
            try:
                await self._in_thread(_write, dataset, spool)
            except BaseException:
                spool.discard()
                raise
        finally:
            if pixels is not None:
                with suppress(OSError):
                    os.unlink(pixels)
        return await self._store.store(spool, origin)

    async def _put_content(
        self, dataset: NewDataset, content: DataUri, encapsulate: bool
    ) -> str | None:
        """Add a content; answers the path of a file to remove once the instance is written."""
        mime, spool = content.mime, content.spool
        document = contents.document_type(mime)
        if document is not None:
            await self._in_thread(
                contents.put_document, dataset, document, spool.size_bytes, spool.reader
            )
            return None
        if mime == contents.OCTET_STREAM:
            contents.put_raw(dataset, spool.size_bytes, spool.reader)
            return None
        if mime.startswith("video/"):
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        if mime not in images.FORMATS:
            raise contents.unsupported(mime)
        path = await self._in_thread(_path, spool)
        if encapsulate:
            if images.FORMATS[mime] != "JPEG":
                raise contents.unsupported(mime, encapsulate=True)
            described = await self._run(images.DESCRIBE_JPEG, [path])
            contents.put_image(dataset, described, spool.size_bytes, spool.reader)
            return None
        target = self._storage.new_path()
        try:
            described = await self._run(images.DECODE, [path, mime, target])
            size_bytes = os.stat(target).st_size
            contents.put_image(dataset, described, size_bytes, partial(_open, target))
        except BaseException:
            with suppress(OSError):  # a worker that was killed may have left some of it
                os.unlink(target)
            raise
        return target

    def _fresh(self) -> Fresh:
        now = time.gmtime(self._clock())
        return Fresh(
            patient_id=str(self._new_uuid()),
            study_instance_uid=self._new_uid(),
            series_instance_uid=self._new_uid(),
            date=time.strftime("%Y%m%d", now),
            time=time.strftime("%H%M%S.000000", now),
        )

    def _new_uid(self) -> str:
        """A UID made of a UUID (PS3.5 B.2)."""
        return f"2.25.{self._new_uuid().int}"


def _inherit(file: BinaryIO, *, level: ResourceType, settings: ComposeSettings) -> Inherited:
    return inherit(file, level, settings)


def _common(
    creation: Creation,
    given: Given,
    inherited: Inherited,
    fresh: Fresh,
    settings: ComposeSettings,
) -> NewDataset:
    """What all instances of a request have."""
    if creation.deprecated:
        return compose_deprecated(given, fresh, settings)
    for instance in creation.instances:
        if not given.force:
            check_instance_tags(instance.tags, settings.dictionary)
    return compose(given, inherited, fresh, settings)


def _specific(
    dataset: NewDataset,
    given: Given,
    creation: Creation,
    number: int,
    uid: str,
    settings: ComposeSettings,
) -> None:
    """What one instance of them has of its own."""
    add_tags(dataset, given, settings)
    if creation.is_series:
        dataset.set_text(_NUMBER, "IS", str(number))
        dataset.set_text(_POSITIONS, "IS", "1")
        dataset.set_text(_IMAGES, "IS", str(len(creation.instances)))
        dataset.set_us(_INDEX, min(number, 0xFFFF))
    identify_instance(dataset, uid)


def _write(dataset: NewDataset, spool: Spool) -> None:
    for piece in dataset.pieces():
        spool.write(piece)


def _path(spool: Spool) -> str:
    return spool.path


def _open(path: str) -> BinaryIO:
    return open(path, "rb")
