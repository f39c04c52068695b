"""The remote modalities by symbolic name, as ``/modalities`` changes them.

Source: options ``DicomModalities``, ``DicomModalitiesInDatabase``; topic 40 of the corpus. All
of it is called in the reactor thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from orthanc_tw.index.gateway import Index, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.modalities import RemoteModality

_PROPERTY = "Modalities"
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_log = Logger()


class ModalityRegistry(Mapping[str, RemoteModality]):
    """The modalities that are known now, in the order of their names.

    :param configured: those of the configuration; not looked at if they live in the database
    :param index: where they live (``DicomModalitiesInDatabase``); None: in memory only, so that
        a restart brings back those of the configuration
    """

    def __init__(
        self, configured: Mapping[str, RemoteModality], index: Index | None = None
    ) -> None:
        self._index = index
        # Read when it is first needed: who makes this may have no open database yet.
        self._found: dict[str, RemoteModality] | None = dict(configured) if index is None else None

    def __getitem__(self, name: str) -> RemoteModality:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def require(self, name: str) -> RemoteModality:
        """The modality of that name.

        :raises OrthancError: INEXISTENT_ITEM (404)
        """
        found = self._known.get(name)
        if found is None:
            raise OrthancError(ErrorCode.INEXISTENT_ITEM, f"No modality with symbolic name: {name}")
        return found

    def put(self, name: str, modality: RemoteModality) -> Deferred[None]:
        """Add or replace one; fires when it will survive what it is to survive.

        :raises OrthancError: BAD_FILE_FORMAT for a bad name; READ_ONLY (as a failure)
        """
        if not _NAME.fullmatch(name):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                "Only alphanumeric, dash characters and underscores are allowed in the names of "
                f"modalities/peers, but found: {name}",
            )
        return self._change({name: modality})

    def remove(self, name: str) -> Deferred[None]:
        """Forget one.

        :raises OrthancError: INEXISTENT_ITEM (404); READ_ONLY (as a failure)
        """
        if name not in self._known:
            raise OrthancError(
                ErrorCode.INEXISTENT_ITEM, f"Unknown DICOM modality with symbolic name: {name}"
            )
        return self._change({name: None})

    def _change(self, changes: Mapping[str, RemoteModality | None]) -> Deferred[None]:
        if self._index is None:
            self._found = _changed(self._known, changes)
            return succeed(None)

        def write(tx: WriteTransaction) -> None:
            # What the database holds, and not this object: changes may be under way.
            found = _changed(_parsed(tx.global_property(_PROPERTY)), changes)
            text = json.dumps({name: value.to_json() for name, value in found.items()})
            tx.set_global_property(_PROPERTY, text)

        def written(_: None) -> None:
            # Writes end in the order in which they were asked for.
            self._found = _changed(self._known, changes)

        return self._index.write(write).addCallback(written)

    @property
    def _known(self) -> dict[str, RemoteModality]:
        if self._found is None:
            assert self._index is not None
            self._found = _parsed(self._index.read_now(lambda tx: tx.global_property(_PROPERTY)))
        return self._found


def _changed(
    known: Mapping[str, RemoteModality], changes: Mapping[str, RemoteModality | None]
) -> dict[str, RemoteModality]:
    merged = {**known, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _parsed(text: str | None) -> dict[str, RemoteModality]:
    found = {name: _readable(name, value) for name, value in json.loads(text or "{}").items()}
    return {name: value for name, value in found.items() if value is not None}


def _readable(name: str, value: Any) -> RemoteModality | None:
    """None for one that a later version wrote: it must not hide the others."""
    try:
        return RemoteModality.from_json(value)
    except OrthancError as error:
        _log.error("Modality {name} in the database: {error}", name=name, error=error)
        return None
