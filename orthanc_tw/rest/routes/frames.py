"""``/instances/{id}/frames``, frames as they are stored, and as numbers for NumPy and Matlab.

Source: topics 30 and 31 of the corpus.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.images.frames import Frames, InThread
from orthanc_tw.core.images.series import slices_of_series
from orthanc_tw.core.instances import Instances
from orthanc_tw.dicom.images.arrays import DEEP_COLOURS
from orthanc_tw.dicom.images.image_file import NO_PIXELS
from orthanc_tw.dicom.images.rendering import NOT_FOR_IT
from orthanc_tw.index.gateway import Attachment, Index
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.http import Body, Route, argument, has_argument, json_body
from orthanc_tw.rest.json_list import json_list
from orthanc_tw.rest.routes.pictures import OPERATIONS
from orthanc_tw.rest.spec import (
    BINARY,
    BYTES,
    INTEGER,
    STRING,
    TEXT,
    Schema,
    Spec,
    array,
    described,
    json_spec,
    one_of,
)
from orthanc_tw.rest.streaming import Streamer

_CHILDREN = sorted((*OPERATIONS, "matlab", "numpy", "raw", "raw.gz"))
_PER_PAGE = 1000
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)

_YES_OR_NO = one_of("", "0", "1", "false", "true")
_NUMPY_ARGUMENTS: dict[str, Schema] = {
    "rescale": described(_YES_OR_NO, "false: stored values, not rescaled ones"),
    "compress": described(_YES_OR_NO, "true: a ZIP with the array (.npz)"),
}
_NUMPY = Spec(query=_NUMPY_ARGUMENTS, content={BYTES: BINARY}, statuses=(400, 404, 500))
_MATLAB = Spec(content={TEXT: STRING}, statuses=(404, 500))
_RAW = Spec(content={BYTES: BINARY, "image/jpeg": BINARY, "image/jp2": BINARY}, statuses=(400, 404))
_RAW_GZ = Spec(content={"application/gzip": BINARY}, statuses=(400, 404))

#: What Orthanc answers 500 for, without details but for one of them.
_MATLAB_ERRORS = frozenset(
    (
        ErrorCode.BAD_FILE_FORMAT,
        ErrorCode.BAD_REQUEST,
        ErrorCode.NOT_IMPLEMENTED,
        ErrorCode.PARAMETER_OUT_OF_RANGE,
    )
)


class FrameRoutes:
    """See `RouteProvider`.

    :param in_thread: runs a blocking function in a thread
    """

    def __init__(
        self,
        index: Index,
        instances: Instances,
        frames: Frames,
        streamer: Streamer,
        in_thread: InThread,
    ) -> None:
        self._index = index
        self._instances = instances
        self._frames = frames
        self._streamer = streamer
        self._in_thread = in_thread

    def routes(self) -> Iterable[Route]:
        """Lists, raw frames, arrays."""
        instance, frame = "/instances/<public_id>", "/instances/<public_id>/frames/<frame>"
        list_spec = json_spec(array(INTEGER), statuses=(400,))
        yield Route("GET", f"{instance}/frames", self.get_list, "List the frames", spec=list_spec)
        names = json_spec(array())
        yield Route("GET", frame, self.get_children, "List what a frame has", spec=names)
        for name, spec in (("raw", _RAW), ("raw.gz", _RAW_GZ)):
            handler = partial(self.get_raw, name == "raw.gz")
            yield Route("GET", f"{frame}/{name}", handler, "Get a frame as it is stored", spec=spec)
        numpy, matlab = "Get pixels for NumPy", "Get pixels for Matlab"
        for path in (instance, frame):
            yield Route("GET", f"{path}/numpy", self.get_numpy, numpy, spec=_NUMPY)
            yield Route("GET", f"{path}/matlab", self.get_matlab, matlab, spec=_MATLAB)
        series = "/series/<public_id>/numpy"
        yield Route("GET", series, self.get_series, numpy, spec=_NUMPY)

    async def get_list(self, request: Request, public_id: str) -> Body:
        """The numbers of the frames."""
        count = await self._frames.count(self._instances.one(public_id).file)

        async def pages() -> AsyncIterator[Sequence[int]]:
            for start in range(0, count, _PER_PAGE):
                yield range(start, min(start + _PER_PAGE, count))

        return await json_list(request, pages(), self._streamer.send_chunks)

    def get_children(self, request: Request, public_id: str, frame: str) -> bytes:
        """The names of the operations, whatever the frame."""
        return json_body(request, list(_CHILDREN))

    async def get_raw(self, gzipped: bool, request: Request, public_id: str, frame: str) -> Body:
        """The bytes of a frame, uncompressed ones in little endian."""
        file = self._instances.one(public_id).file
        raw = await self._frames.raw(file, _index(frame), gzipped=gzipped)
        request.setHeader(b"content-type", raw.media_type)
        read = partial(self._in_thread, next, raw.chunks, b"")
        await self._streamer.send_chunks(request, read, raw.close)
        return None

    async def get_numpy(self, request: Request, public_id: str, frame: str | None = None) -> Body:
        """The frames of an instance, or one of them."""
        rescaled = _boolean(request, "rescale", default=True)
        compressed = _boolean(request, "compress", default=False)
        file = self._instances.one(public_id).file
        number = None if frame is None else _index(frame)
        return await self._numpy(request, [file], number, rescaled, compressed)

    async def get_series(self, request: Request, public_id: str) -> Body:
        """The frames of all instances of a series, in the order of its slices."""
        rescaled = _boolean(request, "rescale", default=True)
        compressed = _boolean(request, "compress", default=False)
        files = await slices_of_series(self._index, public_id)
        return await self._numpy(request, files, None, rescaled, compressed)

    async def _numpy(
        self,
        request: Request,
        files: Sequence[Attachment],
        frame: int | None,
        rescaled: bool,
        compressed: bool,
    ) -> Body:
        try:
            path = await self._frames.numpy(files, frame, rescaled=rescaled, compressed=compressed)
        except OrthancError as error:
            if error.details == NO_PIXELS:
                raise OrthancError(ErrorCode.NOT_IMPLEMENTED, NOT_FOR_IT) from None
            raise
        return await self._send(request, path, b"application/octet-stream")

    async def get_matlab(self, request: Request, public_id: str, frame: str = "0") -> Body:
        """An expression that is a matrix of the stored values."""
        file = self._instances.one(public_id).file
        try:
            path = await self._frames.matlab(file, _index(frame))
        except OrthancError as error:
            if error.code in _MATLAB_ERRORS:
                details = DEEP_COLOURS if error.details == DEEP_COLOURS else None
                raise OrthancError(ErrorCode.NOT_IMPLEMENTED, details) from None
            raise
        return await self._send(request, path, b"text/plain")

    async def _send(self, request: Request, path: str, content_type: bytes) -> Body:
        try:
            sending = self._streamer.send_path(request, path, content_type=content_type)
        finally:
            os.unlink(path)  # it is open; nobody else needs its name
        await sending
        return None


def _index(frame: str) -> int:
    """:raises OrthancError: PARAMETER_OUT_OF_RANGE"""
    if not _DIGITS.fullmatch(frame):
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
    return int(frame)


def _boolean(request: Request, name: str, *, default: bool) -> bool:
    """:raises OrthancError: PARAMETER_OUT_OF_RANGE naming the argument"""
    if not has_argument(request, name):
        return default
    text = (argument(request, name) or "1").lower()
    if text not in ("0", "1", "false", "true"):
        details = f'Expected a Boolean for GET argument "{name}", found: {text}'
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, details)
    return text in ("1", "true")
