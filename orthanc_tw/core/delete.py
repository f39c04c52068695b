"""Deletion of a resource: the rows first, then the files that no row names any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.index.gateway import DeleteOutcome, Index, ResourceRow, WriteTransaction
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.storage.interface import Storage

_log = Logger()


class ResourceDeleter:
    """Deletes resources (reactor thread).

    :param in_thread: runs a function in a thread, Deferred of its result
    :param clock: the time, POSIX seconds
    """

    def __init__(
        self,
        index: Index,
        storage: Storage,
        in_thread: Callable[..., Deferred[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._storage = storage
        self._in_thread = in_thread
        self._clock = clock

    def delete(
        self, public_id: str, level: ResourceType | None = None
    ) -> Deferred[DeleteOutcome | None]:
        """Delete a resource and all below it; None if there is no such resource.

        Fires when the rows are gone for good. The files are removed after that: should the
        server die before, the sweep at its next start removes them.
        """
        date = self._date()

        def write(tx: WriteTransaction) -> DeleteOutcome | None:
            row: ResourceRow | None = tx.lookup(public_id, level)
            return None if row is None else tx.delete_resource(row, date)

        def written(outcome: DeleteOutcome | None) -> DeleteOutcome | None:
            if outcome is not None:
                self._delete_files(outcome.removed)
            return outcome

        return self._index.write(write).addCallback(written)

    def delete_instances(self, files: Sequence[tuple[str, str]]) -> Deferred[None]:
        """Delete instances in one transaction, each if its file is still the one that is named.

        :param files: public identifiers and storage UUIDs
        """
        date = self._date()

        def write(tx: WriteTransaction) -> list[str]:
            removed: list[str] = []
            for public_id, uuid in files:
                row = tx.lookup(public_id, ResourceType.INSTANCE)
                if row is not None:
                    file = tx.attachment(row.internal_id, ContentType.DICOM)
                    if file is not None and file.uuid == uuid:
                        removed += tx.delete_resource(row, date).removed
            return removed

        return self._index.write(write).addCallback(self._delete_files)

    def _delete_files(self, uuids: Sequence[str]) -> None:
        if uuids:
            deleting = self._in_thread(self._storage.delete, uuids)
            deleting.addErrback(lambda failure: _log.failure("Deleting files", failure))

    def _date(self) -> str:
        return time.strftime("%Y%m%dT%H%M%S", time.gmtime(int(self._clock())))
