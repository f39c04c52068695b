"""``/exports``: what was sent to modalities and peers."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.index.gateway import Export, ExportsPage, Index
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.answers import empty_text, resource_path
from orthanc_tw.rest.http import Route, has_argument, integer_argument, json_body
from orthanc_tw.rest.spec import (
    BOOLEAN,
    FLAG,
    INTEGER,
    array,
    described,
    fields,
    json_spec,
    text_spec,
)

_EXPORTS = json_spec(
    fields({"Exports": array({}), "Done": BOOLEAN, "Last": INTEGER}),
    query={
        "since": described(INTEGER, "Number after which to begin"),
        "limit": described(INTEGER, "Most entries"),
        "last": described(FLAG, "The last entry only"),
    },
)
_CLEAR = text_spec()

DEFAULT_LIMIT = 100
MAXIMUM_LIMIT = 1000


def export_json(export: Export) -> JsonObject:
    """One entry of ``Exports``; identifiers that the resource does not have are left out."""
    answer: JsonObject = {
        "Date": export.date,
        "ID": export.public_id,
        "Path": resource_path(export.level, export.public_id),
        "PatientID": export.patient_id,
        "RemoteModality": export.remote_modality,
        "ResourceType": export.level.label,
        "Seq": export.seq,
    }
    for name, value in (
        ("StudyInstanceUID", export.study_instance_uid),
        ("SeriesInstanceUID", export.series_instance_uid),
        ("SOPInstanceUID", export.sop_instance_uid),
    ):
        if value:
            answer[name] = value
    return answer


def page_json(page: ExportsPage, since: int) -> JsonObject:
    """An answer of ``/exports``; an empty one ends where the client asked it to begin."""
    answer: JsonObject = {
        "Done": page.done,
        "Exports": [export_json(export) for export in page.exports],
        "Last": page.exports[-1].seq if page.exports else since,
    }
    if page.exports:
        answer["First"] = page.exports[0].seq
    return answer


class ExportRoutes:
    """The log of exports."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def routes(self) -> Iterable[Route]:
        """Read and clear."""
        yield Route("GET", "/exports", self.get_exports, "List the exports", spec=_EXPORTS)
        yield Route("DELETE", "/exports", self.delete_exports, "Clear the exports", spec=_CLEAR)

    async def get_exports(self, request: Request) -> bytes:
        """A page of exports: ``since``, ``limit``, or the ``last`` one.

        ``Last`` of a page is the ``since`` of the next one, until ``Done``.
        """
        if has_argument(request, "last"):
            last = await self._index.read(lambda tx: tx.last_export())
            return json_body(request, page_json(ExportsPage([last] if last else [], True), 0))
        since = max(integer_argument(request, "since") or 0, 0)
        limit = integer_argument(request, "limit")
        limit = DEFAULT_LIMIT if limit is None else min(limit, MAXIMUM_LIMIT)
        if limit <= 0:
            # As Orthanc: nothing was asked for, and there may be more.
            return json_body(request, page_json(ExportsPage((), limit != 0), since))
        page = await self._index.read(lambda tx: tx.exports(since=since, limit=limit))
        return json_body(request, page_json(page, since))

    async def delete_exports(self, request: Request) -> bytes:
        """Forget all exports; their numbers are not given again."""
        await self._index.write(lambda tx: tx.clear_exports())
        return empty_text(request)
