from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.sliding_window import SlidingWindow


class SlidingWindowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.under_way: dict[int, Deferred[Any]] = {}
        self.ended: list[int] = []
        self.is_stopping = False

    def start(self, item: int) -> Deferred[Any]:
        self.under_way[item] = Deferred()
        return self.under_way[item]

    def take(self, item: int, result: object) -> None:
        self.ended.append(item)
        if isinstance(result, Failure):
            result.raiseException()

    def window(self, count: int, **more: Any) -> SlidingWindow[int]:
        return SlidingWindow(
            range(count),
            more.pop("start", self.start),
            self.take,
            limit=3,
            per_step=2,
            is_stopping=lambda: self.is_stopping,
        )

    def finish(self, item: int, result: object = None) -> None:
        self.under_way.pop(item).callback(result)

    def test_slides(self) -> None:
        """As one ends the next begins; a step is over after two, the others go on."""
        window = self.window(6)
        step = window.step()
        self.assertEqual(sorted(self.under_way), [0, 1, 2])
        self.finish(1)
        self.assertEqual(sorted(self.under_way), [0, 2, 3])
        self.assertNoResult(step)
        self.finish(3)
        self.successResultOf(step)
        self.assertEqual(sorted(self.under_way), [0, 2, 4])

    def test_between_steps(self) -> None:
        """What ends between two steps counts for the next one."""
        window = self.window(6)
        step = window.step()
        self.finish(0)
        self.finish(1)
        self.successResultOf(step)
        for item in (2, 3, 4, 5):
            self.finish(item)
        self.assertTrue(window.is_done)
        self.successResultOf(window.step())
        self.assertEqual(self.ended, [0, 1, 2, 3, 4, 5])

    def test_at_once(self) -> None:
        """Work that is done when it begins takes no recursion, and one step."""
        window = self.window(5000, start=lambda item: succeed(item))
        self.successResultOf(window.step())
        self.assertTrue(window.is_done)
        self.assertEqual(len(self.ended), 5000)

    def test_nothing(self) -> None:
        """No items, no work."""
        window = self.window(0)
        self.successResultOf(window.step())
        self.assertTrue(window.is_done)

    def test_failure(self) -> None:
        """After a failure nothing begins; the step fails when nothing is under way."""
        window = self.window(9)
        step = window.step()
        self.finish(1, Failure(ValueError("bad")))
        self.assertEqual(sorted(self.under_way), [0, 2])
        self.finish(0)
        self.assertNoResult(step)
        self.finish(2)
        self.failureResultOf(step, ValueError)

    def test_stopping(self) -> None:
        """When the job is to stop, the step ends when what is under way has ended."""
        window = self.window(9)
        step = window.step()
        self.is_stopping = True
        self.finish(0)
        self.finish(2)
        self.assertNoResult(step)
        self.finish(1)
        self.successResultOf(step)
        self.assertEqual((self.ended, window.is_done), ([0, 2, 1], False))

    def test_cancelled(self) -> None:
        """Cancelling a step gives up all that is under way; that is no failure of an item."""
        window = self.window(9)
        step = window.step()
        step.cancel()
        self.failureResultOf(step, CancelledError)
        self.assertEqual(self.ended, [])
        self.assertTrue(all(work.called for work in self.under_way.values()))
