from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.workers.frames import MAXIMUM_BYTES, BadFrame, FrameReader, pack


class FrameTests(SynchronousTestCase):
    def test_any_pieces(self) -> None:
        """Values come out as they went in, however the bytes are cut."""
        values: list[Any] = [None, [1, "é", b"\xff"], {"a": True}, -1.5]
        data = b"".join(map(pack, values))
        for size in (1, 2, 3, 7, len(data)):
            reader = FrameReader()
            found = [
                value
                for at in range(0, len(data), size)
                for value in reader.feed(data[at : at + size])
            ]
            self.assertEqual(found, values)

    def test_nonsense(self) -> None:
        """What is no frame is refused before it is waited for or held in memory."""
        too_long = (MAXIMUM_BYTES + 1).to_bytes(4, "big")
        for data in (too_long, b"\x00\x00\x00\x01\xc1"):
            with self.assertRaises(BadFrame):
                list(FrameReader().feed(data))

    def test_not_plain(self) -> None:
        """Objects and what is too long are not packed."""
        self.assertRaises(TypeError, pack, object())
        self.assertRaises(ValueError, pack, bytes(MAXIMUM_BYTES))
