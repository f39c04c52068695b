"""The log of what was sent to modalities and peers. Source: REST API, ``/exports``.

Called in the reactor thread by whoever sends, once for each resource that it was asked to send.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from orthanc_tw.core.utc import utc_text
from orthanc_tw.index.gateway import (
    ExpandParts,
    Export,
    Index,
    ReadTransaction,
    ResourceRow,
    WriteTransaction,
)
from orthanc_tw.model.levels import ResourceType

_IDENTIFIERS = {
    ResourceType.PATIENT: "0010,0020",
    ResourceType.STUDY: "0020,000d",
    ResourceType.SERIES: "0020,000e",
    ResourceType.INSTANCE: "0008,0018",
}


class ExportLog:
    """Appends to ``/exports``.

    :param now_s: POSIX seconds
    :param enabled: option ``LogExportedResources``, and the database may be written to
    """

    def __init__(self, index: Index, now_s: Callable[[], float], *, enabled: bool) -> None:
        self._index = index
        self._now_s = now_s
        self._enabled = enabled

    def record(
        self, public_id: str, remote_modality: str, level: ResourceType | None = None
    ) -> Deferred[bool]:
        """Log that a resource is sent; fires, once that is durable, with whether it was logged.

        Not logged: a resource that is not there (any more), and everything if this is disabled.

        :param remote_modality: symbolic name of the modality or peer
        :param level: level of the resource, None for any
        """
        if not self._enabled:
            return succeed(False)
        date = utc_text(self._now_s())

        def write(tx: WriteTransaction) -> bool:
            row = tx.lookup(public_id, level)
            if row is None:
                return False
            tx.log_export(_export(tx, row, remote_modality, date))
            return True

        return self._index.write(write)


def _export(tx: ReadTransaction, row: ResourceRow, remote_modality: str, date: str) -> Export:
    parts = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
    records = tx.expand([*reversed(tx.ancestors(row)), row], parts)
    identifiers = [record.tags.get(_IDENTIFIERS[record.level], "") for record in records]
    return Export(0, row.level, row.public_id, remote_modality, date, *identifiers)
