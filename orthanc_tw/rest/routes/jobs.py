"""``/jobs``: what the jobs are doing, steering them, and the files they leave.

Source: topics 20 and 21 of the corpus. Beyond Orthanc: the list takes ``state``, ``type``
(comma-separated), ``after`` and ``limit``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.http import (
    Body,
    Route,
    argument,
    empty_json,
    has_argument,
    json_body,
    text_body,
)

#: ``send_file(request, path, content_type, filename)``: streams a file, sets its headers,
#: finishes the request; fires when that is done.
SendFile = Callable[[Request, str, str, str], Awaitable[None]]

_STATES = {state.value for state in JobState}


class JobsRoutes:
    """The routes of ``/jobs``.

    :param engine: the jobs
    :param send_file: streams the output of a job
    """

    def __init__(self, engine: JobsEngine, send_file: SendFile) -> None:
        self._engine = engine
        self._send_file = send_file

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        engine = self._engine
        yield Route("GET", "/jobs", self._list, "List jobs")
        yield Route("GET", "/jobs/<job_id>", self._get, "Get job", hot=True)
        yield Route("DELETE", "/jobs/<job_id>", self._delete, "Remove an ended job")
        for name, action, summary in (
            ("pause", engine.pause, "Pause job"),
            ("resume", engine.resume, "Resume job"),
            ("cancel", engine.cancel, "Cancel job"),
            ("resubmit", engine.resubmit, "Resubmit job"),
        ):
            yield Route("POST", f"/jobs/<job_id>/{name}", self._steering(action), summary)
        yield Route("GET", "/jobs/<job_id>/<key>", self._output, "Get job output")
        yield Route("DELETE", "/jobs/<job_id>/<key>", self._delete_output, "Delete job output")

    def _list(self, request: Request) -> bytes:
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
        described = [self._engine.describe(job_id) for job_id in found]
        return json_body(request, [job for job in described if job is not None])

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
        await self._send_file(request, output.path, output.mime, output.filename)
        return None

    async def _delete_output(self, request: Request, job_id: str, key: str) -> bytes:
        if not await self._engine.delete_output(job_id, key):
            raise _no_output(key)
        return text_body(request, "")


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
