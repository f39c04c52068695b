"""Which instances a job sends, page by page: never all of them in memory, nor in its row.

The place in the list is a resource and the instance after which it goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from orthanc_tw.core.retrieve import TransferInstance, transfer_page
from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.model.resource import Resource

PAGE = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins.

    :ivar resource: index into the resources of the job
    :ivar after: public identifier of the instance that was the last, '' for none
    """

    resource: int = 0
    after: str = ""


Page = Sequence[tuple[TransferInstance, Place]]


def read_page(tx: ReadTransaction, resources: Sequence[Resource], place: Place) -> Page:
    """The next instances, each with the place after it; none when all were read. In a thread.

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


async def all_pages(index: Index, resources: Sequence[Resource]) -> AsyncIterator[Page]:
    """One page after another, from the first on. Reactor thread."""
    place = Place()
    while page := await index.read(partial(read_page, resources=resources, place=place)):
        yield page
        place = page[-1][1]
