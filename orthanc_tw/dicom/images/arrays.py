"""Frames as numbers: NumPy's files (``/numpy``) and text for Matlab and Octave (``/matlab``).

Both are written frame by frame, so that a series of any size takes the memory of one frame.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from orthanc_tw.dicom.images.image_file import ImageFile
from orthanc_tw.dicom.images.rendering import read_frame, rescale
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

#: The name in the ZIP, that of `numpy.savez` but for a suffix.
_MEMBER = "arr_0"
_ROWS_AT_ONCE = 64

#: Details of the refusal of an image.
DEEP_COLOURS = "Colours of more than 8 bits are not written as numbers"


def numbers(image: ImageFile, index: int, *, rescaled: bool) -> Samples:
    """A frame as an array (rows, columns, channels), little endian.

    :param rescaled: grey levels as float32, transformed by slope and intercept; colours are
        8 bits in any case
    :raises OrthancError: as `read_frame`; NOT_IMPLEMENTED for colours of more than 8 bits
    """
    frame = read_frame(image, index)
    if frame.is_colour:
        if frame.samples.dtype.itemsize != 1:
            raise OrthancError(ErrorCode.NOT_IMPLEMENTED, DEEP_COLOURS)
        return frame.samples
    samples = frame.samples
    if rescaled:
        slope, intercept = rescale(image.attributes)
        samples = samples.astype("<f4")
        if (slope, intercept) != (1.0, 0.0):
            samples *= slope
            samples += intercept
    little_endian: Samples = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    return little_endian[..., None]


def write_numpy(
    images: Iterable[AbstractContextManager[ImageFile]],
    frame_count: int,
    frame: int | None,
    target: BinaryIO,
    *,
    rescaled: bool,
    compressed: bool,
) -> None:
    """Write a ``.npy``, or a ``.npz`` with one array.

    :param images: one after the other; the first one says what all have to look like
    :param frame_count: of all images
    :param frame: the only one, then the array has no axis of frames
    :raises OrthancError: as `numbers`; INCOMPATIBLE_IMAGE_SIZE if two frames differ in size,
        INCOMPATIBLE_IMAGE_FORMAT if they do in type
    """
    arrays = _arrays(images, frame, rescaled=rescaled)
    first = next(arrays)  # before anything is written
    shape = first.shape if frame is not None else (frame_count, *first.shape)
    if not compressed:
        _write_npy(target, shape, first, arrays)
        return
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(_MEMBER, "w", force_zip64=True) as member,
    ):
        _write_npy(cast(BinaryIO, member), shape, first, arrays)


def _arrays(
    images: Iterable[AbstractContextManager[ImageFile]], frame: int | None, *, rescaled: bool
) -> Iterator[Samples]:
    for opened in images:
        with opened as image:
            for index in range(image.frame_count) if frame is None else (frame,):
                yield numbers(image, index, rescaled=rescaled)


def _write_npy(
    target: BinaryIO, shape: Sequence[int], first: Samples, others: Iterator[Samples]
) -> None:
    """See ``numpy.lib.format``; NEP 1."""
    from numpy.lib import format as npy

    header = {"descr": first.dtype.str.replace("|", "<"), "fortran_order": False}
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {**header, "shape": tuple(shape)})
    target.write(head.getvalue())
    target.write(first.tobytes())
    for array in others:
        if array.shape != first.shape:
            raise OrthancError(ErrorCode.INCOMPATIBLE_IMAGE_SIZE)
        if array.dtype != first.dtype:
            raise OrthancError(ErrorCode.INCOMPATIBLE_IMAGE_FORMAT)
        target.write(array.tobytes())


def matlab(image: ImageFile, index: int) -> Iterator[str]:
    """A frame as an expression of Matlab, piece by piece: stored values, or colours of 8 bits.

    :raises OrthancError: as `numbers`
    """
    samples = numbers(image, index, rescaled=False)
    rows, columns, channels = samples.shape
    if channels == 1:
        yield "double([ "
        for row in range(rows):
            if row:
                yield " ; "
            yield _text(samples[row])
        yield " ])"
        return
    yield "double(permute(reshape([ "
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield _text(samples[start : start + _ROWS_AT_ONCE]) + " "
    yield f"], [ {channels} {columns} {rows} ]), [ 3 2 1 ]))"


def _text(samples: Samples) -> str:
    return " ".join(map(str, samples.ravel().tolist()))
