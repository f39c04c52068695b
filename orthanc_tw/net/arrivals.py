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

    def listen(
        self, *, remote_aet: str, originator_aet: str | None, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        """Tell of each instance that comes from a modality on our behalf.

        An instance that came by C-MOVE names its originator (PS3.7 9.3.1); one that came by
        C-GET arrives over an association that this server has opened.
        """

        def stored(origin: StoreOrigin, result: StoreResult) -> None:
            if (
                origin.origin is RequestOrigin.DICOM_PROTOCOL
                and origin.remote_aet == remote_aet
                and origin.move_originator_aet == (originator_aet or "")
                and origin.is_retrieved == (originator_aet is None)
            ):
                arrived(result.instance)

        return self._store.watch(stored)
