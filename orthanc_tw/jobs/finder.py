"""Finds jobs for a list: slice by slice, so that many jobs do not hold up the reactor.

What is kept beside the page is one pointer a job where the order is not that of the ids.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from orthanc_tw.jobs.interface import JobKind, TouchesResources
from orthanc_tw.jobs.query import JobOrder, JobPage, JobQuery, Position
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.jobs.registry import JobsRegistry


class ResourceLabels(Protocol):
    """What is known of the labels of resources."""

    def in_use(self) -> Deferred[Collection[str]]:
        """All labels that any resource has."""
        ...

    def having(self, public_ids: Sequence[str], labels: Sequence[str]) -> Deferred[Collection[str]]:
        """Those of some resources that have one of the labels, or an ancestor of which has it."""
        ...


class NoLabels:
    """No resource has any: a `ResourceLabels`."""

    def in_use(self) -> Deferred[Collection[str]]:
        """None."""
        return succeed(())

    def having(self, public_ids: Sequence[str], labels: Sequence[str]) -> Deferred[Collection[str]]:
        """None."""
        return succeed(())


# How many jobs are looked at in one turn of the reactor: a few milliseconds.
_SLICE = 2000
# Of how many resources it is kept whether they have the labels of a query.
_KNOWN = 20_000


class JobFinder:
    """Answers `JobQuery`. Called in the reactor thread.

    :param clock: what turns of the reactor are taken from
    """

    def __init__(
        self,
        registry: JobsRegistry,
        kinds: Mapping[str, JobKind],
        clock: IReactorTime,
        labels: ResourceLabels,
    ) -> None:
        self._registry = registry
        self._kinds = kinds
        self._clock = clock
        self._labels = labels

    async def find(self, query: JobQuery) -> JobPage:
        """The jobs that match.

        :raises ValueError: if ``query.after`` is none of this order
        """
        position = query.order.position(query.after) if query.after else None
        if query.labels:
            used = set(await self._labels.in_use()).intersection(query.labels)
            if not used:
                return JobPage([], None)
            query = replace(query, labels=sorted(used))
        if query.order is JobOrder.ID:
            found = await self._by_id(query, None if position is None else position[1])
        else:
            found = await self._sorted(query, position)
        full = 0 < query.limit < len(found)
        if full:
            del found[query.limit :]
        next_after = query.order.position_text(found[-1]) if full else None
        return JobPage([entry.job_id for entry in found], next_after)

    async def _by_id(self, query: JobQuery, after: str | None) -> list[JobEntry]:
        """One more than the limit, if there are as many."""
        found: list[JobEntry] = []
        known: dict[str, bool] = {}
        while True:
            entries = self._registry.slice(after, _SLICE, descending=query.descending)
            found += await self._matching(query, entries, known)
            if len(entries) < _SLICE or 0 < query.limit < len(found):
                return found
            after = entries[-1].job_id
            await self._next_turn()

    async def _sorted(self, query: JobQuery, position: Position | None) -> list[JobEntry]:
        order, wanted = query.order, query.limit + 1 if query.limit else 0

        def key(entry: JobEntry) -> Position:
            return order.key(entry), entry.job_id

        def is_after(entry: JobEntry) -> bool:
            if position is None:
                return True
            return key(entry) < position if query.descending else key(entry) > position

        best = heapq.nlargest if query.descending else heapq.nsmallest
        runs: list[list[JobEntry]] = []
        known: dict[str, bool] = {}
        for entries in _slices(self._registry.entries()):
            if runs:
                await self._next_turn()
            some = await self._matching(query, [one for one in entries if is_after(one)], known)
            if wanted:
                runs = [best(wanted, chain(*runs, some), key=key)]
            else:
                runs.append(sorted(some, key=key, reverse=query.descending))
        merged = heapq.merge(*runs, key=key, reverse=query.descending)
        found: list[JobEntry] = []
        while some := list(islice(merged, _SLICE)):
            found += some
            if len(some) == _SLICE:
                await self._next_turn()
        return found

    async def _matching(
        self, query: JobQuery, entries: Sequence[JobEntry], known: dict[str, bool]
    ) -> list[JobEntry]:
        """Those that the filters let through; ``known`` is what is known of the labels."""
        states, kinds = query.states, query.kinds
        found = [
            entry
            for entry in entries
            if (not states or entry.state.value in states) and (not kinds or entry.kind in kinds)
        ]
        if not query.labels or not found:
            return found
        touching = {
            name: kind.resources
            for name, kind in self._kinds.items()
            if isinstance(kind, TouchesResources)
        }
        touched = [
            (entry, touching[entry.kind](entry.parameters))
            for entry in found
            if entry.kind in touching
        ]
        asked = dict.fromkeys(chain(*(resources for _, resources in touched)))
        unknown = [public_id for public_id in asked if public_id not in known]
        if len(known) > _KNOWN:
            known.clear()
            unknown = list(asked)
        if unknown:
            labelled = set(await self._labels.having(unknown, list(query.labels)))
            known.update((public_id, public_id in labelled) for public_id in unknown)
        return [entry for entry, resources in touched if any(known[one] for one in resources)]

    def _next_turn(self) -> Deferred[None]:
        return deferLater(self._clock, 0, lambda: None)


def _slices(entries: Sequence[JobEntry]) -> Iterator[Sequence[JobEntry]]:
    for start in range(0, len(entries), _SLICE):
        yield entries[start : start + _SLICE]
