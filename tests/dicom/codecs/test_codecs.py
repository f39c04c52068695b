"""Frames survive their codecs; hostile ones are refused."""

from __future__ import annotations

import random
from typing import Any

import numpy
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.codecs.decoding import DECODERS, decode_frame
from orthanc_tw.dicom.codecs.encoding import ENCODINGS, encode_frame, encoding_of
from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError

_ROWS, _COLUMNS = 60, 50
_RAMP = numpy.add.outer(numpy.arange(_ROWS), numpy.arange(_COLUMNS))
_RGB = numpy.stack([_RAMP % 256, _RAMP * 2 % 256, 255 - _RAMP], -1).astype("u1")


def _format(
    allocated: int, stored: int, *, signed: int = 0, kind: str = "MONOCHROME2"
) -> PixelFormat:
    samples = 3 if kind in ("RGB", "YBR_FULL") else 1
    return PixelFormat(_ROWS, _COLUMNS, samples, allocated, stored, signed, kind)


_FRAMES: dict[str, tuple[numpy.ndarray[Any, Any], PixelFormat]] = {
    "8 bit": ((_RAMP % 256).astype("u1"), _format(8, 8)),
    "8 bit, signed": ((_RAMP - 50).astype("i1"), _format(8, 8, signed=1)),
    "12 bit": ((_RAMP * 30 % 4096).astype("<u2"), _format(16, 12)),
    "12 bit, signed": ((_RAMP * 30 % 4096 - 2000).astype("<i2"), _format(16, 12, signed=1)),
    "16 bit": ((_RAMP * 500 % 65536).astype("<u2"), _format(16, 16)),
    "16 bit, signed": ((_RAMP * 500 % 65536 - 32768).astype("<i2"), _format(16, 16, signed=1)),
    "palette": ((_RAMP % 256).astype("u1"), _format(8, 8, kind="PALETTE COLOR")),
    "RGB": (_RGB, _format(8, 8, kind="RGB")),
    "YBR": (_RGB, _format(8, 8, kind="YBR_FULL")),
}

_BASELINE = "1.2.840.10008.1.2.4.50"


class RoundTripTests(SynchronousTestCase):
    def test_lossless_codecs_give_the_samples_back(self) -> None:
        """What a lossless syntax can hold comes back exactly, in the same colour space."""
        tried = 0
        for name, (samples, described) in _FRAMES.items():
            for syntax, encoding in ENCODINGS.items():
                if encoding.is_lossy or encoding_of(syntax, described) is None:
                    continue
                data, coded = encode_frame(samples, syntax, described, 100)
                decoded, found = decode_frame(data, syntax, coded)
                self.assertTrue(numpy.array_equal(decoded, samples), (name, syntax))
                self.assertEqual(
                    found.photometric_interpretation, described.photometric_interpretation
                )
                tried += 1
        self.assertEqual(tried, len(_FRAMES) * 5)

    def test_lossy_codecs_stay_close(self) -> None:
        """A lossy syntax changes a smooth image by a grey level on average, at most."""
        tried = 0
        for name, (samples, described) in _FRAMES.items():
            for syntax, encoding in ENCODINGS.items():
                if not encoding.is_lossy or encoding_of(syntax, described) is None or name == "RGB":
                    continue
                data, coded = encode_frame(samples, syntax, described, 90)
                decoded, _ = decode_frame(data, syntax, coded)
                difference = numpy.abs(decoded.astype(int) - samples.astype(int)).mean()
                self.assertLessEqual(difference, 1.0, (name, syntax))
                tried += 1
        self.assertGreater(tried, 10)

    def test_palettes_and_negative_samples_are_not_lost(self) -> None:
        """What a lossy syntax would destroy is refused, naming the syntax."""
        for name in ("palette", "12 bit, signed"):
            samples, described = _FRAMES[name]
            error = self.assertRaises(OrthancError, encode_frame, samples, _BASELINE, described, 90)
            self.assertEqual(error.code, ErrorCode.NOT_IMPLEMENTED)
            self.assertIn(_BASELINE, str(error))


class HostileFrameTests(SynchronousTestCase):
    def test_unknown_syntax(self) -> None:
        """A syntax without decoder is an error of its own."""
        error = self.assertRaises(
            OrthancError, decode_frame, b"", "1.2.840.10008.1.2.4.100", _format(8, 8)
        )
        self.assertEqual(error.code, ErrorCode.NOT_IMPLEMENTED)

    def test_broken_frames_are_refused(self) -> None:
        """Empty frames and noise are errors, never an image."""
        noise = random.Random(7).randbytes(400)
        for syntax in DECODERS:
            for data in (b"", bytes(64), noise):
                error = self.assertRaises(OrthancError, decode_frame, data, syntax, _format(16, 12))
                self.assertEqual(error.code, ErrorCode.BAD_FILE_FORMAT)
