"""Tells retrievals what arrives on their behalf: what `InstanceStore` has stored, by its origin."""

from __future__ import annotations

from collections.abc import Callable

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import InstanceStore, StoreResult
from orthanc_tw.model.registries import RequestOrigin


class StoreArrivals:
    """See `orthanc_tw.jobs.kinds.retrieve.Arrivals`. Reactor thread."""

    def __init__(self, store: InstanceStore) -> None:
        self._store = store

    def listen_move(
        self, remote_aet: str, originator_aet: str, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        """Tell of each instance that a modality sends for a C-MOVE: it names who asked for it.

        Source: PS3.7 9.3.1.
        """

        def stored(origin: StoreOrigin, result: StoreResult) -> None:
            if (
                origin.origin is RequestOrigin.DICOM_PROTOCOL
                and origin.remote_aet == remote_aet
                and origin.move_originator_aet == originator_aet
                and not origin.association_id
            ):
                arrived(result.instance)

        return self._store.watch(stored)

    def listen_get(
        self, association_id: int, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        """Tell of each instance that comes over an association that this server has opened."""

        def stored(origin: StoreOrigin, result: StoreResult) -> None:
            if origin.association_id == association_id:
                arrived(result.instance)

        return self._store.watch(stored)
