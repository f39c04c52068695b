"""Every picture, array and raw frame of the recordings, made again."""

from __future__ import annotations

import contextlib
import hashlib
import io

import numpy
import pydicom
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.images.arrays import matlab, write_numpy
from orthanc_tw.dicom.images.rendering import preview, read_frame, rendered, truncated
from orthanc_tw.model.errors import OrthancError
from tests.dicom.images.support import DATA, image_file, recorded

_KINDS = {"image-uint8": "u1", "image-uint16": "u2", "image-int16": "i2"}
_LOSSY = "1.2.840.10008.1.2.4.5"
_JPEG_2000 = "1.2.840.10008.1.2.4.9"
_NEW = ("1.2.840.10008.1.2.4.8", _JPEG_2000)


def sha(data) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(image, operation: str, index: int):
    frame = read_frame(image, index)
    if operation == "preview":
        return preview(frame)
    if operation == "rendered":
        return rendered(frame, image.attributes, None, None)
    return truncated(frame, _KINDS[operation])


class RecordedTests(SynchronousTestCase):
    """What Orthanc 1.13.0 answered, held against what is made here."""

    def test_pictures(self) -> None:
        """Pixels of lossless images are equal, and what Orthanc refuses is refused."""
        compared = refused = 0
        for name, operation, index, response in recorded():
            if operation not in ("preview", "rendered", *_KINDS):
                continue
            if response["status"] == 415 and ".4.9" in syntax_of(name):
                continue
            if response["status"] == 404:
                continue  # an upload that the reference has refused
            if response["status"] == 415:
                refused += 1
                with self.assertRaises(OrthancError):
                    picture(image_file(name), operation, index)
                continue
            image = image_file(name)
            found = picture(image, operation, index)
            expected = response["binary"]["image"]
            self.assertEqual(list(found.shape[1::-1]), expected["size"], (name, operation))
            if not image.transfer_syntax.startswith(_LOSSY):
                compared += 1
                self.assertEqual(sha(found.tobytes()), expected["pixels_sha256"], (name, operation))
        self.assertGreater(compared, 80)
        self.assertGreater(refused, 40)

    def test_raw_frames(self) -> None:
        """Frames are answered as they are stored, uncompressed ones in little endian."""
        compared = 0
        for name, operation, index, response in recorded():
            if operation == "raw" and response["status"] == 200:
                compared += 1
                data = b"".join(image_file(name).stored(index))
                binary = response["binary"]
                if "sha256" in binary:
                    self.assertEqual(sha(data), binary["sha256"], name)
        self.assertGreater(compared, 40)

    def test_arrays(self) -> None:
        """The arrays for NumPy have the shapes, types and numbers of the recordings."""
        compared = 0
        for name, operation, index, response in recorded():
            if operation != "numpy" or response["status"] != 200 or index:
                continue
            image = image_file(name)
            target = io.BytesIO()
            write_numpy(
                [contextlib.nullcontext(image)],
                image.frame_count,
                None,
                target,
                rescaled=True,
                compressed=False,
            )
            target.seek(0)
            array = numpy.load(target)
            expected = response["binary"]["npy"]
            self.assertEqual(list(array.shape), expected["shape"], name)
            self.assertEqual(array.dtype, numpy.dtype(expected["dtype"]))
            if not image.transfer_syntax.startswith(_LOSSY):
                compared += 1
                self.assertEqual(sha(array.tobytes()), expected["data_sha256"], name)
        self.assertGreater(compared, 20)

    def test_matlab(self) -> None:
        """The text for Matlab is that of the recordings, but for images that are not square."""
        compared = 0
        for name, operation, index, response in recorded():
            if operation != "matlab" or response["status"] != 200:
                continue
            image = image_file(name)
            described = image.pixel_format
            is_colour = described.is_colour or described.photometric_interpretation[0] == "P"
            if image.transfer_syntax.startswith(_LOSSY) or (
                is_colour and described.rows != described.columns
            ):
                continue
            compared += 1
            text = "".join(matlab(image, index))
            if "text" in response:
                self.assertEqual(text, response["text"])
            else:
                self.assertEqual(sha(text.encode()), response["text_hash"]["sha256"], name)
        self.assertGreater(compared, 15)

    def test_what_orthanc_could_not_decode(self) -> None:
        """JPEG 2000 and JPEG-LS have the pixels that pydicom decodes."""
        compared = 0
        for path in sorted((DATA / "test_files").glob("*.dcm")):
            dataset = pydicom.dcmread(path, force=True)
            syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
            if not syntax.startswith(_NEW) or "embedded" in path.name:
                continue
            samples, _ = image_file(f"test_files/{path.name}").samples(0)
            expected = pydicom.pixels.pixel_array(dataset, index=0, raw=True)
            numpy.testing.assert_array_equal(samples, expected, path.name)
            compared += 1
        self.assertGreater(compared, 10)


def syntax_of(name: str) -> str:
    return str(
        pydicom.dcmread(DATA / name, force=True, specific_tags=[]).file_meta.TransferSyntaxUID
    )
