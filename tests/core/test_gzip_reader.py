"""Gzip of what goes to peers."""

from __future__ import annotations

import gzip
import io
import zlib

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.data import make_instance
from orthanc_tw.core.gzip_reader import gzip_into
from orthanc_tw.testing.memory_storage import MemoryStorage


class GzipTests(SynchronousTestCase):
    def zipped(self, content: bytes, *, is_small: bool) -> bytes:
        spool = MemoryStorage().new_spool()
        source = io.BytesIO(content)
        gzip_into(spool, lambda: source, is_small=is_small)
        self.assertTrue(source.closed)
        return spool.reader().read()

    def test_sizes(self) -> None:
        """A slice is within 10 percent of zlib's size; what is small has that very size."""
        content = make_instance(1, 1, 1, 512).content
        best = zlib.compressobj(6, zlib.DEFLATED, 31)
        expected = len(best.compress(content) + best.flush())
        fast = self.zipped(content, is_small=False)
        self.assertLess(len(fast), 1.1 * expected)
        small = self.zipped(content, is_small=True)
        self.assertEqual(expected, len(small))
        self.assertEqual([content] * 2, [gzip.decompress(one) for one in (fast, small)])

    def test_nothing(self) -> None:
        """Nothing is a gzip of nothing."""
        for is_small in (False, True):
            self.assertEqual(b"", gzip.decompress(self.zipped(b"", is_small=is_small)))
