"""``/series/{id}/ordered-slices``."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.core.lookup import require
from orthanc_tw.core.slices import OrderedSlices, ordered_slices
from orthanc_tw.index.gateway import ExpandParts, Index, ReadTransaction
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.http import Route, json_body
from orthanc_tw.rest.spec import answer, array, json_spec, one_of

_PARTS = ExpandParts(children=False, metadata=True, attachments=False, labels=False)

_SLICES = json_spec(
    answer(
        {
            "Dicom": array(),
            "Slices": array(),
            "SlicesShort": array({}),
            "Type": one_of("Volume", "Sequence"),
        }
    )
)


class SliceRoutes:
    """Slices of a series in space."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def routes(self) -> Iterable[Route]:
        """The one."""
        path = "/series/<public_id>/ordered-slices"
        yield Route("GET", path, self.get, "Order the slices of a series", spec=_SLICES)

    async def get(self, request: Request, public_id: str) -> bytes:
        """Paths of files and frames in the order of the slices."""

        def read(tx: ReadTransaction) -> OrderedSlices:
            series = require(tx, ResourceType.SERIES, public_id)
            rows = tx.descendants(series, ResourceType.INSTANCE)
            return ordered_slices(tx.expand(rows, _PARTS))

        found = await self._index.read(read)
        return json_body(
            request,
            {
                "Dicom": [f"/instances/{one}/file" for one, _ in found.instances],
                "Slices": [
                    f"/instances/{one}/frames/{frame}"
                    for one, frames in found.instances
                    for frame in range(frames)
                ],
                "SlicesShort": [[one, 0, frames] for one, frames in found.instances],
                "Type": "Volume" if found.is_volume else "Sequence",
            },
        )
