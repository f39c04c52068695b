"""Use cases on the frames of stored instances. Called in the reactor thread."""

from __future__ import annotations

import os
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from twisted.internet.defer import Deferred

from orthanc_tw.core.images.task import MATLAB, NUMPY, PICTURE
from orthanc_tw.dicom.images.attributes import Attributes
from orthanc_tw.dicom.images.image_file import ImageFile, frame_count, has_pixels
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.interface import Storage

RunInWorker = Callable[..., Awaitable[Any]]
InThread = Callable[..., Deferred[Any]]

#: What a frame as it is stored is, by its transfer syntax.
_RAW_TYPES: Final = {
    "1.2.840.10008.1.2.4.50": b"image/jpeg",
    "1.2.840.10008.1.2.4.90": b"image/jp2",
    "1.2.840.10008.1.2.4.91": b"image/jp2",
}
_GZIP_WINDOW_BITS = 31
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How a frame is shown.

    :ivar operation: ``preview``, ``rendered``, ``image-uint8``, ``image-uint16``, ``image-int16``
    :ivar media_type: of the picture, see `orthanc_tw.dicom.images.picture`
    :ivar quality: of a JPEG, 1 to 100
    :ivar center: of the window, in rescaled values; None: that of the file
    :ivar window: its width
    :ivar width: most columns, 0 for any
    :ivar height: most rows, 0 for any
    :ivar smooth: whether what becomes smaller is blurred before
    """

    operation: str
    media_type: str
    quality: int = 90
    center: float | None = None
    window: float | None = None
    width: int = 0
    height: int = 0
    smooth: bool = False

    def to_plain(self) -> dict[str, Any]:
        """As `task.picture` wants it."""
        return {
            "Operation": self.operation,
            "Type": self.media_type,
            "Quality": self.quality,
            "Center": self.center,
            "Window": self.window,
            "Width": self.width,
            "Height": self.height,
            "Smooth": self.smooth,
        }


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame as it is stored.

    :ivar chunks: to be iterated in threads, one `next` at a time
    :ivar close: to be called when no more is wanted
    """

    media_type: bytes
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Frames:
    """Shows frames; what computes is done in worker processes, what reads in threads."""

    def __init__(self, storage: Storage, run: RunInWorker, in_thread: InThread) -> None:
        self._storage = storage
        self._run = run
        self._in_thread = in_thread

    async def count(self, attachment: Attachment) -> int:
        """How many frames an instance has, 1 if it has no pixels.

        :raises OrthancError: BAD_FILE_FORMAT if its header says no number, or an impossible one
        """
        counted: int = await self._in_thread(self._count, attachment)
        return counted

    def _count(self, attachment: Attachment) -> int:
        with self._open(attachment) as file:
            document = read_document(file)
            try:
                attributes = Attributes(document)
                count = frame_count(attributes)
                # No frame takes less than a bit.
                if count > 8 * attachment.size_bytes and has_pixels(attributes):
                    raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Invalid number of frames")
                return count if has_pixels(attributes) else 1
            finally:
                document.close()

    async def raw(self, attachment: Attachment, frame: int, *, gzipped: bool) -> RawFrame:
        """A frame as it is stored.

        :raises OrthancError: as `ImageFile.place`
        """
        found: RawFrame = await self._in_thread(self._raw, attachment, frame, gzipped)
        return found

    def _raw(self, attachment: Attachment, frame: int, gzipped: bool) -> RawFrame:
        file = self._open(attachment)
        try:
            image = ImageFile(file)
        except BaseException:
            file.close()
            raise

        def close() -> None:
            image.close()
            file.close()

        try:
            image.check_stored(frame)
        except BaseException:
            close()
            raise
        chunks = image.stored(frame)
        if gzipped:
            return RawFrame(b"application/gzip", _gzipped(chunks), close)
        media_type = _RAW_TYPES.get(image.transfer_syntax, b"application/octet-stream")
        return RawFrame(media_type, chunks, close)

    def _open(self, attachment: Attachment) -> BinaryIO:
        return self._storage.open(attachment.uuid, attachment.compression)

    async def picture(
        self, attachment: Attachment, frame: int, options: PictureOptions
    ) -> bytes | str:
        """A frame as a picture; the path of a file that the caller removes if it is large.

        :raises OrthancError: see `task.picture`, and what the pool raises
        """
        path, compression = self._source(attachment)
        target = self._storage.new_path()
        arguments = [
            path, compression, os.path.dirname(target), frame, options.to_plain(), target
        ]  # fmt: skip
        data: bytes | None = await self._run_into(target, PICTURE, arguments)
        return target if data is None else data

    async def numpy(
        self,
        attachments: Sequence[Attachment],
        frame: int | None,
        *,
        rescaled: bool,
        compressed: bool,
    ) -> str:
        """Frames as an array: the path of a file that the caller removes.

        :param frame: the only one, None for all
        :raises OrthancError: see `task.numpy_file`, and what the pool raises
        """
        target = self._storage.new_path()
        sources = [self._source(attachment) for attachment in attachments]
        arguments = [sources, os.path.dirname(target), frame, rescaled, compressed, target]
        await self._run_into(target, NUMPY, arguments)
        return target

    async def matlab(self, attachment: Attachment, frame: int) -> str:
        """A frame as an expression of Matlab: the path of a file that the caller removes.

        :raises OrthancError: see `task.matlab_file`, and what the pool raises
        """
        path, compression = self._source(attachment)
        target = self._storage.new_path()
        arguments = [path, compression, os.path.dirname(target), frame, target]
        await self._run_into(target, MATLAB, arguments)
        return target

    def _source(self, attachment: Attachment) -> tuple[str, int]:
        return self._storage.path(attachment.uuid), int(attachment.compression)

    async def _run_into(self, target: str, function: str, arguments: Sequence[Any]) -> Any:
        try:
            return await self._run(function, arguments)
        except BaseException:
            with suppress(OSError):  # what a worker that failed or was killed has left
                os.unlink(target)
            raise


def _gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW_BITS)
    for chunk in chunks:
        data = compressor.compress(chunk)
        if data:
            yield data
    yield compressor.flush()
