"""Pictures as files, read again by Pillow."""

from __future__ import annotations

import io

import numpy
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.images.picture import JPEG, PAM, PNG, encode_picture
from orthanc_tw.dicom.images.scaling import MAXIMUM_SIDE, scale, scaled_size
from orthanc_tw.model.errors import ErrorCode, OrthancError


def noise(*shape: int, kind: str = "u1"):
    limits = numpy.iinfo(kind)
    random = numpy.random.default_rng(1)
    return random.integers(limits.min, limits.max, shape, kind, endpoint=True)


def opened(data: bytes):
    return numpy.asarray(Image.open(io.BytesIO(data)))


class PictureTests(SynchronousTestCase):
    """`encode_picture`."""

    def test_png(self) -> None:
        """A PNG has the pixels that it was made of, in grey, in colour and in 16 bits."""
        for picture in (noise(1, 1), noise(7, 5), noise(7, 5, 3), noise(3, 300, kind="u2")):
            numpy.testing.assert_array_equal(opened(encode_picture(picture, PNG)), picture)

    def test_png_of_views(self) -> None:
        """Pictures that do not lie in memory row by row are written as what they show."""
        for picture in (noise(4, 6)[::2, ::-1], noise(3, 4, 5).transpose(1, 2, 0)):
            numpy.testing.assert_array_equal(opened(encode_picture(picture, PNG)), picture)

    def test_png_of_negative_numbers(self) -> None:
        """Negative numbers are in a PNG as their two's complement."""
        picture = noise(4, 4, kind="i2")
        self.assertLess(picture.min(), 0)
        numpy.testing.assert_array_equal(
            opened(encode_picture(picture, PNG)), picture.view("u2").astype("i4")
        )

    def test_jpeg(self) -> None:
        """A JPEG is about the same, and smaller with less quality."""
        picture = numpy.tile(numpy.arange(0, 256, 2, "u1"), (64, 1))
        data = encode_picture(picture, JPEG)
        difference = opened(data).astype("i4") - picture
        self.assertLess(abs(difference).mean(), 2)
        self.assertLess(len(encode_picture(noise(64, 64), JPEG, 10)), 3000)

    def test_jpeg_errors(self) -> None:
        """A quality that is none, and 16 bits, are refused."""
        for quality in (0, 101, -1):
            error = self.assertRaises(OrthancError, encode_picture, noise(4, 4), JPEG, quality)
            self.assertEqual(error.code, ErrorCode.PARAMETER_OUT_OF_RANGE)
        wide = noise(4, 4, kind="u2")
        error = self.assertRaises(OrthancError, encode_picture, wide, JPEG)
        self.assertEqual(error.code, ErrorCode.NOT_IMPLEMENTED)

    def test_pam(self) -> None:
        """A PAM has its header, and numbers in big endian."""
        header, _, data = encode_picture(noise(2, 3, kind="u2"), PAM).partition(b"ENDHDR\n")
        self.assertEqual(
            header, b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 1\nMAXVAL 65535\nTUPLTYPE GRAYSCALE\n"
        )
        numpy.testing.assert_array_equal(
            numpy.frombuffer(data, ">u2").reshape(2, 3), noise(2, 3, kind="u2")
        )
        self.assertIn(b"DEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\n", encode_picture(noise(2, 3, 3), PAM))


class ScalingTests(SynchronousTestCase):
    """`scaled_size`, `scale`."""

    def test_sizes(self) -> None:
        """A picture keeps its shape, and fits into what is asked for."""
        self.assertEqual(scaled_size(350, 800, 0, 0), (350, 800))
        self.assertEqual(scaled_size(350, 800, 32, 0), (14, 32))
        self.assertEqual(scaled_size(350, 800, 0, 32), (32, 73))
        self.assertEqual(scaled_size(350, 800, 16, 32), (7, 16))
        self.assertEqual(scaled_size(1, 10_000, 10, 0), (1, 10))

    def test_size_is_limited(self) -> None:
        """No request makes a picture larger than the limit, on any side."""
        for size in (scaled_size(2, 2, 10**9, 0), scaled_size(1, 60_000, 0, 10**9)):
            self.assertLessEqual(max(size), MAXIMUM_SIDE)

    def test_smooth(self) -> None:
        """What becomes smaller is blurred before if that is wanted, a flat picture stays flat."""
        stripes = numpy.zeros((64, 64), "u1")
        stripes[:, ::2] = 255
        sharp, blurred = (scale(stripes, 16, 16, smooth=smooth) for smooth in (False, True))
        self.assertEqual(len(numpy.unique(sharp)), 1)
        self.assertLess(abs(blurred.astype("i4") - 127).max(), 40)
        flat = numpy.full((9, 9, 3), 200, "u1")
        self.assertEqual(set(scale(flat, 3, 3, smooth=True).ravel().tolist()), {200})
