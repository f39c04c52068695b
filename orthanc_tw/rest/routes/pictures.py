"""Frames as pictures: ``preview``, ``rendered``, ``image-uint8`` and its siblings.

Of ``/instances/{id}``, which is its first frame, and of ``/instances/{id}/frames/{frame}``.
Errors have no body, as in Orthanc: topics 30 and 31 of the corpus.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.images.frames import Frames, PictureOptions
from orthanc_tw.core.instances import Instances
from orthanc_tw.dicom.images.picture import JPEG, PAM, PNG
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.accept import accepted_type
from orthanc_tw.rest.errors import BareError, set_status
from orthanc_tw.rest.http import Body, Route, argument, has_argument
from orthanc_tw.rest.spec import (
    BINARY,
    FLAG,
    INTEGER,
    NATURAL,
    NUMBER,
    Schema,
    Spec,
    described,
)
from orthanc_tw.rest.streaming import Streamer

_SUMMARIES = {
    "preview": "Show a frame, its grey levels stretched",
    "rendered": "Show a frame through a window",
    "image-uint8": "Show a frame, its grey levels cut to 8 bits",
    "image-uint16": "Show a frame, its grey levels cut to 16 bits",
    "image-int16": "Show a frame, its grey levels cut to 16 bits with a sign",
}
OPERATIONS = tuple(_SUMMARIES)
_SIXTEEN_BITS = ("image-uint16", "image-int16")
_QUALITY = 90
_DIGITS = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_UNSUPPORTED = "app/images/unsupported.png"
#: The image, or what is asked of it, is to blame.
_IMAGE_ERRORS = frozenset(
    (
        ErrorCode.BAD_FILE_FORMAT,
        ErrorCode.BAD_REQUEST,
        ErrorCode.INCOMPATIBLE_IMAGE_FORMAT,
        ErrorCode.NOT_ENOUGH_MEMORY,
        ErrorCode.NOT_IMPLEMENTED,
        ErrorCode.PARAMETER_OUT_OF_RANGE,
    )
)

_ARGUMENTS: dict[str, Schema] = {
    "quality": described({**INTEGER, "minimum": 1, "maximum": 100}, "Quality of a JPEG"),
    "returnUnsupportedImage": described(FLAG, "Redirect to a picture instead of an error"),
}
_WINDOW: dict[str, Schema] = {
    "window-center": described(NUMBER, "Center of the window, in rescaled values"),
    "window-width": described(NUMBER, "Width of the window"),
    "width": described(NATURAL, "Most columns of the picture"),
    "height": described(NATURAL, "Most rows of the picture"),
    "smooth": described(FLAG, "1: blur what becomes smaller"),
}


class PictureRoutes:
    """See `RouteProvider`."""

    def __init__(self, instances: Instances, frames: Frames, streamer: Streamer) -> None:
        self._instances = instances
        self._frames = frames
        self._streamer = streamer

    def routes(self) -> Iterable[Route]:
        """Five operations, each of an instance and of a frame."""
        for operation, summary in _SUMMARIES.items():
            spec = Spec(
                query={**_ARGUMENTS, **(_WINDOW if operation == "rendered" else {})},
                content=dict.fromkeys(_offered(operation), BINARY),
                statuses=(307, 404, 415),
                bare=(307, 404, 415),
            )
            handler = partial(self.get, operation)
            for path in ("", "/frames/<frame>"):
                yield Route(
                    "GET",
                    f"/instances/<public_id>{path}/{operation}",
                    handler,
                    summary,
                    hot=operation == "preview" and not path,
                    spec=spec,
                )

    async def get(self, operation: str, request: Request, public_id: str, frame: str = "0") -> Body:
        """A picture, or a bare 404 or 415."""
        try:
            file = self._instances.one(public_id).file
        except OrthancError:
            raise BareError(404) from None
        media_type = accepted_type(request, _offered(operation))
        if media_type is None or not _DIGITS.fullmatch(frame):
            raise BareError(404)
        options = _options(request, operation, media_type)
        try:
            if media_type == JPEG and not 1 <= options.quality <= 100:
                raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
            found = await self._frames.picture(file, int(frame), options)
        except OrthancError as error:
            if error.code not in _IMAGE_ERRORS:
                raise
            if not has_argument(request, "returnUnsupportedImage"):
                raise BareError(415) from None
            return _redirect(request)
        content_type = media_type.encode("ascii")
        if isinstance(found, bytes):
            request.setHeader(b"content-type", content_type)
            return found
        try:
            sending = self._streamer.send_path(request, found, content_type=content_type)
        finally:
            os.unlink(found)  # it is open; nobody else needs its name
        await sending
        return None


def _offered(operation: str) -> tuple[str, ...]:
    return (PNG, PAM) if operation in _SIXTEEN_BITS else (PNG, JPEG, PAM)


def _options(request: Request, operation: str, media_type: str) -> PictureOptions:
    quality = argument(request, "quality")
    if quality is None:
        quality = str(_QUALITY)
    options = PictureOptions(
        operation, media_type, int(quality) if _DIGITS.fullmatch(quality) else 0
    )
    if operation != "rendered":
        return options
    return PictureOptions(
        operation,
        media_type,
        options.quality,
        _number(request, "window-center"),
        _number(request, "window-width"),
        _natural(request, "width"),
        _natural(request, "height"),
        argument(request, "smooth") in ("1", "true"),
    )


def _number(request: Request, name: str) -> float | None:
    """:raises BareError: 404, as Orthanc has it"""
    text = argument(request, name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        raise BareError(404) from None
    if not math.isfinite(number):
        raise BareError(404)
    return number


def _natural(request: Request, name: str) -> int:
    """:raises BareError: 404, as Orthanc has it"""
    text = argument(request, name)
    if text is None:
        return 0
    if not _DIGITS.fullmatch(text) or int(text) < 0:
        raise BareError(404)
    return int(text)


def _redirect(request: Request) -> bytes:
    """To the picture that says so; relative, for servers behind a proxy."""
    depth = len([part for part in request.path.split(b"/") if part]) - 1
    set_status(request, 307)
    request.setHeader(b"location", (b"../" * depth) + _UNSUPPORTED.encode("ascii"))
    return b""
