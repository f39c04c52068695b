"""How the sweep of the storage area leaves room for requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.sweeping import SweepService
from orthanc_tw.core.sweep import Sweep


class FakeSweep:
    """Has as many slices as it is told.

    :ivar left: slices that are not done
    """

    def __init__(self, slices: int) -> None:
        self.left = slices

    @property
    def is_over(self) -> bool:
        """Whether all are done."""
        return not self.left

    def next_slice(self) -> None:
        """Do one."""
        self.left -= 1


class SweepServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A service of three slices, and a thread that does one when it is told."""
        self.clock = Clock()
        self.sweep = FakeSweep(3)
        self.under_way: list[Deferred[None]] = []
        self.ends = 0
        self.service = SweepService(
            cast(Sweep, self.sweep), self._ended, self._in_thread, self.clock
        )

    def _ended(self) -> None:
        self.ends += 1

    def _in_thread(self, function: Callable[[], None]) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        deferred.addCallback(lambda _: function())
        self.under_way.append(deferred)
        return deferred

    def _do_slice(self, duration_s: float) -> None:
        self.clock.advance(duration_s)
        self.under_way.pop().callback(None)

    def test_pauses(self) -> None:
        """A slice follows the one before after twenty times what that took; one ends it."""
        self.service.startService()
        self._do_slice(0.01)
        self.clock.advance(0.19)
        self.assertEqual(self.under_way, [])
        self.clock.advance(0.02)
        self._do_slice(0.005)
        self.clock.advance(0.11)
        self.assertEqual((self.sweep.left, self.ends), (1, 0))
        self._do_slice(0.005)
        self.assertEqual((self.sweep.left, self.ends), (0, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(self.service.stopService()))

    def test_long_slices(self) -> None:
        """However long a slice takes, as on a slow disk, the pause after it is a short one."""
        self.service.startService()
        self._do_slice(30)
        self.clock.advance(0.5)
        self.assertEqual(len(self.under_way), 1)

    def test_stop_in_pause(self) -> None:
        """A stop amid a pause ends it at once."""
        self.service.startService()
        self._do_slice(0.01)
        self.assertIsNone(self.successResultOf(self.service.stopService()))
        self.assertEqual((self.sweep.left, self.ends), (2, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_in_slice(self) -> None:
        """A stop waits for the slice that is under way, after which there is no other."""
        self.service.startService()
        stopping = self.service.stopService()
        self.assertNoResult(stopping)
        self._do_slice(0.01)
        self.assertIsNone(self.successResultOf(stopping))
        self.assertEqual((self.sweep.left, self.ends), (2, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """A failure, as of a folder that cannot be read, is logged, and ends the sweep."""
        self.service.startService()
        self.under_way.pop().errback(PermissionError("no"))
        self.assertEqual(len(self.flushLoggedErrors(PermissionError)), 1)
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))
        self.assertIsNone(self.successResultOf(self.service.stopService()))
