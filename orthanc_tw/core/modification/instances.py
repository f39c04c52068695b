"""One instance from the storage area through a worker back into the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.modification.plan import PlannedInstance
from orthanc_tw.core.modification.task import MODIFY_FILE, pack_order
from orthanc_tw.core.run_in_worker import RunInWorker
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.turns import Turns
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.index.gateway import Attachment, Index
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType, OverwriteInstances
from orthanc_tw.storage.interface import Storage

Ids = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Modified:
    """What has become of an instance.

    :ivar file: storage UUID of the file that was read
    :ivar result: public identifiers of the result's four levels; None if it was left out
    :ivar dropped: why it was left out
    """

    file: str
    result: Ids | None
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done to each instance of a job.

    :ivar origin_metadata: ``ModifiedFrom`` or ``AnonymizedFrom``, None to keep no origin
    :ivar packed: of `pack_order`
    :ivar members: path of the file of `write_members`; None if no references are to follow
    :ivar turns: results are stored in the order in which they were begun, so that what a study
        is said to be, and the log of changes, do not depend on which worker was faster
    """

    modification: Modification
    origin: StoreOrigin
    origin_metadata: MetadataType | None
    packed: bytes = field(repr=False)
    members: str | None = None
    turns: Turns = field(default_factory=Turns)


class InstanceModifier:
    """Modifies instances (reactor thread).

    :param settings: of this moment, what every modification shares
    :param pseudonym_key: see `Identity`
    :param new_path: see `Storage.new_path`
    :param with_md5: ``StoreMD5ForAttachments``
    """

    def __init__(
        self,
        index: Index,
        storage: Storage,
        store: InstanceStore,
        run: RunInWorker,
        settings: Callable[[], ModificationSettings],
        *,
        pseudonym_key: bytes | None,
        with_md5: bool,
    ) -> None:
        self._index = index
        self._storage = storage
        self._store = store
        self._run = run
        self._settings = settings
        self._key = pseudonym_key
        self._with_md5 = with_md5

    def order(
        self,
        modification: Modification,
        origin: StoreOrigin,
        *,
        keep_origin: bool = True,
        members: str | None = None,
    ) -> Order:
        """What a job orders.

        :param keep_origin: whether results have metadata that name their sources
        :param members: see `Order`
        """
        metadata = None
        if keep_origin:
            is_anonymization = modification.is_anonymization
            metadata = (
                MetadataType.ANONYMIZED_FROM if is_anonymization else MetadataType.MODIFIED_FROM
            )
        packed = pack_order(modification, self._settings(), self._key)
        return Order(modification, origin, metadata, packed, members)

    def was_replaced(self, order: Order, planned: PlannedInstance) -> bool:
        """Whether an earlier run of the job has put its result in the place of the instance."""
        if order.origin_metadata is None:
            return False
        number = int(order.origin_metadata)

        def read(tx: Any) -> bool:
            row = tx.lookup(planned.public_id, ResourceType.INSTANCE)
            if row is None:
                return False
            file = tx.attachment(row.internal_id, ContentType.DICOM)
            origin = tx.metadata(row.internal_id).get(number)
            return (
                file is not None
                and file.uuid != planned.file
                and origin is not None
                and origin.value == planned.public_id
            )

        return bool(self._index.read_now(read))

    def modify(
        self, order: Order, planned: PlannedInstance, claim: Callable[[str], None]
    ) -> Deferred[Modified]:
        """Modify an instance; fires when the result is durable.

        Doing it twice leaves the same result. Cancelling stops the worker.

        :param claim: told the public identifier of the result before it is stored; what it
            raises is the failure of the instance
        :raises OrthancError: (as failures) UNKNOWN_RESOURCE if the instance is gone; what
            `modify_file`, the pool, or the store raise
        """
        return Deferred.fromCoroutine(self._modify(order, planned, claim))

    async def _modify(
        self, order: Order, planned: PlannedInstance, claim: Callable[[str], None]
    ) -> Modified:
        turn = order.turns.take()
        try:
            return await self._modify_in_turn(order, planned, claim, turn)
        finally:
            order.turns.skip(turn)

    async def _modify_in_turn(
        self, order: Order, planned: PlannedInstance, claim: Callable[[str], None], turn: int
    ) -> Modified:
        source = self._index.read_one(
            lambda tx: tx.attachment_of(ResourceType.INSTANCE, planned.public_id, ContentType.DICOM)
        )
        if source is None:
            details = f"The instance was deleted: {planned.public_id}"
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, details)
        target = self._storage.new_path()
        try:
            done = await self._run(MODIFY_FILE, self._arguments(order, source, target))
        except BaseException:
            with suppress(OSError):  # a worker that was killed may have left some of it
                os.unlink(target)
            raise
        if done["Dropped"] is not None:
            return Modified(source.uuid, None, str(done["Dropped"]))
        spool = self._storage.adopt(target, int(done["Size"]), str(done["MD5"]))
        result = DicomIdentifiers(*done["Result"]).public_ids()
        try:
            claim(result[3])
        except BaseException:
            spool.discard()
            raise
        stored = await self._store.store(
            spool,
            order.origin,
            _metadata(order, planned.ids, result),
            self._overwrite(),
            partial(order.turns.ready, turn),
            transcode=order.modification.transcode is None,
            keep_uid=True,
        )
        return Modified(source.uuid, (stored.patient, stored.study, stored.series, stored.instance))

    def _arguments(self, order: Order, source: Attachment, target: str) -> list[Any]:
        return [
            order.packed,
            self._storage.path(source.uuid),
            int(source.compression),
            target,
            os.path.dirname(target),
            self._with_md5,
            order.members,
        ]

    def _overwrite(self) -> OverwriteInstances:
        # A result always takes its place, as in Orthanc; the same one is not written again when
        # a step is done twice, which can be told only by its hash.
        return OverwriteInstances.IF_CHANGED if self._with_md5 else OverwriteInstances.ALWAYS


def _metadata(order: Order, sources: Ids, results: Ids) -> dict[ResourceType, dict[int, str]]:
    """Where the resources come from; above the instance only of those that are not the same."""
    if order.origin_metadata is None:
        return {}
    number = int(order.origin_metadata)
    return {
        level: {number: source}
        for level, source, result in zip(ResourceType, sources, results, strict=True)
        if level is ResourceType.INSTANCE or source != result
    }
