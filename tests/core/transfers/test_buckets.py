"""Which bytes travel together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.transfers.buckets import (
    TransferInstance,
    make_buckets,
    parse_buckets,
    parse_instances,
)
from orthanc_tw.model.errors import OrthancError

MD5 = "0" * 32


def instances(*sizes: int) -> list[TransferInstance]:
    return [TransferInstance(f"id{number}", size, MD5) for number, size in enumerate(sizes)]


class BucketTests(SynchronousTestCase):
    def test_small_and_large(self) -> None:
        """Small instances share a bucket, a large one is split, and the rest of it is alone."""
        buckets = make_buckets(instances(3, 4, 25, 5), 10)
        found = [[(c.instance, c.offset, c.size_bytes) for c in one.chunks] for one in buckets]
        self.assertEqual(
            found, [[(0, 0, 3), (1, 0, 4)], [(2, 0, 10)], [(2, 10, 10)], [(2, 20, 5)], [(3, 0, 5)]]
        )

    def test_url(self) -> None:
        """However small they are, no more instances share a bucket than a URL can name."""
        buckets = list(make_buckets(instances(*[1] * 10), 1000, url_bytes=12))
        self.assertEqual([3, 3, 3, 1], [len(one.chunks) for one in buckets])

    @settings(derandomize=True, database=None)
    @given(st.lists(st.integers(0, 50)), st.integers(1, 30))
    def test_properties(self, sizes: list[int], target: int) -> None:
        """Every byte is in a bucket, once and in order, and the wire's rules are kept."""
        given_instances = instances(*sizes)
        buckets = list(make_buckets(given_instances, target))
        found = [
            (chunk.instance, chunk.offset + byte)
            for bucket in buckets
            for chunk in bucket.chunks
            for byte in range(chunk.size_bytes)
        ]
        expected = [(n, byte) for n, size in enumerate(sizes) for byte in range(size)]
        self.assertEqual(expected, found)
        wire = [bucket.to_json(given_instances) for bucket in buckets]
        self.assertEqual(buckets, parse_buckets(wire, given_instances))

    def test_refused(self) -> None:
        """What is no range of a concatenation, or names what is not announced, is refused."""
        announced = instances(10, 10)

        def chunk(number: int, offset: object, size: object) -> dict[str, object]:
            return {"ID": f"id{number}", "Offset": offset, "Size": size}

        for bucket in (
            [],
            "text",
            [chunk(2, "0", "1")],
            [chunk(0, "5", "6")],
            [chunk(0, "0", "5"), chunk(1, "0", "1")],
            [chunk(0, "0", "10"), chunk(1, "1", "1")],
            [chunk(0, "-1", "5")],
            [chunk(0, "0", True)],
        ):
            with self.assertRaises(OrthancError):
                parse_buckets([bucket], announced)  # type: ignore[list-item]
        with self.assertRaises(OrthancError):
            parse_instances([announced[0].to_json(), announced[0].to_json()])
