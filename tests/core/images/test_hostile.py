"""Images that somebody has broken on purpose, shown by real worker processes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor  # noqa: TID251  (processes)
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from orthanc_tw.core.images.frames import PictureOptions
from orthanc_tw.core.images.task import PICTURE
from orthanc_tw.dicom.images.picture import PNG
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.workers.pool import WorkerPool
from orthanc_tw.workers.settings import MB, WorkerSettings
from tests.dicom.images.support import DATA, made_bytes

reactor: Any = real_reactor
SEED = 7
FUZZED = (
    "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "JPGExtended.dcm",
    "MR_small_RLE.dcm",
    "examples_palette.dcm",
)
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_JPEG_BOMB = bytes.fromhex("ffd8ffc0000b08ffffffff01011100ffda0008010100003f00") + b"\0" * 64
_J2K_BOMB = bytes.fromhex("ff4fff51002900007fffffff7fffffff0000000000000000") + bytes(64)


def hostile() -> Iterator[bytes]:
    """Files of which none has a picture that can be shown."""
    for lie in ({"rows": 65535}, {"columns": 65535}, {"stored": 0}):
        yield made_bytes(b"\1\2\3\4", **lie)
    yield made_bytes(b"", 65535, 65535, samples=3, allocated=16)
    yield made_bytes(b"\1\2\3\4", space=b"PALETTE COLOR ")
    for suffix, stream in (("50", _JPEG_BOMB), ("90", _J2K_BOMB), ("80", _JPEG_BOMB)):
        yield made_bytes(
            b"", 65535, 8191, fragments=[stream], syntax="1.2.840.10008.1.2.4." + suffix
        )
    yield made_bytes(b"", 20000, 20000, fragments=[b"\1" * 64], syntax="1.2.840.10008.1.2.5")


def fuzzed() -> Iterator[bytes]:
    """Files of the test data with some bytes of their pixels changed or cut off."""
    source = random.Random(SEED)
    for name in FUZZED:
        data = (DATA / "test_files" / name).read_bytes()
        start = data.find(_PIXEL_DATA) + 12
        for _ in range(2):
            broken = bytearray(data)
            for _ in range(source.choice((1, 4, 40))):
                broken[source.randrange(start, len(broken))] = source.randrange(256)
            yield bytes(broken)
            yield data[: source.randrange(start, len(data))]


class HostileTests(TestCase):
    """`PICTURE` in a `WorkerPool`."""

    timeout = 300

    def setUp(self) -> None:
        settings = WorkerSettings(workers=2, memory_bytes=1024 * MB, deadline_s=60.0)
        self.pool = WorkerPool(reactor.spawnProcess, reactor, settings)
        self.addCleanup(self.pool.stop)
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def write(self, number: int, data: bytes) -> None:
        Path(self.path(f"{number}.dcm")).write_bytes(data)

    async def picture(self, number: int, data: bytes) -> bytes | OrthancError | None:
        self.write(number, data)
        arguments = [
            self.path(f"{number}.dcm"), 1, self.folder, 0,
            PictureOptions("preview", PNG).to_plain(), self.path(f"{number}.png"),
        ]  # fmt: skip
        try:
            shown: bytes | None = await self.pool.run(PICTURE, arguments)
        except OrthancError as error:
            return error
        return shown

    async def test_none_is_shown(self) -> None:
        """Each is an error, and the next good image is shown."""
        good = (DATA / "test_files" / "CT_small.dcm").read_bytes()
        for number, data in enumerate(hostile()):
            found = await self.picture(number, data)
            self.assertIsInstance(found, OrthancError, str(number))
        self.assertTrue((await self.picture(99, good)).startswith(b"\x89PNG"))
        self.assertLessEqual(len(self.pool.pids), 2)

    async def test_fuzzed(self) -> None:
        """Each is an error or a picture, the same for each of two processes."""
        for number, data in enumerate(fuzzed()):
            both = await gatherResults(
                [Deferred.fromCoroutine(self.picture(2 * number + more, data)) for more in (0, 1)]
            )
            if any(isinstance(found, OrthancError) for found in both):
                kinds = {type(found) for found in both}
                self.assertEqual(kinds, {OrthancError}, str(number))
            else:
                self.assertEqual(both[0], both[1], str(number))
                self.assertTrue(both[0].startswith(b"\x89PNG"))
        self.assertLessEqual(len(self.pool.pids), 2)
