"""Images that clients send, as pixels or as what DICOM may encapsulate. Runs in a worker process.

PNG (ISO 15948) and JPEG (ITU-T T.81); attributes are those of the Image Pixel module, PS3.3
C.7.6.3. An image comes from a stranger: its size is looked at before its pixels are decoded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    from PIL import Image

#: Functions for `WorkerPool.run`.
DECODE = "orthanc_tw.dicom.creation.images:decode"
DESCRIBE_JPEG = "orthanc_tw.dicom.creation.images:describe_jpeg"

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/jpg": "JPEG"}
MAXIMUM_PIXEL_BYTES = 256 * 1024 * 1024
_MAXIMUM_SIDE = 0xFFFF
_BASELINE, _EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
_BAND_ROWS = 64
_GRAY, _GRAY16, _COLOUR = ("1", "L"), ("I;16", "I;16B", "I"), ("RGB", "RGBA", "P", "CMYK", "YCbCr")
_PNG_DEPTH_OFFSET = 24


def decode(source: str, content_type: str, target: str) -> dict[str, Any]:
    """Write the pixels of an image: row by row, little endian, colours by pixel.

    Transparency is left out.

    :param source: path of the image
    :param target: path of the file to write; not there if this raises
    :returns: ``Rows``, ``Columns``, ``Samples``, ``Bits``, ``Photometric``
    :raises OrthancError: BAD_FILE_FORMAT if it is no such image, damaged or too large;
        NOT_IMPLEMENTED (400) for gray with transparency, and colour of 16 bits
    """
    with _opened(source, content_type) as image:
        if content_type == "image/png" and _png_depth(source) == 16 and image.mode in _COLOUR:
            raise _not_implemented()
        mode, samples, bits = _target_mode(image.mode)
        columns, rows = image.size
        _load(image)
        try:
            with open(target, "xb") as file:
                for top in range(0, rows, _BAND_ROWS):
                    band = image.crop((0, top, columns, min(top + _BAND_ROWS, rows)))
                    file.write(_bytes(band, mode))
        except BaseException:
            if os.path.exists(target):
                os.unlink(target)
            raise
    return {
        "Rows": rows,
        "Columns": columns,
        "Samples": samples,
        "Bits": bits,
        "Photometric": "RGB" if samples == 3 else "MONOCHROME2",
    }


def describe_jpeg(source: str) -> dict[str, Any]:
    """What has to be said of a JPEG image that is encapsulated as it is.

    :returns: as `decode`, and ``Syntax``, the UID of its transfer syntax
    :raises OrthancError: BAD_FILE_FORMAT if it is damaged; NOT_IMPLEMENTED (400) if it is
        progressive, or of another kind that DICOM has no transfer syntax for
    """
    with _opened(source, "image/jpeg") as image:
        if image.info.get("progressive") or image.mode not in ("L", "RGB"):
            raise _not_implemented()
        layer: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
        bits = int(getattr(image, "bits", 8))
        columns, rows = image.size
        photometric = "MONOCHROME2"
        if image.mode == "RGB":
            is_rgb = image.info.get("adobe_transform") == 0
            subsampled = any((h, v) != (1, 1) for _, h, v, _ in layer)
            photometric = "RGB" if is_rgb else "YBR_FULL_422" if subsampled else "YBR_FULL"
        _load(image)
        return {
            "Rows": rows,
            "Columns": columns,
            "Samples": 3 if image.mode == "RGB" else 1,
            "Bits": bits,
            "Photometric": photometric,
            "Syntax": _BASELINE if bits == 8 else _EXTENDED,
        }


def _opened(source: str, content_type: str) -> Image.Image:
    # Here, for the server itself imports the names of these functions, and needs no Pillow.
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the limit below is ours, and tells in bytes
    try:
        image = Image.open(source, formats=[FORMATS[content_type]])
    except (OSError, ValueError, SyntaxError, KeyError):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT) from None
    columns, rows = image.size
    _, samples, bits = _target_mode(image.mode)
    too_long = max(columns, rows) > _MAXIMUM_SIDE
    if too_long or columns * rows * max(samples * bits // 8, 4) > MAXIMUM_PIXEL_BYTES:
        image.close()
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"The image is too large: {columns}x{rows} pixels"
        )
    return image


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, IndexError):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT) from None


def _target_mode(mode: str) -> tuple[str, int, int]:
    """Mode of the pixels to write, samples a pixel, and bits a sample."""
    if mode in _GRAY:
        return "L", 1, 8
    if mode in _GRAY16:
        return "I;16", 1, 16
    if mode in _COLOUR:
        return "RGB", 3, 8
    raise _not_implemented()


def _bytes(band: Image.Image, mode: str) -> bytes:
    if mode == "I;16" and band.mode != mode:
        band = band.convert("I").convert("I;16")
    elif band.mode != mode:
        band = band.convert(mode)
    return band.tobytes()


def _png_depth(source: str) -> int:
    """Bit depth of the header chunk: Pillow makes eight bits of colours of sixteen."""
    with open(source, "rb") as file:
        file.seek(_PNG_DEPTH_OFFSET)
        return file.read(1)[0]


def _not_implemented() -> OrthancError:
    return OrthancError(
        ErrorCode.NOT_IMPLEMENTED,
        "Content: images are gray of 8 or 16 bits, or colour of 8 bits",
        http_status=400,
    )
