"""What a worker process does: decode frames of stored files, make pictures and arrays of them.

No Twisted here. Arguments and results are plain values, see `WorkerPool.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orthanc_tw.dicom.images.arrays import matlab, write_numpy
from orthanc_tw.dicom.images.image_file import ImageFile
from orthanc_tw.dicom.images.picture import encode_picture
from orthanc_tw.dicom.images.rendering import (
    Frame,
    preview,
    read_frame,
    rendered,
    truncated,
)
from orthanc_tw.dicom.images.scaling import scale, scaled_size
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.open_stored import open_stored
from orthanc_tw.storage.spool import storage_error

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

#: The functions for `WorkerPool.run`.
PICTURE = "orthanc_tw.core.images.task:picture"
NUMPY = "orthanc_tw.core.images.task:numpy_file"
MATLAB = "orthanc_tw.core.images.task:matlab_file"
#: A picture up to this size is answered through the pipe.
MAX_PIPE_BYTES = 4 * 1024 * 1024
_BUFFER_BYTES = 1024 * 1024
_KINDS = {"image-uint8": "u1", "image-uint16": "u2", "image-int16": "i2"}


def picture(
    source: str, compression: int, scratch: str, frame: int, options: dict[str, Any], target: str
) -> bytes | None:
    """One frame as a file of a picture.

    :param source: path of the stored file
    :param scratch: folder for what has to be inflated
    :param options: see `PictureOptions`
    :param target: where a picture is written that is too long for a pipe
    :returns: the picture, None if it is in ``target``
    :raises OrthancError: as `ImageFile`, `read_frame`, `encode_picture`
    """
    with _opened(source, compression, scratch) as image:
        shown = _shown(read_frame(image, frame), image, options)
    data = encode_picture(shown, options["Type"], options["Quality"])
    if len(data) <= MAX_PIPE_BYTES:
        return data
    _write(target, lambda file: file.write(data))
    return None


def _shown(frame: Frame, image: ImageFile, options: dict[str, Any]) -> Samples:
    operation = options["Operation"]
    if operation == "preview":
        return preview(frame)
    if operation == "rendered":
        shown = rendered(frame, image.attributes, options["Center"], options["Window"])
        rows, columns = scaled_size(
            shown.shape[0], shown.shape[1], options["Width"], options["Height"]
        )
        return scale(shown, rows, columns, smooth=options["Smooth"])
    return truncated(frame, _KINDS[operation])


def numpy_file(
    sources: Sequence[tuple[str, int]],
    scratch: str,
    frame: int | None,
    rescaled: bool,
    compressed: bool,
    target: str,
) -> None:
    """The frames of instances as one array, in a new file.

    :param sources: path and compression of each
    :param frame: the only one, None for all
    :raises OrthancError: see `write_numpy`
    """
    count = 0
    for path, compression in sources:
        with _opened(path, compression, scratch) as image:
            count += image.frame_count
    images = (_opened(path, compression, scratch) for path, compression in sources)

    def write(file: Any) -> None:
        write_numpy(images, count, frame, file, rescaled=rescaled, compressed=compressed)

    _write(target, write)


def matlab_file(source: str, compression: int, scratch: str, frame: int, target: str) -> None:
    """One frame as an expression of Matlab, in a new file.

    :raises OrthancError: see `matlab`
    """

    def write(file: Any) -> None:
        with _opened(source, compression, scratch) as image:
            for text in matlab(image, frame):
                file.write(text.encode("ascii"))

    _write(target, write)


@contextmanager
def _opened(path: str, compression: int, scratch: str) -> Iterator[ImageFile]:
    with open_stored(path, Compression(compression), scratch) as file:
        image = ImageFile(file)
        try:
            yield image
        finally:
            image.close()


def _write(target: str, write: Callable[[Any], object]) -> None:
    """Not durable: the file is answered and removed."""
    try:
        with open(target, "xb", buffering=_BUFFER_BYTES) as file:
            write(file)
    except OSError as error:
        raise storage_error(error) from error
