"""Archives and media of resources: ``/studies/{id}/archive``, ``/tools/create-media``...

Reads the request, submits one job, and either answers its id or sends the ZIP: while it
is made (``SynchronousZipStream``), or from the file the job left. Source: recordings
20-jobs-archives and 21-jobs-history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import CancelledError
from twisted.web.server import Request

from orthanc_tw.core.archives.plan import PlanRequest, is_measured_at_once, measure_plan
from orthanc_tw.dicom.transcoding.refusal import refuse_syntax
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.archive import ARCHIVE, MEDIA, MIME, OUTPUT_KEY, archive_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.archive_request import (
    NOT_A_LIST,
    ArchiveRequest,
    from_arguments,
    from_body,
    listed_resources,
)
from orthanc_tw.rest.archive_response import ArchiveResponse
from orthanc_tw.rest.http import Body, Route, argument, has_argument, json_request
from orthanc_tw.rest.spec import (
    BINARY,
    BOOLEAN,
    FLAG,
    INTEGER,
    JSON,
    STRING,
    ZIP,
    Spec,
    described,
    fields,
)
from orthanc_tw.rest.streaming import Streamer, set_filename
from orthanc_tw.rest.submission import (
    raise_if_failed,
    submitted_body,
)

_LEVELS = (ResourceType.PATIENT, ResourceType.STUDY, ResourceType.SERIES)
_FILENAME = "Archive.zip"

_STATUSES = (404, 501, 503)
_FIELDS = {
    **parts.SUBMISSION,
    "Filename": STRING,
    "Transcode": parts.TRANSFER_SYNTAX,
    "LossyQuality": INTEGER,
    "Utf8": described(BOOLEAN, "Names of the entries in UTF-8"),
    "Extended": described(BOOLEAN, "More tags in the DICOMDIR of media"),
}
_ARGUMENTS = {**parts.FILENAME, **parts.TRANSCODE}
_CONTENT = {ZIP: BINARY}
_GET = Spec(query=_ARGUMENTS, content=_CONTENT, statuses=_STATUSES)
_GET_MEDIA = Spec(
    query={**_ARGUMENTS, "extended": described(FLAG, "More tags in the DICOMDIR")},
    content=_CONTENT,
    statuses=_STATUSES,
)
_GET_TOOL = Spec(
    query={**_ARGUMENTS, "resources": described(STRING, "Identifiers, by commas")},
    required=("resources",),
    content=_CONTENT,
    statuses=_STATUSES,
)
_POST = Spec(
    body={JSON: fields(_FIELDS)},
    body_required=True,
    content={ZIP: BINARY, JSON: parts.JOB},
    statuses=_STATUSES,
)
_POST_TOOL = Spec(
    body={JSON: fields({**_FIELDS, **parts.RESOURCES}, ["Resources"])},
    body_required=True,
    content={ZIP: BINARY, JSON: parts.JOB},
    statuses=_STATUSES,
)


@dataclass(frozen=True, slots=True)
class ArchiveRoutesSettings:
    """Options of the configuration.

    :ivar stream: ``SynchronousZipStream``
    :ivar utf8: ``ZipUseUtf8``, the default of ``Utf8`` in a body
    """

    stream: bool = True
    utf8: bool = False


class ArchiveRoutes:
    """See `RouteProvider`."""

    def __init__(
        self,
        index: Index,
        engine: JobsEngine,
        streamer: Streamer,
        settings: ArchiveRoutesSettings,
    ) -> None:
        self._index = index
        self._engine = engine
        self._streamer = streamer
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The routes of patients, studies, series and tools."""
        for level in _LEVELS:
            for name, media in (("archive", False), ("media", True)):
                path = f"/{level.plural}/<public_id>/{name}"
                yield Route(
                    "GET",
                    path,
                    partial(self._get_resource, level, media),
                    f"Download the {name}",
                    spec=_GET_MEDIA if media else _GET,
                )
                yield Route(
                    "POST",
                    path,
                    partial(self._post_resource, level, media),
                    f"Make the {name}",
                    hot=True,
                    spec=_POST,
                )
        for name, media, extended in (
            ("create-archive", False, False),
            ("create-media", True, False),
            ("create-media-extended", True, True),
        ):
            path = f"/tools/{name}"
            yield Route(
                "GET",
                path,
                partial(self._get_tool, media, extended),
                "Download resources",
                spec=_GET_TOOL,
            )
            yield Route(
                "POST",
                path,
                partial(self._post_tool, media, extended),
                "Archive resources",
                spec=_POST_TOOL,
            )

    async def _get_resource(
        self, level: ResourceType, media: bool, request: Request, public_id: str
    ) -> Body:
        wanted = from_arguments(
            request,
            media=media,
            extended=media and has_argument(request, "extended"),
            utf8=self._settings.utf8,
            filename=f"{public_id}.zip",
        )
        plan = PlanRequest((public_id,), level, media=media, utf8=wanted.utf8)
        return await self._answer(request, plan, wanted)

    async def _post_resource(
        self, level: ResourceType, media: bool, request: Request, public_id: str
    ) -> Body:
        wanted = from_body(
            json_request(request),
            media=media,
            extended=False,
            utf8=self._settings.utf8,
            filename=f"{public_id}.zip",
        )
        # as recorded: only here an archive of a series has no folders around that of the series
        base = level if level is ResourceType.SERIES else ResourceType.PATIENT
        plan = PlanRequest((public_id,), level, base, media, wanted.utf8)
        return await self._answer(request, plan, wanted)

    async def _get_tool(self, media: bool, extended: bool, request: Request) -> Body:
        resources = argument(request, "resources")
        if resources is None:
            raise OrthancError(ErrorCode.BAD_REQUEST, "Missing resources argument")
        wanted = from_arguments(
            request,
            media=media,
            extended=extended,
            utf8=self._settings.utf8,
            filename=_FILENAME,
        )
        identifiers = tuple(item.strip() for item in resources.split(",") if item.strip())
        plan = PlanRequest(identifiers, media=media, utf8=wanted.utf8)
        return await self._answer(request, plan, wanted)

    async def _post_tool(self, media: bool, extended: bool, request: Request) -> Body:
        try:
            body = json_request(request)
        except OrthancError as error:
            if error.code is not ErrorCode.BAD_FILE_FORMAT:
                raise
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, NOT_A_LIST) from None
        resources = listed_resources(body)
        wanted = from_body(
            body,
            media=media,
            extended=extended,
            utf8=self._settings.utf8,
            filename=_FILENAME,
        )
        plan = PlanRequest(resources, media=media, utf8=wanted.utf8)
        return await self._answer(request, plan, wanted)

    async def _answer(self, request: Request, plan: PlanRequest, wanted: ArchiveRequest) -> Body:
        if wanted.transcode is not None:
            refuse_syntax(wanted.transcode)
        if is_measured_at_once(plan):
            size = self._index.read_one(lambda tx: measure_plan(tx, plan))
        else:
            size = await self._index.read(lambda tx: measure_plan(tx, plan))
        parameters = archive_parameters(
            plan,
            filename=wanted.filename,
            instances=size.instances,
            size_bytes=size.size_bytes,
            extended=wanted.extended,
            transcode=wanted.transcode,
            lossy_quality=wanted.lossy_quality,
        )
        if request.method == b"HEAD":
            # Without a job: HEAD is safe and cheap (RFC 9110, 9.3.2). The length is not known.
            request.setHeader(b"content-type", ZIP.encode("ascii"))
            set_filename(request, wanted.filename)
            request.finish()
            return None
        kind = MEDIA if wanted.media else ARCHIVE
        if not wanted.options.synchronous:
            job_id = await self._engine.submit(wanted.options.request(kind, parameters))
            return submitted_body(request, job_id)
        if self._settings.stream:
            response = ArchiveResponse(request, wanted.filename)
            job = wanted.options.request(kind, parameters, attachment=response)
            job_id = await self._engine.submit(job)
            if await self._has_succeeded(request, job_id, response):
                response.finish()
            return None
        job_id = await self._engine.submit(wanted.options.request(kind, parameters))
        if not await self._has_succeeded(request, job_id, None):
            return None
        return await self._send_output(request, job_id)

    async def _has_succeeded(
        self, request: Request, job_id: str, response: ArchiveResponse | None
    ) -> bool:
        """Wait until the job has ended; False if the client has gone, which takes its job along.

        :raises OrthancError: what the job failed with
        """
        is_gone = False

        def gone(_reason: object) -> None:
            nonlocal is_gone
            is_gone = True
            if response is not None:
                response.lose()
            self._engine.cancel(job_id)

        request.notifyFinish().addErrback(gone)
        try:
            result = await self._engine.wait(job_id)
        except (CancelledError, OrthancError):
            if not is_gone:
                raise
        if is_gone:
            return False
        raise_if_failed(result)
        return True

    async def _send_output(self, request: Request, job_id: str) -> Body:
        """Send the file of a job, which nobody can ask for again."""
        output = self._engine.output(job_id, OUTPUT_KEY)
        if output is None:
            raise OrthancError(ErrorCode.INEXISTENT_FILE, "The archive was dropped already")
        try:
            await self._streamer.send_path(
                request, output.path, content_type=MIME.encode("ascii"), filename=output.filename
            )
        finally:
            self._engine.delete_output(job_id, OUTPUT_KEY)
        return None
