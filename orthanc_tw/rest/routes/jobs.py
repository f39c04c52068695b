"""``/jobs``: what the jobs are doing, steering them, and the files they leave.

Source: topics 20 and 21 of the corpus. Beyond Orthanc: the list takes ``state``, ``type``
(comma-separated), ``after`` and ``limit``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.http import (
    JSON_TYPE,
    Body,
    Route,
    argument,
    empty_json,
    has_argument,
    json_body,
    text_body,
)
from orthanc_tw.rest.spec import (
    BINARY,
    FLAG,
    INTEGER,
    NATURAL,
    OBJECT,
    STRING,
    Spec,
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

_STATES = {state.value for state in JobState}

_JOB = fields(
    {
        "ID": STRING,
        "Type": STRING,
        "State": one_of(*sorted(_STATES)),
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
        "after": described(STRING, "The last job of the page before"),
        "limit": described(NATURAL, "Most jobs"),
    },
)
_ONE = json_spec(_JOB)
_STEERED = json_spec(OBJECT, bare=(400,))
_OUTPUT = Spec(content={"*/*": BINARY})
_EMPTY = text_spec()


class JobsRoutes:
    """The routes of ``/jobs``.

    :param engine: the jobs
    :param streamer: sends the outputs of jobs, and long lists
    """

    def __init__(self, engine: JobsEngine, streamer: Streamer) -> None:
        self._engine = engine
        self._streamer = streamer

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
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
        yield Route("GET", "/jobs/<job_id>/<key>", self._output, "Get job output", spec=_OUTPUT)
        yield Route(
            "DELETE", "/jobs/<job_id>/<key>", self._delete_output, "Delete job output", spec=_EMPTY
        )

    async def _list(self, request: Request) -> Body:
        states = _words(request, "state")
        unknown = set(states) - _STATES
        if unknown:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown state of job: {min(unknown)}"
            )
        found = self._engine.find_ids(
            states=states,
            kinds=_words(request, "type"),
            after=argument(request, "after") or "",
            limit=_limit(request),
        )
        if not has_argument(request, "expand"):
            return json_body(request, found)
        if len(found) <= JOBS_A_CHUNK:
            return json_body(request, self._described(found))
        request.setHeader(b"content-type", JSON_TYPE)
        await self._streamer.send_chunks(request, _Chunks(found, self._described).next_chunk)
        return None

    def _described(self, job_ids: Sequence[str]) -> list[JsonObject]:
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

    async def _output(self, request: Request, job_id: str, key: str) -> Body:
        output = self._engine.output(job_id, key)
        if output is None:
            raise _no_output(key)
        await self._streamer.send_path(
            request,
            output.path,
            content_type=output.mime.encode("latin-1", "replace"),
            filename=output.filename,
        )
        return None

    async def _delete_output(self, request: Request, job_id: str, key: str) -> bytes:
        if not await self._engine.delete_output(job_id, key):
            raise _no_output(key)
        return text_body(request, "")


class _Chunks:
    """A long list as text, some jobs at a time; jobs that are gone meanwhile are left out."""

    def __init__(
        self, job_ids: Sequence[str], describe: Callable[[Sequence[str]], list[JsonObject]]
    ) -> None:
        self._job_ids = job_ids
        self._describe = describe
        self._before = b"["
        self._at: int | None = 0

    def next_chunk(self) -> bytes:
        """The next part; b"" at the end."""
        if self._at is None:
            return b""
        text = b""
        while not text and self._at < len(self._job_ids):
            jobs = self._describe(self._job_ids[self._at : self._at + JOBS_A_CHUNK])
            self._at += JOBS_A_CHUNK
            text = ",".join(
                json.dumps(job, sort_keys=True, ensure_ascii=False) for job in jobs
            ).encode("utf-8", "replace")
        if text:
            text, self._before = self._before + b"\n" + text, b","
            return text
        self._at = None
        return (b"[" if self._before == b"[" else b"") + b"\n]\n"


def _no_output(key: str) -> OrthancError:
    return OrthancError(
        ErrorCode.INEXISTENT_ITEM, f"Job has no such output: {key}", http_status=404
    )


def _words(request: Request, name: str) -> list[str]:
    return [word for word in (argument(request, name) or "").split(",") if word]


def _limit(request: Request) -> int:
    text = argument(request, "limit")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, "A number is expected in the argument: limit"
        )
    return int(text)
