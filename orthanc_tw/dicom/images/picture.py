"""Pictures as files: PNG, JPEG and PAM, of 8 or 16 bits a sample.

PNG is written here and not by Pillow: rows filtered by numpy and deflated by ISA-L take a tenth
of the time, and that time is most of what a preview costs.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
PAM: Final = "image/x-portable-arbitrarymap"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_FILTER_UP = 2
_DEFLATE_LEVEL = 1


def encode_picture(picture: Samples, kind: str, quality: int = 90) -> bytes:
    """A picture in a format of files.

    :param picture: shape (rows, columns), or (rows, columns, 3) of 8 bits; 8 or 16 bits a sample,
        negative numbers as their two's complement
    :param kind: `PNG`, `JPEG` or `PAM`
    :param quality: of JPEG, 1 to 100
    :raises OrthancError: NOT_IMPLEMENTED for a JPEG of 16 bits, PARAMETER_OUT_OF_RANGE for a
        quality that is none
    """
    if kind == JPEG:
        return _jpeg(picture, quality)
    if kind == PAM:
        return _pam(picture)
    return _png(picture)


def _png(picture: Samples) -> bytes:
    """PNG (W3C, third edition), sections 11.2.1 (header) and 9.2 (filter type 2, "up")."""
    import numpy
    from isal import isal_zlib

    rows, columns = picture.shape[:2]
    data = _big_endian_bytes(picture)
    filtered = numpy.empty((rows, data.shape[1] + 1), "u1")
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = data[0]
    numpy.subtract(data[1:], data[:-1], out=filtered[1:, 1:])
    colour = _RGB if picture.ndim == 3 else _GREY
    header = struct.pack(">IIBBBBB", columns, rows, picture.itemsize * 8, colour, 0, 0, 0)
    deflated = isal_zlib.compress(filtered, _DEFLATE_LEVEL)
    return b"".join(
        (_SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", deflated), *_chunk(b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    check = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)), name, data, struct.pack(">I", check)


def _jpeg(picture: Samples, quality: int) -> bytes:
    from PIL import Image

    if not 1 <= quality <= 100:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"JPEG of quality {quality}")
    if picture.itemsize != 1:
        raise OrthancError(ErrorCode.NOT_IMPLEMENTED, "A JPEG has 8 bits a sample")
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG", quality=quality)
    return target.getvalue()


def _pam(picture: Samples) -> bytes:
    """PAM, as netpbm's pam(5) describes it; its numbers are big endian."""
    rows, columns = picture.shape[:2]
    depth, name = (3, "RGB") if picture.ndim == 3 else (1, "GRAYSCALE")
    maximum = 65535 if picture.itemsize == 2 else 255
    header = (
        f"P7\nWIDTH {columns}\nHEIGHT {rows}\nDEPTH {depth}\nMAXVAL {maximum}\n"
        f"TUPLTYPE {name}\nENDHDR\n"
    )
    return header.encode("ascii") + _big_endian_bytes(picture).tobytes()


def _big_endian_bytes(picture: Samples) -> Samples:
    """The rows as bytes, shape (rows, bytes)."""
    import numpy

    if picture.itemsize == 2:
        picture = picture.astype(">u2")
    rows = picture.shape[0]
    return numpy.ascontiguousarray(picture).view("u1").reshape(rows, -1)
