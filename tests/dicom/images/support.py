"""Images for tests: those of the recordings, and small ones made by hand."""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom

from orthanc_tw.dicom.images.image_file import ImageFile, ImageLimits
from tests.dicom.files import EXPLICIT, dicom_file, element

DATA = Path(pydicom.__file__).parent / "data"
RECORDINGS = Path(__file__).parents[2] / "reference" / "recordings"
_ENCAPSULATED = 0xFFFFFFFF


def image_file(name: str) -> ImageFile:
    """An image of pydicom's data."""
    return ImageFile(io.BytesIO((DATA / name).read_bytes()))


def recorded() -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """File, operation, frame and answer of the recordings 30-images-*."""
    for number in range(1, 7):
        recording = json.loads((RECORDINGS / f"30-images-{number}.json").read_text())
        name = None
        for exchange in recording["exchanges"]:
            if exchange["path"] == "/instances":
                name = exchange.get("body_file")
            found = re.fullmatch(
                r"/instances/[^/]+(?:/frames/(\d+))?/([a-z0-9.-]+)", exchange["path"]
            )
            if found and name and "response" in exchange and not exchange.get("headers"):
                yield name, found[2], int(found[1] or 0), exchange["response"]


def _us(tag: int, *values: int) -> bytes:
    return element(tag, "US", struct.pack(f"<{len(values)}H", *values))


def made_bytes(
    pixels: bytes,
    rows: int = 2,
    columns: int = 2,
    *,
    samples: int = 1,
    allocated: int = 8,
    stored: int | None = None,
    signed: int = 0,
    space: bytes = b"MONOCHROME2 ",
    planar: int | None = None,
    frames: bytes = b"",
    extra: bytes = b"",
    pixel_tag: int = 0x7FE00010,
    pixel_vr: str = "OW",
    fragments: list[bytes] | None = None,
    syntax: str = EXPLICIT,
) -> bytes:
    """A DICOM file with an image, whatever its header says of it.

    :param extra: elements of groups between 0028,0103 and the pixels
    """
    parts = [_us(0x00280002, samples), element(0x00280004, "CS", space)]
    if planar is not None:
        parts.append(_us(0x00280006, planar))
    if frames:
        parts.append(element(0x00280008, "IS", frames))
    parts += [_us(0x00280010, rows), _us(0x00280011, columns), _us(0x00280100, allocated)]
    parts += [_us(0x00280101, allocated if stored is None else stored)]
    parts += [_us(0x00280103, signed), extra]
    if fragments is None:
        parts.append(element(pixel_tag, pixel_vr, pixels))
    else:
        head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _ENCAPSULATED)
        items = [
            struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data for data in (b"", *fragments)
        ]
        parts.append(head + b"".join(items) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    return dicom_file(*parts, syntax=syntax)


def made(*args: Any, limits: ImageLimits | None = None, **kwargs: Any) -> ImageFile:
    """See `made_bytes`."""
    return ImageFile(io.BytesIO(made_bytes(*args, **kwargs)), limits)
