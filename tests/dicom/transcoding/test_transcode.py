"""Files come out in another transfer syntax, with pixels and header that agree."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy
import pydicom
from pydicom.encaps import generate_fragments
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.codecs.encoding import ENCODINGS
from orthanc_tw.dicom.images.colour import to_rgb
from orthanc_tw.dicom.images.image_file import ImageFile
from orthanc_tw.dicom.transcoding.transcode import Transcoded, Transcoding, transcode_instance
from orthanc_tw.model.errors import ErrorCode, OrthancError

_FOLDER = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files"
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2",
           "1.2.840.10008.1.2.1.99")  # fmt: skip
_BASELINE, _JPEG_LS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80"
_LOSSLESS = [syntax for syntax, encoding in ENCODINGS.items() if not encoding.is_lossy]
_FILES = (
    "CT_small.dcm",
    "dicomdirtests/77654033/CR1/6154",
    "SC_rgb_rle.dcm",
    "ExplVR_BigEnd.dcm",
    "JPEG-lossy.dcm",
    "image_dfl.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "examples_palette.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "693_J2KI.dcm",
    "MR_small_padded.dcm",
)


def _transcoded(name: str, *syntaxes: str, **more: Any) -> tuple[Transcoded, bytes]:
    target = io.BytesIO()
    with open(_FOLDER / name, "rb") as source:
        done = transcode_instance(source, target, Transcoding(syntaxes, **more))
    return done, target.getvalue()


def _frames(file: Any) -> list[Any]:
    image = ImageFile(file)
    try:
        frames = []
        for index in range(image.frame_count):
            samples, described = image.samples(index)
            frames.append(to_rgb(samples, described) if described.is_colour else samples)
        return frames
    finally:
        image.close()


class PixelTests(SynchronousTestCase):
    def test_lossless_syntaxes_keep_every_pixel(self) -> None:
        """To each uncompressed and lossless syntax the pixels of all frames stay the same."""
        for name in _FILES:
            with open(_FOLDER / name, "rb") as source:
                wanted = _frames(source)
            for syntax in (*_NATIVE, *_LOSSLESS):
                done, data = _transcoded(name, syntax)
                if done.is_unchanged:
                    self.assertEqual(data, b"")
                    continue
                found = _frames(io.BytesIO(data))
                self.assertEqual(len(found), len(wanted))
                for one, other in zip(found, wanted, strict=True):
                    self.assertTrue(numpy.array_equal(one, other), (name, syntax))

    def test_pydicom_reads_the_results(self) -> None:
        """Colour space, planes and bits of the header are those of the pixels."""
        wanted = pydicom.dcmread(_FOLDER / "SC_rgb_rle.dcm").pixel_array
        for syntax in (*_NATIVE, *_LOSSLESS):
            done, data = _transcoded("SC_rgb_rle.dcm", syntax)
            if not done.is_unchanged:
                read = pydicom.dcmread(io.BytesIO(data))
                self.assertTrue(numpy.array_equal(read.pixel_array, wanted), syntax)
                self.assertEqual(read.file_meta.TransferSyntaxUID, syntax)

    def test_frames_have_a_fragment_each(self) -> None:
        """The basic offset table points to the fragment of each frame."""
        _, data = _transcoded("examples_ybr_color.dcm", _JPEG_LS)
        read = pydicom.dcmread(io.BytesIO(data))
        fragments = list(generate_fragments(read.PixelData))
        self.assertEqual(len(fragments), 1 + read.NumberOfFrames)
        sizes = [0, *(len(fragment) + 8 for fragment in fragments[1:-1])]
        self.assertEqual(fragments[0], numpy.cumsum(sizes, dtype="<u4").tobytes())
        with open(_FOLDER / "examples_ybr_color.dcm", "rb") as source:
            wanted = _frames(source)
        for one, other in zip(_frames(io.BytesIO(data)), wanted, strict=True):
            self.assertTrue(numpy.array_equal(one, other))

    def test_without_pixels_the_elements_are_written_anew(self) -> None:
        """A plan without an image has the elements it had."""
        before = pydicom.dcmread(_FOLDER / "rtplan.dcm")
        for syntax in _NATIVE[1:]:
            _, data = _transcoded("rtplan.dcm", syntax)
            self.assertEqual(pydicom.dcmread(io.BytesIO(data)), before)


class LossyTests(SynchronousTestCase):
    def test_loss_is_told(self) -> None:
        """A lossy result is another instance, and says from what and how it was made."""
        done, data = _transcoded("SC_rgb_rle.dcm", _BASELINE, quality=80)
        before = pydicom.dcmread(_FOLDER / "SC_rgb_rle.dcm")
        read = pydicom.dcmread(io.BytesIO(data))
        self.assertNotEqual(done.sop_instance_uid, before.SOPInstanceUID)
        self.assertEqual(read.SOPInstanceUID, done.sop_instance_uid)
        self.assertEqual(read.file_meta.MediaStorageSOPInstanceUID, done.sop_instance_uid)
        self.assertEqual(read.ImageType[0], "DERIVED")
        self.assertEqual(read.LossyImageCompression, "01")
        self.assertEqual(read.LossyImageCompressionMethod, "ISO_10918_1")
        ratio = before.pixel_array.nbytes / len(next(self._frames(read)))
        self.assertAlmostEqual(float(read.LossyImageCompressionRatio), ratio, places=2)
        source = read.SourceImageSequence[0]
        self.assertEqual(source.ReferencedSOPInstanceUID, before.SOPInstanceUID)
        self.assertEqual(read.PhotometricInterpretation, "YBR_FULL_422")

    @staticmethod
    def _frames(read: Any) -> Any:
        fragments = generate_fragments(read.PixelData)
        next(fragments)
        return fragments

    def test_the_same_again_is_the_same_instance(self) -> None:
        """The new UID follows from the file, the syntax and the quality."""
        first, data = _transcoded("SC_rgb_rle.dcm", _BASELINE)
        again, same = _transcoded("SC_rgb_rle.dcm", _BASELINE)
        other, _ = _transcoded("SC_rgb_rle.dcm", _BASELINE, quality=20)
        self.assertEqual(data, same)
        self.assertEqual(first, again)
        self.assertNotEqual(first.sop_instance_uid, other.sop_instance_uid)

    def test_losses_add_up(self) -> None:
        """Ratio and method are added to those of an earlier compression."""
        _, data = _transcoded("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.91")
        read = pydicom.dcmread(io.BytesIO(data))
        self.assertEqual(len(read.LossyImageCompressionRatio), 2)
        self.assertEqual(list(read.LossyImageCompressionMethod), ["ISO_10918_1", "ISO_15444_1"])

    def test_the_uid_may_be_kept(self) -> None:
        """Whoever has given the instance a new UID already keeps that."""
        done, _ = _transcoded("SC_rgb_rle.dcm", _BASELINE, new_uid=False)
        self.assertEqual(
            done.sop_instance_uid, pydicom.dcmread(_FOLDER / "SC_rgb_rle.dcm").SOPInstanceUID
        )

    def test_palettes_become_colours(self) -> None:
        """The colours of a palette image are what is compressed, and the palette goes."""
        _, data = _transcoded("examples_palette.dcm", _BASELINE)
        read = pydicom.dcmread(io.BytesIO(data))
        self.assertEqual(read.SamplesPerPixel, 3)
        self.assertNotIn("RedPaletteColorLookupTableData", read)
        self.assertEqual(read.pixel_array.shape, (350, 800, 3))


class RefusalTests(SynchronousTestCase):
    def _refused(self, name: str, *syntaxes: str, **more: Any) -> OrthancError:
        return self.assertRaises(OrthancError, _transcoded, name, *syntaxes, **more)

    def test_impossible(self) -> None:
        """What a syntax cannot hold, or nothing here encodes, is 501 that names the field."""
        for name, syntax in (
            ("CT_small.dcm", _BASELINE),
            ("rtdose.dcm", _JPEG_LS),
            ("liver_1frame.dcm", _JPEG_LS),
            ("CT_small.dcm", "1.2.840.10008.1.2.4.100"),
        ):
            error = self._refused(name, syntax)
            self.assertEqual((error.code, error.http_status), (ErrorCode.NOT_IMPLEMENTED, 501))
            self.assertIn("Transcode", str(error.details))
            self.assertIn(syntax, str(error.details))

    def test_next_best(self) -> None:
        """Of several syntaxes, the first that is possible is taken."""
        done, _ = _transcoded("CT_small.dcm", _BASELINE, _JPEG_LS)
        self.assertEqual(done.syntax, _JPEG_LS)

    def test_loss_may_be_forbidden(self) -> None:
        """Without leave to lose information, lossy syntaxes are refused."""
        error = self._refused("SC_rgb_rle.dcm", _BASELINE, lossy=False)
        self.assertEqual(error.http_status, 501)

    def test_broken(self) -> None:
        """A truncated image is a bad file."""
        data = (_FOLDER / "SC_rgb_rle.dcm").read_bytes()[:-2000]
        target = io.BytesIO()
        error = self.assertRaises(
            OrthancError,
            transcode_instance,
            io.BytesIO(data),
            target,
            Transcoding((_JPEG_LS,)),
        )
        self.assertEqual(error.code, ErrorCode.BAD_FILE_FORMAT)
        self.assertEqual(target.getvalue(), b"")
