"""Which instances a job sends, page by page: never all of them in memory, nor in its row.

The place in the list is a resource and the instance after which it goes on. Called in threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.core.retrieve import TransferInstance, transfer_page
from orthanc_tw.index.gateway import ReadTransaction
from orthanc_tw.model.levels import ResourceType

PAGE = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins.

    :ivar resource: index into the resources of the job
    :ivar after: public identifier of the instance that was the last, '' for none
    """

    resource: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a job."""

    public_id: str
    level: ResourceType


def read_page(
    tx: ReadTransaction, resources: Sequence[Resource], place: Place
) -> Sequence[tuple[TransferInstance, Place]]:
    """The next instances, each with the place after it; none when all were read.

    A resource that is gone has none.
    """
    index, after = place.resource, place.after
    while index < len(resources):
        resource = resources[index]
        row = tx.lookup(resource.public_id, resource.level)
        if row is not None:
            page = transfer_page(tx, row, after=after or None, limit=PAGE)
            if page:
                return [(instance, Place(index, instance.public_id)) for instance in page]
        index, after = index + 1, ""
    return []
