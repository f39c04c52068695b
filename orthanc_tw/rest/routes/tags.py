"""What is inside DICOM files: tags, header, modules, values, and the file itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances, StoredInstance
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.dicom.content import ContentList
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions
from orthanc_tw.dicom.transcoding.transcode import Transcoding
from orthanc_tw.dicom.uids import is_known_transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.fields import known_tags, of_client
from orthanc_tw.rest.files import FileAnswers
from orthanc_tw.rest.http import Body, Route, argument, has_argument, json_body
from orthanc_tw.rest.json_list import SendChunks, json_object
from orthanc_tw.rest.spec import (
    BINARY,
    DICOM,
    FLAG,
    JSON,
    OBJECT,
    Spec,
    array,
    described,
    json_spec,
    map_of,
    one_of,
)
from orthanc_tw.rest.values import SMALL_BYTES, send_value
from orthanc_tw.rest.views import format_of

InThread = Callable[..., Deferred[Any]]
DICOM_MIME = "application/dicom"
DICOM_JSON_MIME = "application/dicom+json"

_FORMAT = {**parts.FORMAT, **parts.IGNORE_LENGTH}
_WHOLE = {"whole": described(FLAG, "Tags after the pixel data too")}
_TAGS = json_spec(OBJECT, query={**_FORMAT, **_WHOLE})
_SIMPLIFIED = json_spec(OBJECT, query={**parts.IGNORE_LENGTH, **_WHOLE})
_SOME = json_spec(OBJECT, query=_FORMAT)
_EVERY = json_spec(map_of(OBJECT), query=_FORMAT)
_NAMES = json_spec(array())
_CONTENT = Spec(content={JSON: array(), "*/*": BINARY})
_FILE = Spec(
    query={**parts.FILENAME, **parts.TRANSCODE},
    headers={"Accept": one_of(DICOM, DICOM_JSON_MIME)},
    content={DICOM: BINARY, DICOM_JSON_MIME: {}},
    statuses=(501,),
)


class TagRoutes:
    """Routes that open DICOM files.

    :param in_thread: runs a blocking function in a thread
    :param levels: levels with routes of their own
    :param transcoder: for downloads in another transfer syntax
    """

    def __init__(
        self,
        instances: Instances,
        documents: Documents,
        files: FileAnswers,
        send_chunks: SendChunks,
        in_thread: InThread,
        levels: Iterable[ResourceType],
        transcoder: FileTranscoder,
    ) -> None:
        self._instances = instances
        self._documents = documents
        self._files = files
        self._send_chunks = send_chunks
        self._in_thread = in_thread
        self._levels = tuple(levels)
        self._transcoder = transcoder

    def routes(self) -> Iterable[Route]:
        """Of instances; then modules and comparisons of each level."""
        one = "/instances/<public_id>"
        yield Route(
            "GET", f"{one}/file", self.get_file, "Download the DICOM file", hot=True, spec=_FILE
        )
        yield Route("GET", f"{one}/tags", self.get_tags, "Get the DICOM tags", hot=True, spec=_TAGS)
        yield Route(
            "GET",
            f"{one}/simplified-tags",
            self.get_simplified,
            "Get the tags by their names",
            spec=_SIMPLIFIED,
        )
        yield Route("GET", f"{one}/header", self.get_header, "Get the meta information", spec=_SOME)
        yield Route("GET", f"{one}/content", self.get_content, "List the tags", spec=_NAMES)
        yield Route(
            "GET", f"{one}/content/<path:path>", self.get_content, "Get a raw value", spec=_CONTENT
        )
        for level in self._levels:
            path = f"/{level.plural}/<public_id>"
            module = partial(self.get_module, level, level)
            yield Route("GET", f"{path}/module", module, "Get the tags of the module", spec=_SOME)
            if level is ResourceType.STUDY:
                patient = partial(self.get_module, level, ResourceType.PATIENT)
                yield Route(
                    "GET",
                    f"{path}/module-patient",
                    patient,
                    "Get the tags of the patient module",
                    spec=_SOME,
                )
            if level is not ResourceType.INSTANCE:
                shared = partial(self.get_shared, level)
                yield Route("GET", f"{path}/shared-tags", shared, "Get the common tags", spec=_SOME)
                every = partial(self.get_every, level)
                yield Route(
                    "GET",
                    f"{path}/instances-tags",
                    every,
                    "Get the tags of all instances",
                    spec=_EVERY,
                )

    def _options(self, request: Request) -> TagOptions:
        names = (request.args or {}).get(b"ignore-length", [])
        return known_tags(
            lambda: self._documents.tag_options(
                self._documents.tag(name.decode("utf-8", "replace")) for name in names
            )
        )

    def get_file(self, request: Request, public_id: str) -> Deferred[None]:
        """The file as it was received, transcoded, or as DICOM JSON (PS3.18 annex F)."""
        instance = self._instances.one(public_id)
        syntax = argument(request, "transcode")
        if syntax is not None:
            if not is_known_transfer_syntax(syntax):
                raise OrthancError(
                    ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown transfer syntax: {syntax}"
                )
            quality = _quality(request)
            order = self._transcoder.to(syntax, quality)
            return Deferred.fromCoroutine(self._send_transcoded(request, instance, order))
        if (request.getHeader("accept") or "").strip() == DICOM_JSON_MIME:
            return Deferred.fromCoroutine(self._send_dicom_json(request, instance))
        filename = argument(request, "filename") or f"{public_id}.dcm"
        return self._files.send(request, instance.file, DICOM_MIME, filename)

    async def _send_transcoded(
        self, request: Request, instance: StoredInstance, order: Transcoding
    ) -> None:
        made = await self._transcoder.attachment(instance.file, order)
        filename = argument(request, "filename") or f"{instance.public_id}.dcm"
        if made is None:
            await self._files.send(request, instance.file, DICOM_MIME, filename)
        else:
            await self._files.send_temporary(request, made.path, DICOM_MIME, filename)

    async def _send_dicom_json(self, request: Request, instance: StoredInstance) -> None:
        pieces, close = await self._documents.dicom_json(instance.file)
        headers = request.responseHeaders
        headers.setRawHeaders(b"content-type", [DICOM_JSON_MIME.encode("ascii")])
        try:
            await self._send_chunks(request, lambda: self._in_thread(_joined, pieces))
        finally:
            close()

    async def get_tags(self, request: Request, public_id: str) -> bytes:
        """Tags in one of the formats, the pixel data left out."""
        instance = self._instances.one(public_id)
        tags = await self._instances.tags(
            instance,
            format_of(request, TagFormat.FULL),
            self._options(request),
            whole=has_argument(request, "whole"),
        )
        return json_body(request, tags)

    async def get_simplified(self, request: Request, public_id: str) -> bytes:
        """Tags by name."""
        instance = self._instances.one(public_id)
        options = self._options(request)
        return json_body(
            request,
            await self._instances.tags(
                instance, TagFormat.SIMPLIFY, options, whole=has_argument(request, "whole")
            ),
        )

    async def get_header(self, request: Request, public_id: str) -> bytes:
        """Group 0002 in one of the formats."""
        instance = self._instances.one(public_id)
        tag_format = format_of(request, TagFormat.FULL)
        options = self._options(request)
        return json_body(request, await self._instances.header(instance, tag_format, options))

    async def get_module(
        self, level: ResourceType, module: ResourceType, request: Request, public_id: str
    ) -> bytes:
        """Tags of the module of a level, out of one of its instances."""
        tag_format = format_of(request, TagFormat.FULL)
        options = self._options(request)
        return json_body(
            request,
            await self._instances.module(level, public_id, module, tag_format, options),
        )

    async def get_shared(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """Tags with the same text in all instances."""
        tag_format = format_of(request, TagFormat.FULL)
        options = self._options(request)
        return json_body(
            request, await self._instances.shared_tags(level, public_id, tag_format, options)
        )

    async def get_every(self, level: ResourceType, request: Request, public_id: str) -> Body:
        """Tags of each instance, by its public identifier."""
        tag_format = format_of(request, TagFormat.FULL)
        options = self._options(request)

        async def entries() -> AsyncIterator[tuple[str, JsonObject]]:
            async for page in self._instances.all_of(level, public_id):
                for instance in page:
                    tags = await self._instances.tags(instance, tag_format, options)
                    yield instance.public_id, tags

        return await json_object(request, entries(), self._send_chunks)

    async def get_content(self, request: Request, public_id: str, path: str = "") -> Body:
        """What is at a path of tags and indices: names to go on with, or bytes."""
        instance = self._instances.one(public_id)
        try:
            found, close = await self._documents.content(instance.file, path.split("/"))
        except OrthancError as error:
            raise of_client(error) from None
        if found is None:
            return bare(request, 404)
        if isinstance(found, ContentList):
            return json_body(request, list(found.names))
        return await send_value(request, found, close, self._send_chunks, self._in_thread)


def _quality(request: Request) -> int | None:
    """``lossy-quality``; as recorded, what is out of range is the end of the range."""
    text = argument(request, "lossy-quality")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f'Expected a Unsigned Int for GET argument "lossy-quality", found: {text}',
        )
    return min(max(int(text[:9]), 1), 100)


def _joined(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, enough of them to be worth a hop between threads."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) >= SMALL_BYTES:
            break
    return bytes(data)
