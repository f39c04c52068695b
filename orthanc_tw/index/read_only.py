"""The database of a server that was started with ``ReadOnly``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from orthanc_tw.index.gateway import Index, ReadTransaction, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError

T = TypeVar("T")


class ReadOnlyIndex:
    """Reads of another index; every write is refused. Source: topic 04 of the corpus.

    :param index: the database, which jobs go on writing their own rows to
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def write(self, fn: Callable[[WriteTransaction], T]) -> Deferred[T]:
        """Fails with READ_ONLY; ``fn`` does not run."""
        return fail(_refusal())

    def submit(
        self, fn: Callable[[WriteTransaction], T], ended: Callable[[T | Failure], object]
    ) -> None:
        """Nothing gets here: a server that reads only has no route that stores."""
        raise _refusal()

    def read(self, fn: Callable[[ReadTransaction], T]) -> Deferred[T]:
        """As of the other index."""
        return self._index.read(fn)

    def read_now(self, fn: Callable[[ReadTransaction], T]) -> T:
        """As of the other index."""
        return self._index.read_now(fn)

    def read_in_thread(self, fn: Callable[[ReadTransaction], T]) -> T:
        """As of the other index."""
        return self._index.read_in_thread(fn)

    def read_one(self, fn: Callable[[ReadTransaction], T]) -> T:
        """As of the other index."""
        return self._index.read_one(fn)

    def close(self) -> Deferred[None]:
        """As of the other index."""
        return self._index.close()


def _refusal() -> OrthancError:
    return OrthancError(
        ErrorCode.READ_ONLY,
        "The DB is trying to execute a ReadWrite transaction while Orthanc has been "
        "started in ReadOnly mode.",
    )
