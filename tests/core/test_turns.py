from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.turns import Turns


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.called: list[int] = []
        self.turns = Turns()
        self.numbers = [self.turns.take() for _ in range(4)]

    def ready(self, index: int) -> None:
        self.turns.ready(self.numbers[index], partial(self.called.append, index))

    def test_order(self) -> None:
        """Whatever the order in which they become ready, they are called in that of their turns."""
        for index, so_far in ((2, []), (1, []), (0, [0, 1, 2]), (3, [0, 1, 2, 3])):
            self.ready(index)
            self.assertEqual(self.called, so_far)

    def test_skipped(self) -> None:
        """A turn that is skipped holds nobody up."""
        self.ready(1)
        self.turns.skip(self.numbers[0])
        self.assertEqual(self.called, [1])

    def test_skip_after_ready(self) -> None:
        """What was ready is called, once, although its turn is skipped afterwards."""
        self.ready(1)
        self.turns.skip(self.numbers[1])
        self.ready(0)
        self.turns.skip(self.numbers[0])
        self.assertEqual(self.called, [0, 1])

    def test_ready_after_skip(self) -> None:
        """What becomes ready when its turn was given up is called all the same."""
        self.turns.skip(self.numbers[1])
        self.ready(1)
        self.ready(0)
        self.turns.skip(self.numbers[2])
        self.ready(2)
        self.assertEqual(self.called, [0, 1, 2])

    def test_taken_amid_a_call(self) -> None:
        """What is called may take further turns, and skip its own."""

        def again() -> None:
            self.turns.skip(self.numbers[0])
            self.turns.ready(self.turns.take(), partial(self.called.append, 9))

        self.turns.ready(self.numbers[0], again)
        for index in (1, 2, 3):
            self.ready(index)
        self.assertEqual(self.called, [1, 2, 3, 9])
