"""What a job leaves: its files, ``/jobs/{id}/{key}``, and the instances it failed at.

Source: topic 20 of the corpus. Beyond Orthanc: ``Range`` and ``ETag`` (RFC 9110), and
``/jobs/{id}/failed-instances``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.errors import BareError, set_status
from orthanc_tw.rest.http import Route, json_body, text_body
from orthanc_tw.rest.job_loading import once_loaded
from orthanc_tw.rest.ranges import standard_range
from orthanc_tw.rest.spec import BINARY, STRING, Spec, answer, array, json_spec, text_spec
from orthanc_tw.rest.streaming import Streamer, set_filename

_FAILED = json_spec(array(answer({"ID": STRING, "Reason": STRING})), bare=(404,))
_OUTPUT = Spec(content={"*/*": BINARY}, statuses=(206, 304, 416), bare=(304, 416))
_EMPTY = text_spec()


class JobOutputRoutes:
    """The routes below a job that has ended.

    :param engine: the jobs
    :param streamer: sends their files
    """

    def __init__(self, engine: JobsEngine, streamer: Streamer) -> None:
        self._engine = engine
        self._streamer = streamer

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        return once_loaded(self._engine, self._routes())

    def _routes(self) -> Iterable[Route]:
        for method, path, handler, summary, spec in (
            ("GET", "failed-instances", self._failed, "List failed instances of job", _FAILED),
            ("GET", "<key>", self._get, "Get job output", _OUTPUT),
            ("DELETE", "<key>", self._delete, "Delete job output", _EMPTY),
        ):
            yield Route(method, f"/jobs/<job_id>/{path}", handler, summary, spec=spec)

    def _failed(self, request: Request, job_id: str) -> bytes:
        failed = self._engine.failed_instances(job_id)
        if failed is None:
            raise BareError(404)
        return json_body(request, [{"ID": one, "Reason": reason} for one, reason in failed.items()])

    def _get(self, request: Request, job_id: str, key: str) -> bytes | Deferred[None]:
        output = self._engine.output(job_id, key)
        if output is None:
            raise _no_output(key)
        try:
            file = open(output.path, "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            raise OrthancError(ErrorCode.INEXISTENT_FILE) from None
        status = os.fstat(file.fileno())
        # A file is never changed once its job has ended; that of another run has another time.
        tag = b'"%x-%x"' % (status.st_mtime_ns, status.st_size)
        request.setHeader(b"etag", tag)
        request.setHeader(b"accept-ranges", b"bytes")
        if _names(request, b"if-none-match", tag):
            file.close()
            set_status(request, 304)
            return b""
        try:
            wanted = standard_range(request, status.st_size, tag)
        except OrthancError:
            file.close()
            raise
        set_filename(request, output.filename)
        return self._streamer.send_file(
            request,
            file,
            status.st_size,
            content_type=output.mime.encode("latin-1", "replace"),
            wanted=wanted,
        )

    async def _delete(self, request: Request, job_id: str, key: str) -> bytes:
        if not await self._engine.delete_output(job_id, key):
            raise _no_output(key)
        return text_body(request, "")


def _names(request: Request, header: bytes, tag: bytes) -> bool:
    """Whether a list of entity tags has ``tag`` (weak comparison, RFC 9110, 8.8.3.2), or ``*``."""
    for value in request.requestHeaders.getRawHeaders(header) or ():
        for item in value.split(b","):
            if item.strip().removeprefix(b"W/") in (tag, b"*"):
                return True
    return False


def _no_output(key: str) -> OrthancError:
    return OrthancError(
        ErrorCode.INEXISTENT_ITEM, f"Job has no such output: {key}", http_status=404
    )
