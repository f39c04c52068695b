"""Deflating members: what comes out is what went in, and not much larger than zlib makes it."""

from __future__ import annotations

import io
import random
import zlib

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.zip.deflate import MemberReader, deflate_bytes, deflate_member
from orthanc_tw.core.zip.records import DEFLATED, STORED
from orthanc_tw.model.errors import ErrorCode, OrthancError


def slice_of(noise: int, pixels: int = 256 * 256) -> bytes:
    """16-bit pixels: a ramp with noise of so many values."""
    source = random.Random(noise)
    return b"".join(
        (1000 + number // 512 + source.randrange(noise)).to_bytes(2, "little")
        for number in range(pixels)
    )


SMOOTH, TISSUE, NOISE = slice_of(1), slice_of(40), slice_of(4096)


def inflated(data: list[bytes]) -> bytes:
    """The content of a raw deflate stream that ends where the data does."""
    engine = zlib.decompressobj(-15)
    content = engine.decompress(b"".join(data)) + engine.flush()
    assert engine.eof and not engine.unused_data
    return content


class WholeMemberTests(SynchronousTestCase):
    """`deflate_member`."""

    def test_round_trip(self) -> None:
        """Contents of all kinds and sizes inflate to what they were, with their CRC-32."""
        for content in (b"", b"x", SMOOTH, TISSUE, NOISE, TISSUE[:5000], b"\0" * 300_000):
            member = deflate_member(io.BytesIO(content), len(content), deflate=True)
            self.assertEqual(inflated(member.data), content)
            self.assertEqual(
                (member.method, member.crc, member.size),
                (DEFLATED, zlib.crc32(content), len(content)),
            )

    def test_stored(self) -> None:
        """What is not to be deflated is given out as it is."""
        member = deflate_member(io.BytesIO(NOISE), len(NOISE), deflate=False)
        self.assertEqual((member.method, b"".join(member.data)), (STORED, NOISE))
        self.assertEqual(member.crc, zlib.crc32(NOISE))

    def test_size(self) -> None:
        """At most 5 % larger than zlib 6, which Orthanc uses, whatever compressor is chosen."""
        for content in (SMOOTH, TISSUE, NOISE, TISSUE[:5000]):
            engine = zlib.compressobj(6, zlib.DEFLATED, -15)
            expected = len(engine.compress(content) + engine.flush())
            self.assertLessEqual(len(deflate_bytes(content)), 1.05 * expected + 64)

    def test_wrong_size(self) -> None:
        """A source that is shorter or longer than the index says is a corrupted file."""
        for size in (len(TISSUE) - 1, len(TISSUE) + 1, 0):
            with self.assertRaises(OrthancError) as caught:
                deflate_member(io.BytesIO(TISSUE), size, deflate=True)
            self.assertIs(caught.exception.code, ErrorCode.CORRUPTED_FILE)


class MemberReaderTests(SynchronousTestCase):
    """A member in parts."""

    def test_parts(self) -> None:
        """Whatever the budgets, the parts together are the whole member."""
        for content in (b"", b"x", SMOOTH, TISSUE, NOISE):
            for budget in (1000, 70_000, 1 << 30):
                if budget == 1000 and len(content) > 1:
                    content = content[:5500]
                reader = MemberReader(io.BytesIO(content), len(content), deflate=True)
                data: list[bytes] = []
                while not reader.is_done:
                    data += reader.read(budget)
                self.assertEqual(inflated(data), content)
                self.assertEqual(reader.crc, zlib.crc32(content))
                self.assertEqual(reader.size, len(content))
                self.assertEqual(reader.compressed_size, sum(map(len, data)))

    def test_wrong_size(self) -> None:
        """A source of another length than expected is a corrupted file, however it is read."""
        for size in (len(TISSUE) - 1, len(TISSUE) + 1):
            for budget in (50_000, len(TISSUE) - 1, 1 << 30):
                reader = MemberReader(io.BytesIO(TISSUE), size, deflate=True)
                with self.assertRaises(OrthancError) as caught:
                    while not reader.is_done:
                        reader.read(budget)
                self.assertIs(caught.exception.code, ErrorCode.CORRUPTED_FILE)
