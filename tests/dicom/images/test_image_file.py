"""Formats of images that the recordings do not have, and headers that lie."""

from __future__ import annotations

import struct

import numpy
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.images.arrays import numbers
from orthanc_tw.dicom.images.encapsulated import frames_of
from orthanc_tw.dicom.images.image_file import ImageLimits
from orthanc_tw.dicom.images.rendering import preview, read_frame, rendered, truncated
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.files import element
from tests.dicom.images.support import made


class FormatTests(SynchronousTestCase):
    """What samples mean."""

    def test_signed(self) -> None:
        """Negative samples are stretched, cut, and rescaled as what they are."""
        image = made(
            struct.pack("<4h", -100, 0, 50, 100),
            allocated=16,
            signed=1,
            extra=element(0x00281052, "DS", b"10") + element(0x00281053, "DS", b"2 "),
        )
        frame = read_frame(image, 0)
        self.assertEqual(preview(frame).ravel().tolist(), [0, 128, 191, 255])
        self.assertEqual(truncated(frame, "u1").ravel().tolist(), [0, 0, 50, 100])
        self.assertEqual(truncated(frame, "i2").ravel().tolist(), [-100, 0, 50, 100])
        array = numbers(image, 0, rescaled=True)
        self.assertEqual(array.ravel().tolist(), [-190.0, 10.0, 110.0, 210.0])
        self.assertEqual(numbers(image, 0, rescaled=False).dtype, numpy.dtype("<i2"))

    def test_window(self) -> None:
        """A window of the request is on rescaled values, one of no width is a threshold."""
        image = made(bytes((0, 10, 20, 30)))
        frame = read_frame(image, 0)
        shown = rendered(frame, image.attributes, 15.0, 10.0)
        self.assertEqual(shown.ravel().tolist(), [0, 0, 255, 255])
        threshold = rendered(frame, image.attributes, 19.5, 0.0)
        self.assertEqual(threshold.ravel().tolist(), [0, 0, 255, 255])

    def test_monochrome1(self) -> None:
        """The lowest sample is white, in previews and through windows."""
        image = made(bytes((0, 85, 170, 255)), space=b"MONOCHROME1 ")
        frame = read_frame(image, 0)
        for shown in (preview(frame), rendered(frame, image.attributes, 127.5, 255.0)):
            self.assertEqual(shown.ravel().tolist(), [255, 170, 85, 0])

    def test_single_bits(self) -> None:
        """Frames of single bits follow each other without padding, the first pixel lowest."""
        image = made(b"\xa5\x00", 1, 4, allocated=1, frames=b"2 ")
        shown = [preview(read_frame(image, index)).ravel().tolist() for index in (0, 1)]
        self.assertEqual(shown, [[255, 0, 255, 0], [0, 255, 0, 255]])

    def test_planes(self) -> None:
        """Colours by plane come out by pixel."""
        pixels = bytes((1, 2, 3, 4, 5, 6))
        image = made(pixels, 1, 2, samples=3, space=b"RGB ", planar=1)
        self.assertEqual(preview(read_frame(image, 0)).tolist(), [[[1, 3, 5], [2, 4, 6]]])

    def test_ybr(self) -> None:
        """YBR_FULL becomes RGB."""
        image = made(bytes((76, 85, 255)) + b"\0", 1, 1, samples=3, space=b"YBR_FULL")
        self.assertEqual(preview(read_frame(image, 0)).tolist(), [[[254, 0, 0]]])

    def test_floats(self) -> None:
        """Floating point samples are shown, those that are no numbers too."""
        pixels = struct.pack("<4f", float("nan"), -1.5, float("inf"), 2.5)
        image = made(pixels, allocated=32, pixel_tag=0x7FE00008, pixel_vr="OF")
        self.assertEqual(preview(read_frame(image, 0)).ravel().tolist(), [0, 0, 255, 255])
        array = numbers(image, 0, rescaled=False)
        self.assertEqual(array.dtype, numpy.dtype("<f4"))
        self.assertEqual(array.ravel().tolist()[1::2], [-1.5, 2.5])


class LieTests(SynchronousTestCase):
    """Headers that cannot be true."""

    def check(self, code: ErrorCode, *args, **kwargs) -> OrthancError:
        with self.assertRaises(OrthancError) as caught:
            image = made(*args, **kwargs)
            read_frame(image, image.frame_count - 1)
        self.assertEqual(caught.exception.code, code)
        return caught.exception

    def test_pixels_that_are_not_there(self) -> None:
        """A frame beyond the end of the pixels is an error, not memory of somebody else."""
        for lie in ({"rows": 3}, {"columns": 65535}, {"frames": b"2 "}, {"allocated": 16}):
            self.check(ErrorCode.BAD_FILE_FORMAT, b"\1\2\3\4", **lie)

    def test_size_is_checked_before_memory_is_spent(self) -> None:
        """A frame above the limit is refused by its header."""
        limits = ImageLimits(frame_bytes=1000)
        self.check(ErrorCode.NOT_ENOUGH_MEMORY, b"", 1000, 1000, limits=limits)
        self.check(ErrorCode.NOT_ENOUGH_MEMORY, b"", 65535, 65535, allocated=16, samples=3)

    def test_impossible_attributes(self) -> None:
        """An attribute that no image can have is named."""
        for lie, name in (
            ({"rows": 0}, "Rows"),
            ({"columns": 0}, "Columns"),
            ({"samples": 2}, "SamplesPerPixel"),
            ({"allocated": 7}, "BitsAllocated"),
            ({"stored": 9}, "BitsStored"),
            ({"signed": 2}, "PixelRepresentation"),
        ):
            error = self.check(ErrorCode.BAD_FILE_FORMAT, b"\1\2\3\4", **lie)
            self.assertIn(name, str(error))

    def test_number_of_frames(self) -> None:
        """A number of frames that is none is refused."""
        for frames in (b"a ", b"-1", b"1.5 ", b"99999999999 "):
            error = self.check(ErrorCode.BAD_FILE_FORMAT, b"\1\2\3\4", frames=frames)
            self.assertIn("Invalid number of frames", str(error))

    def test_bad_palettes(self) -> None:
        """Palettes that are missing, or shorter than they say, are refused."""
        descriptor = struct.pack("<HHH", 256, 0, 16)
        short = b"".join(
            element(tag, "US", descriptor) for tag in (0x00281101, 0x00281102, 0x00281103)
        ) + b"".join(element(tag, "OW", b"\0\0") for tag in (0x00281201, 0x00281202, 0x00281203))
        for extra in (b"", short):
            self.check(ErrorCode.BAD_FILE_FORMAT, b"\1\2\3\4", space=b"PALETTE COLOR ", extra=extra)

    def test_broken_streams(self) -> None:
        """Streams that no decoder understands are refused, whatever their syntax."""
        for suffix in ("5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.90", "4.91", "4.201"):
            for stream in (
                b"",
                b"\0" * 64,
                b"\xff\xd8\xff\xd9",
                b"\xff\x4f\xff\x51" + b"\xff" * 60,
            ):
                self.check(
                    ErrorCode.BAD_FILE_FORMAT,
                    b"",
                    fragments=[stream],
                    syntax="1.2.840.10008.1.2." + suffix,
                )

    def test_unknown_syntax(self) -> None:
        """A syntax without a decoder is not implemented."""
        self.check(
            ErrorCode.NOT_IMPLEMENTED, b"", fragments=[b"1234"], syntax="1.2.840.10008.1.2.4.100"
        )


class FragmentTests(SynchronousTestCase):
    """`frames_of`."""

    def test_one_frame_of_many_fragments(self) -> None:
        """All fragments are of the only frame."""
        found = frames_of([(0, 0), (8, 4), (20, 4)], 1, lambda *_: b"")
        self.assertEqual(found, [[(8, 4), (20, 4)]])

    def test_offset_table(self) -> None:
        """The table says where frames begin; one that is wrong is no help."""
        table = struct.pack("<2I", 0, 24)
        fragments = [(0, 8), (16, 4), (28, 4), (40, 4)]
        found = frames_of(fragments, 2, lambda offset, length: table)
        self.assertEqual(found, [[(16, 4), (28, 4)], [(40, 4)]])
        wrong = struct.pack("<2I", 0, 7)
        self.assertRaises(OrthancError, frames_of, fragments, 2, lambda *_: wrong)

    def test_ends_of_streams(self) -> None:
        """Without a table the end of a JPEG stream ends a frame, padded or not."""
        data = {24: b"\xff\xd9", 36: b"\xff\xd9\0", 8: b"abcd"}

        def read(offset: int, length: int) -> bytes:
            return data.get(offset, b"abcd")

        fragments = [(0, 0), (8, 4), (24, 4), (36, 4)]
        self.assertEqual(frames_of(fragments, 2, read), [[(8, 4), (24, 4)], [(36, 4)]])
        self.assertRaises(OrthancError, frames_of, fragments, 5, read)

    def test_no_fragments(self) -> None:
        """Pixel data without a fragment are refused."""
        self.assertRaises(OrthancError, frames_of, [], 1, lambda *_: b"")
