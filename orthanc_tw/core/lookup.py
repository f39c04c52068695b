"""Look-ups that fail as the REST API says."""

from __future__ import annotations

from orthanc_tw.index.gateway import ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType


def require(tx: ReadTransaction, level: ResourceType, public_id: str) -> ResourceRow:
    """The resource of that level and public identifier.

    :raises OrthancError: UNKNOWN_RESOURCE if there is none
    """
    row = tx.lookup(public_id, level)
    if row is None:
        raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
    return row


def ancestor(tx: ReadTransaction, row: ResourceRow, level: ResourceType) -> ResourceRow:
    """The resource of ``level`` above ``row``, or ``row`` itself.

    :raises OrthancError: UNKNOWN_RESOURCE if ``level`` is below ``row``
    """
    if row.level is level:
        return row
    for candidate in tx.ancestors(row):
        if candidate.level is level:
            return candidate
    raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
