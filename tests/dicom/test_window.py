"""The window over a file that is parsed, and parsing across its edges."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.window import HEAD_BYTES, Window
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.build import element, meta


class WindowTests(SynchronousTestCase):
    """`Window` by itself."""

    def test_read_anywhere(self) -> None:
        """Bytes are those of the file, forwards, backwards, and up to its end."""
        data = bytes(range(256)) * 200
        window = Window(io.BytesIO(data), len(data))
        for position in (0, 51_190, 20, 8_190, 40_000, 8_191, 51_199, 51_200, 60_000):
            self.assertEqual(window.read(position, 300), data[position : position + 300])

    def test_last_head(self) -> None:
        """Up to `last_head` there is a whole head in memory, unless the file ends there."""
        data = bytes(100_000)
        window = Window(io.BytesIO(data), len(data))
        window.move(50)
        self.assertEqual(window.last_head, 50 + len(window.data) - HEAD_BYTES)
        window.move(99_990)
        self.assertEqual((len(window.data), window.last_head), (10, 100_000))

    def test_more_than_a_window(self) -> None:
        """What is needed at once is there however much it is."""
        data = bytes(100_000)
        window = Window(io.BytesIO(data), len(data))
        self.assertEqual(len(window.read(7, 60_000)), 60_000)

    def test_file_that_shrinks(self) -> None:
        """A file that is cut while it is read is an error, not an element of zeros."""
        window = Window(io.BytesIO(bytes(100)), 200)
        error = self.assertRaises(OrthancError, window.move, 0)
        self.assertIs(error.code, ErrorCode.BAD_FILE_FORMAT)


class EdgeTests(SynchronousTestCase):
    """Elements that lie across the edge of a window."""

    def test_every_shift(self) -> None:
        """Every element has its value, wherever in it a window ends."""
        for shift in range(0, 60, 2):
            values = [bytes((65 + n % 26,)) * 40 for n in range(600)]
            elements = [element(0x00091000 + n, "LO", value) for n, value in enumerate(values)]
            first = element(0x00080008, "CS", b"x" * shift)
            document = read_document(io.BytesIO(meta() + first + b"".join(elements)))
            found = [e.inline for e in document.dataset]
            self.assertEqual(found, [b"x" * shift, *values])
