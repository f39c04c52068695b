"""A C-GET in as many associations as its instances need presentation contexts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.values import Reply

#: The presentation contexts of the associations, for what has the given SOP classes (none: all).
StorageRounds = Callable[[Sequence[str]], Iterable[Sequence[Proposal]]]


async def get_in_rounds(
    get: Callable[[Sequence[Proposal]], Awaitable[Reply]],
    rounds: StorageRounds,
    sop_classes: Callable[[], Awaitable[Sequence[str]]],
    received: Callable[[], int],
) -> Reply:
    """Retrieve, and again with other contexts what could not be sent. Reactor thread.

    The counters of the first response (PS3.7 9.3.3.2) say how many instances there are: once so
    many have come, that is success, whichever association they came over.

    :param get: runs the C-GET over an association with these contexts for storage
    :param sop_classes: finds out of which ones the instances are, empty if the peer does not tell;
        asked only if the first association was not enough
    :param received: how many instances have come so far, each counted once
    :returns: the first response, as success if all has come in the end
    """
    first: Reply | None = None
    expected = 0
    async for proposals in _narrowed(rounds, sop_classes):
        reply = await get(proposals)
        if first is None:
            first = reply
            expected = sum(count or 0 for count in (reply.completed, reply.failed, reply.warning))
            if not reply.failed:
                return reply
        if received() >= expected:
            return replace(first, status=0, completed=expected, failed=0, warning=0, dataset=None)
    assert first is not None
    return first


async def _narrowed(
    rounds: StorageRounds, sop_classes: Callable[[], Awaitable[Sequence[str]]]
) -> AsyncIterator[Sequence[Proposal]]:
    all_rounds = iter(rounds(()))
    yield next(all_rounds)
    try:
        known = await sop_classes()
    except OrthancError:
        # a peer may well refuse to be queried
        known = ()
    for proposals in rounds(known) if known else all_rounds:
        yield proposals
