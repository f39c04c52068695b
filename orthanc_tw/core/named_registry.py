"""What is known by symbolic names, as the REST API changes it: modalities, peers.

In memory, or in a global property of the database. All of it is called in the reactor thread.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from orthanc_tw.index.gateway import Index, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_log = Logger()


class NamedRegistry(Mapping[str, T], Generic[T]):
    """What is known now, in the order of names. A subclass says of what.

    :param configured: those of the configuration; not looked at if they live in the database
    :param index: where they live; None: in memory only, so that a restart brings back those of
        the configuration
    :cvar noun: for the log
    :cvar property_name: global property that holds them
    """

    noun: ClassVar[str]
    property_name: ClassVar[str]

    def __init__(self, configured: Mapping[str, T], index: Index | None = None) -> None:
        self._index = index
        # Read when it is first needed: who makes this may have no open database yet.
        self._found: dict[str, T] | None = dict(configured) if index is None else None

    def __getitem__(self, name: str) -> T:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def require(self, name: str) -> T:
        """What has that name.

        :raises OrthancError: as `missing` says
        """
        found = self._known.get(name)
        if found is None:
            raise self.missing(name)
        return found

    @abstractmethod
    def parsed(self, name: str, value: Any) -> T:
        """Of a name and what `saved` made.

        :raises OrthancError: it cannot be read
        """

    @abstractmethod
    def saved(self, value: T) -> JsonObject:
        """What is kept in the database."""

    @abstractmethod
    def missing(self, name: str) -> OrthancError:
        """The error for a name that is not known."""

    @abstractmethod
    def missing_to_remove(self, name: str) -> OrthancError:
        """The error for a name that is not known, and was to be forgotten."""

    def put(self, name: str, value: T) -> Deferred[None]:
        """Add or replace one; fires when it will survive what it is to survive.

        :raises OrthancError: BAD_FILE_FORMAT for a bad name; READ_ONLY (as a failure)
        """
        if not _NAME.fullmatch(name):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                "Only alphanumeric, dash characters and underscores are allowed in the names of "
                f"modalities/peers, but found: {name}",
            )
        return self._change({name: value})

    def remove(self, name: str) -> Deferred[None]:
        """Forget one.

        :raises OrthancError: INEXISTENT_ITEM (404); READ_ONLY (as a failure)
        """
        if name not in self._known:
            raise self.missing_to_remove(name)
        return self._change({name: None})

    def _change(self, changes: Mapping[str, T | None]) -> Deferred[None]:
        if self._index is None:
            self._found = _changed(self._known, changes)
            return succeed(None)

        def write(tx: WriteTransaction) -> None:
            # What the database holds, and not this object: changes may be under way.
            found = _changed(self._all(tx.global_property(self.property_name)), changes)
            text = json.dumps({name: self.saved(value) for name, value in found.items()})
            tx.set_global_property(self.property_name, text)

        def written(_: None) -> None:
            # Writes end in the order in which they were asked for.
            self._found = _changed(self._known, changes)

        return self._index.write(write).addCallback(written)

    @property
    def _known(self) -> dict[str, T]:
        if self._found is None:
            assert self._index is not None
            self._found = self._all(
                self._index.read_now(lambda tx: tx.global_property(self.property_name))
            )
        return self._found

    def _all(self, text: str | None) -> dict[str, T]:
        found = {name: self._read(name, value) for name, value in json.loads(text or "{}").items()}
        return {name: value for name, value in found.items() if value is not None}

    def _read(self, name: str, value: Any) -> T | None:
        """None for one that a later version wrote: it must not hide the others."""
        try:
            return self.parsed(name, value)
        except OrthancError as error:
            _log.error(
                "{noun} {name} in the database: {error}", noun=self.noun, name=name, error=error
            )
            return None


def _changed(known: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    merged = {**known, **changes}
    return {name: value for name, value in merged.items() if value is not None}
