"""`Silence`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.peers.silence import Silence


class SilenceTests(SynchronousTestCase):
    """`Silence`."""

    def test_moved(self) -> None:
        """What moves is not cancelled; what rests is, after its time."""
        clock, watched = Clock(), Deferred[None]()
        silence = Silence(clock, 10)
        silence.watch(watched)
        clock.advance(9)
        silence.moved()
        clock.advance(9)
        self.assertNoResult(watched)
        clock.advance(1)
        self.failureResultOf(watched, CancelledError)
        self.assertTrue(silence.is_over)

    def test_end(self) -> None:
        """Nothing is left of one that has ended, or has no time limit."""
        clock = Clock()
        Silence(clock, 10).end()
        Silence(clock, 0).moved()
        self.assertEqual([], clock.getDelayedCalls())
