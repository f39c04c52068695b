"""The queries that were made, with their answers, for ``/queries``. In memory, and bounded.

Source: option ``QueryRetrieveSize``; topic 41 of the corpus. Called in the reactor thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.attributes import Attributes
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.values import Dataset


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """A query and what was answered.

    :ivar modality_name: symbolic name
    :ivar modality: as it was when it was asked, with the local AE title of the query
    :ivar query: as the client gave it
    :ivar timeout_s: as the client gave it, None for the modality's
    """

    modality_name: str
    modality: RemoteModality
    level: ResourceType
    query: Attributes
    answers: Sequence[Dataset]
    timeout_s: int | None = None

    def answer(self, index: int) -> Dataset:
        """One answer.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE (400)
        """
        if not 0 <= index < len(self.answers):
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        return self.answers[index]


class QueryStore:
    """Queries by identifier; the one that was used least recently gives way.

    :param capacity: ``QueryRetrieveSize``
    :param new_id: random UUIDs in their usual text form
    """

    def __init__(self, capacity: int, new_id: Callable[[], str]) -> None:
        self._capacity = capacity
        self._new_id = new_id
        self._queries: OrderedDict[str, StoredQuery] = OrderedDict()

    def ids(self) -> list[str]:
        """Identifiers, sorted."""
        return sorted(self._queries)

    def add(self, query: StoredQuery) -> str:
        """Keep a query; returns its identifier."""
        identifier = self._new_id()
        self._queries[identifier] = query
        while len(self._queries) > self._capacity:
            self._queries.popitem(last=False)
        return identifier

    def get(self, identifier: str) -> StoredQuery:
        """A query, which counts as used.

        :raises OrthancError: UNKNOWN_RESOURCE (404)
        """
        found = self._queries.get(identifier)
        if found is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        self._queries.move_to_end(identifier)
        return found

    def remove(self, identifier: str) -> None:
        """Forget a query; one that is not there is no error."""
        self._queries.pop(identifier, None)
