"""What follows when all results are durable: labels, tags of what was kept, end of the sources.

Each of these may be done twice. Called in the reactor thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.defer import Deferred

from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.modification.instances import Ids
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.index.gateway import Index, WriteTransaction
from orthanc_tw.model.levels import ResourceType

Pair = tuple[ResourceType, str, str]


class Aftermath:
    """The last steps of a modification.

    :param per_transaction: resources handled at once
    """

    def __init__(
        self,
        index: Index,
        deleter: ResourceDeleter,
        reconstructor: Reconstructor,
        *,
        per_transaction: int = 200,
    ) -> None:
        self._index = index
        self._deleter = deleter
        self._reconstructor = reconstructor
        self.per_transaction = per_transaction

    def copy_labels(self, pairs: Sequence[Pair]) -> Deferred[None]:
        """Give results the labels of their sources."""

        def write(tx: WriteTransaction) -> None:
            for level, source, result in pairs:
                old, new = tx.lookup(source, level), tx.lookup(result, level)
                if old is not None and new is not None:
                    for label in tx.labels(old.internal_id):
                        tx.add_label(new.internal_id, label)

        return self._index.write(write)

    async def refresh(self, instance: str, resources: Sequence[tuple[ResourceType, str]]) -> None:
        """Give resources that were there before the tags that a result below them has.

        As Orthanc does: of a patient, study or series the last modification has the last word.
        """
        await self._reconstructor.from_instance(instance, resources)

    def remove_sources(self, files: Sequence[tuple[str, str]]) -> Deferred[None]:
        """Delete instances, each if its file is still the one that was read.

        :param files: public identifiers and storage UUIDs
        """
        return self._deleter.delete_instances(files)


def pairs(results: Iterable[tuple[Ids, Ids]]) -> list[Pair]:
    """The sources and results of all levels, each once; without what is its own source."""
    found = {
        (level, source, result)
        for sources, modified in results
        for level, source, result in zip(ResourceType, sources, modified, strict=True)
        if source != result
    }
    return sorted(found)


def shared_parents(
    results: Iterable[tuple[Ids, Ids]],
) -> dict[str, list[tuple[ResourceType, str]]]:
    """Resources that sources and results have in common, by the first result below each."""
    found: dict[tuple[ResourceType, str], str] = {}
    for sources, modified in results:
        for level in (ResourceType.PATIENT, ResourceType.STUDY, ResourceType.SERIES):
            if sources[level - 1] == modified[level - 1]:
                found.setdefault((level, modified[level - 1]), modified[3])
    by_instance: dict[str, list[tuple[ResourceType, str]]] = {}
    for resource, instance in found.items():
        by_instance.setdefault(instance, []).append(resource)
    return by_instance
