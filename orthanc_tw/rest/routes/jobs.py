"""``/jobs``: what the jobs are doing, and steering them.

Source: topics 20 and 21 of the corpus. Beyond Orthanc: the list takes filters, an order and
pages, see `orthanc_tw.rest.job_query`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.http import (
    Body,
    Route,
    empty_json,
    has_argument,
    json_body,
    text_body,
)
from orthanc_tw.rest.job_loading import once_loaded
from orthanc_tw.rest.job_query import parse_job_query, set_next_page
from orthanc_tw.rest.json_list import json_list
from orthanc_tw.rest.spec import (
    FLAG,
    INTEGER,
    NATURAL,
    OBJECT,
    STRING,
    array,
    described,
    fields,
    json_spec,
    one_of,
    text_spec,
)
from orthanc_tw.rest.streaming import Streamer

# How many jobs are described in one turn of the reactor.
JOBS_A_CHUNK = 50
IDS_A_CHUNK = 1000

_JOB = fields(
    {
        "ID": STRING,
        "Type": STRING,
        "State": one_of(*sorted(state.value for state in JobState)),
        "Priority": INTEGER,
        "Progress": INTEGER,
        "ErrorCode": INTEGER,
        "ErrorDescription": STRING,
        "Content": {},
    },
    ["ID", "Type", "State", "Priority", "Progress", "ErrorCode"],
)
_LIST = json_spec(
    array({"oneOf": [STRING, _JOB]}),
    query={
        "expand": described(FLAG, "Jobs, not only identifiers"),
        "state": described(STRING, "States, by commas"),
        "type": described(STRING, "Types, by commas"),
        "label": described(STRING, "Labels of a resource, by commas"),
        "sort": described(STRING, "What to sort by; - before it turns it round"),
        "after": described(STRING, "Where the page before ended"),
        "limit": described(NATURAL, "Most jobs"),
    },
)
_ONE = json_spec(_JOB)
_STEERED = json_spec(OBJECT, bare=(400,))
_EMPTY = text_spec()


class JobsRoutes:
    """The routes of ``/jobs``.

    :param engine: the jobs
    :param streamer: sends long lists
    """

    def __init__(self, engine: JobsEngine, streamer: Streamer) -> None:
        self._engine = engine
        self._streamer = streamer

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        return once_loaded(self._engine, self._routes())

    def _routes(self) -> Iterable[Route]:
        engine = self._engine
        yield Route("GET", "/jobs", self._list, "List jobs", spec=_LIST)
        yield Route("GET", "/jobs/<job_id>", self._get, "Get job", hot=True, spec=_ONE)
        yield Route("DELETE", "/jobs/<job_id>", self._delete, "Remove an ended job", spec=_EMPTY)
        for name, action, summary in (
            ("pause", engine.pause, "Pause job"),
            ("resume", engine.resume, "Resume job"),
            ("cancel", engine.cancel, "Cancel job"),
            ("resubmit", engine.resubmit, "Resubmit job"),
        ):
            yield Route(
                "POST", f"/jobs/<job_id>/{name}", self._steering(action), summary, spec=_STEERED
            )

    async def _list(self, request: Request) -> Body:
        page = await self._engine.find(parse_job_query(request))
        set_next_page(request, page.next_after)
        if has_argument(request, "expand"):
            pages = _pages(page.job_ids, JOBS_A_CHUNK, self._described)
        else:
            pages = _pages(page.job_ids, IDS_A_CHUNK, list)
        return await json_list(request, pages, self._streamer.send_chunks)

    def _described(self, job_ids: Sequence[str]) -> list[JsonValue]:
        """Those that are gone meanwhile are left out."""
        described = [self._engine.describe(job_id) for job_id in job_ids]
        return [job for job in described if job is not None]

    def _get(self, request: Request, job_id: str) -> bytes:
        job = self._engine.describe(job_id)
        if job is None:
            raise BareError(404)
        return json_body(request, job)

    async def _delete(self, request: Request, job_id: str) -> bytes:
        if not await self._engine.delete(job_id):
            raise OrthancError(
                ErrorCode.INEXISTENT_ITEM, f"No job found with this id: {job_id}", http_status=404
            )
        return text_body(request, "")

    def _steering(
        self, action: Callable[[str], Deferred[bool]]
    ) -> Callable[[Request, str], Awaitable[bytes]]:
        async def steer(request: Request, job_id: str) -> bytes:
            if not await action(job_id):
                raise BareError(400)
            return empty_json(request)

        return steer


async def _pages(
    job_ids: Sequence[str], size: int, shown: Callable[[Sequence[str]], list[JsonValue]]
) -> AsyncIterator[Sequence[JsonValue]]:
    for start in range(0, len(job_ids), size):
        yield shown(job_ids[start : start + size])
