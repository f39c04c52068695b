"""What is being received, on disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.transfers.buckets import Bucket, TransferInstance, make_buckets
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.testing.memory_storage import MemoryStorage

CONTENTS = (b"a" * 7, bytes(range(25)), b"", b"cc")


class ReceptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        self.folder = os.path.join(self.folder, "one")
        instances = [
            TransferInstance(f"id{n}", len(data), hashlib.md5(data).hexdigest())
            for n, data in enumerate(CONTENTS)
        ]
        buckets = list(make_buckets(instances, 10))
        self.reception = Reception.create(self.folder, instances, buckets, sync=True)
        whole, self.bodies = b"".join(CONTENTS), []
        for bucket in buckets:
            self.bodies.append(whole[: bucket.size_bytes])
            whole = whole[bucket.size_bytes :]

    def write(self, number: int, body: bytes, compressed: bool = False) -> None:
        self.reception.write(number, io.BytesIO(body), compressed=compressed)

    def test_whole(self) -> None:
        """In any order, compressed or not, twice or once: the instances are right at the end."""
        for number in reversed(range(len(self.bodies))):
            body = self.bodies[number]
            self.assertIn(number, self.reception.missing())
            self.write(number, gzip.compress(body) if number % 2 else body, bool(number % 2))
            self.write(number, body)
        self.assertEqual([], self.reception.missing())
        for number, content in enumerate(CONTENTS):
            self.assertTrue(self.reception.is_right(number))
            spool = MemoryStorage().new_spool()
            self.reception.copy(number, spool)
            self.assertEqual(content, spool.reader().read())

    def test_wrong_size(self) -> None:
        """Too little, too much, what inflates to too much, and what is no gzip is refused."""
        body = self.bodies[1]
        for sent, compressed in (
            (body[:-1], False),
            (body + b"x", False),
            (gzip.compress(body + b"x" * 10_000_000), True),
            (gzip.compress(body)[:-9], True),
            (b"\x1f\x8bnonsense", True),
        ):
            with self.assertRaises(OrthancError) as caught:
                self.write(1, sent, compressed)
            self.assertIs(ErrorCode.NETWORK_PROTOCOL, caught.exception.code)
            self.assertEqual(400, caught.exception.http_status)
            self.assertIn(1, self.reception.missing())
        with self.assertRaises(OrthancError):
            self.write(len(self.bodies), b"")

    def test_again(self) -> None:
        """After a restart the buckets that were there are there, but for a torn last line."""
        for number in (0, 2):
            self.write(number, self.bodies[number])
        self.reception.close()
        with open(os.path.join(self.folder, "buckets.journal"), "ab") as file:
            file.write(b"+1")
        self.reception = Reception.open(self.folder, sync=True)
        rest = [n for n in range(len(self.bodies)) if n not in (0, 2)]
        self.assertEqual(rest, self.reception.missing())
        for number in rest:
            self.write(number, self.bodies[number])
        self.reception.forget([1])
        wrong = self.reception.missing()
        self.assertTrue(wrong)
        self.reception.close()
        self.reception = Reception.open(self.folder, sync=True)
        self.assertEqual(wrong, self.reception.missing())

    def test_wrong_md5(self) -> None:
        """An instance with other bytes is not right."""
        for number, body in enumerate(self.bodies):
            self.write(number, body.replace(b"c", b"d"))
        right = [self.reception.is_right(number) for number in range(len(CONTENTS))]
        self.assertEqual([True, True, True, False], right)

    def test_no_space(self) -> None:
        """What is larger than the disk is refused at once: no space is taken, no bucket made."""
        folder = os.path.join(os.path.dirname(self.folder), "two")
        for size_bytes in (10**15, 10**18):
            instances = [TransferInstance("id", size_bytes, "0" * 32)]

            def buckets() -> Iterator[Bucket]:
                self.fail("buckets were made")
                yield

            with self.assertRaises(OrthancError) as caught:
                Reception.create(folder, instances, buckets(), sync=False)
            self.assertIs(ErrorCode.FULL_STORAGE, caught.exception.code)
            self.assertIn(str(size_bytes), str(caught.exception.details))
            self.assertNotIn("data", os.listdir(folder))

    def test_lost(self) -> None:
        """A folder that is gone is an error that says so."""
        with self.assertRaises(OrthancError):
            Reception.open(self.mktemp(), sync=True)

    def tearDown(self) -> None:
        self.reception.close()
