"""Data sets on their way out."""

from __future__ import annotations

from io import BytesIO

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net.store_user import PaddedFile


class PaddedFileTests(SynchronousTestCase):
    """`PaddedFile`."""

    def test_once(self) -> None:
        """One NUL comes after the last byte, wherever the pieces end."""
        for size in (1, 2, 3, 5, 6, 100):
            file = PaddedFile(BytesIO(b"abcde"))
            pieces = []
            while piece := file.read(size):
                pieces.append(piece)
            self.assertEqual(b"".join(pieces), b"abcde\0", size)
