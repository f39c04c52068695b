"""Pictures made smaller or larger: arguments ``width``, ``height``, ``smooth`` of ``/rendered``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

#: Weights of a Gaussian of 5 samples, sixteenths.
_GAUSSIAN = (1, 4, 6, 4, 1)
#: Longest side of what is answered: nothing is to be gained by more.
MAXIMUM_SIDE = 8192


def scaled_size(rows: int, columns: int, width: int, height: int) -> tuple[int, int]:
    """The rows and columns of the largest picture of the same shape that fits.

    :param width: most columns, 0 for any
    :param height: most rows, 0 for any
    """
    if not width and not height:
        return rows, columns
    ratios = []
    if width:
        ratios.append(min(width, MAXIMUM_SIDE) / columns)
    if height:
        ratios.append(min(height, MAXIMUM_SIDE) / rows)
    ratio = min(*ratios, MAXIMUM_SIDE / rows, MAXIMUM_SIDE / columns)
    return max(1, int(rows * ratio + 0.5)), max(1, int(columns * ratio + 0.5))


def scale(picture: Samples, rows: int, columns: int, *, smooth: bool) -> Samples:
    """Resize to the nearest samples.

    :param picture: shape (rows, columns[, 3]), 8 bits
    :param smooth: blur a picture that becomes smaller, against Moire patterns
    """
    import numpy

    old_rows, old_columns = picture.shape[:2]
    if (rows, columns) == (old_rows, old_columns):
        return picture
    if smooth and (rows < old_rows or columns < old_columns):
        picture = _blurred(picture)
    down = ((numpy.arange(rows) + 0.5) * old_rows / rows).astype("i4")
    across = ((numpy.arange(columns) + 0.5) * old_columns / columns).astype("i4")
    resized: Samples = picture[down[:, None], across[None, :]]
    return resized


def _blurred(picture: Samples) -> Samples:
    """Convolved with `_GAUSSIAN` both ways; the samples at the edges continue beyond them."""
    import numpy

    total = picture.astype("u4")
    for axis in (0, 1):
        count = picture.shape[axis]
        padding = [(2, 2) if other == axis else (0, 0) for other in range(picture.ndim)]
        padded = numpy.pad(total, padding, "edge")
        total = numpy.zeros(picture.shape, "u4")
        for offset, weight in enumerate(_GAUSSIAN):
            window = [slice(None)] * picture.ndim
            window[axis] = slice(offset, offset + count)
            total += padded[tuple(window)] * numpy.uint32(weight)
    blurred: Samples = (total >> 8).astype("u1")
    return blurred
