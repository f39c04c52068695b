"""The files of a series, in the order of its slices."""

from __future__ import annotations

from collections.abc import Sequence

from orthanc_tw.core.lookup import require
from orthanc_tw.core.slices import ordered_slices
from orthanc_tw.index.gateway import Attachment, ExpandParts, Index, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType

_PARTS = ExpandParts(children=False, metadata=True, attachments=False, labels=False)


async def slices_of_series(index: Index, public_id: str) -> Sequence[Attachment]:
    """The DICOM files of a series; by identifier if its slices have no order.

    :raises OrthancError: UNKNOWN_RESOURCE
    """

    def read(tx: ReadTransaction) -> list[Attachment]:
        rows = tx.descendants(require(tx, ResourceType.SERIES, public_id), ResourceType.INSTANCE)
        ids = {row.public_id: row.internal_id for row in rows}
        order = list(ids)
        try:
            found = ordered_slices(tx.expand(rows, _PARTS))
            order = [instance for instance, _ in found.instances]
        except OrthancError as error:
            if error.code is not ErrorCode.CANNOT_ORDER_SLICES:
                raise
        files = [tx.attachment(ids[instance], ContentType.DICOM) for instance in order]
        return [file for file in files if file is not None]

    return await index.read(read)
