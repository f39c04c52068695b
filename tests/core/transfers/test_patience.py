"""A transfer whose peer is away for a while, or whose user pauses it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import Job, TransientFailure
from orthanc_tw.jobs.kinds.transfer_network import TransferJobSettings
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.peers.errors import (
    PeerAnswerError,
    PeerStatusError,
    PeerTimeout,
    PeerUnreachable,
)
from tests.core.transfers.support import Side, drive, query, two_sides

#: Shortest delays.
_EAGER = 0.0


class PatienceTests(SynchronousTestCase):
    """Three instances, the settings that are the defaults but for small buckets."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self)
        self.ids = self.source.instances()
        for side in (self.source, self.target):
            side.use(TransferJobSettings(bucket_bytes=9000), lambda: _EAGER)

    def goes_away(self, side: Side, at: int, seconds: float) -> None:
        """The peer of a side cannot be reached for a while after so many requests."""
        back: list[float] = []

        def is_down() -> bool:
            if len(side.client.asked) >= at and not back:
                back.append(side.clock.seconds() + seconds)
            return bool(back) and side.clock.seconds() < back[0]

        side.client.is_down = is_down

    def pull(self) -> Job:
        return self.target.pull.create(query(self.source), None, self.target.context())

    def push(self) -> Job:
        return self.source.push.create(query(self.source), None, self.source.context())

    def test_pull(self) -> None:
        """A pull outlasts a peer that is down for half a minute, in one run."""
        self.goes_away(self.target, 3, 30)
        drive(self, self.pull(), self.target)
        self.assertGreaterEqual(self.target.clock.seconds(), 30)
        self.assertEqual(self.ids, self.target.instances())

    def test_push(self) -> None:
        """So does a push, amid its buckets and at its commit, in one transaction."""
        for at in (3, 10):
            self.source.client.asked.clear()
            self.goes_away(self.source, at, 30)
            drive(self, self.push(), self.source)
            begun = [one for one in self.source.client.asked if one == ("POST", "transfers/push")]
            self.assertEqual(1, len(begun))
        self.assertGreaterEqual(self.source.clock.seconds(), 60)
        self.assertEqual(self.ids, self.target.instances())

    def test_beginning(self) -> None:
        """A peer that was never there is given up sooner."""
        self.target.client.is_down = self.source.client.is_down = lambda: True
        for job, side in ((self.pull(), self.target), (self.push(), self.source)):
            with self.assertRaises(TransientFailure):
                drive(self, job, side)
            self.assertEqual(5, len(side.client.asked))
            self.assertLess(side.clock.seconds(), 15)

    def test_silent_beginning(self) -> None:
        """One that is silent at first costs its user a timeout, not five."""
        network, clock = self.target.pull.network, self.target.clock
        for timeout_s, tries in ((60, 1), (2, 4), (0, 5)):
            asked: list[int] = []

            async def ask(asked: list[int] = asked, timeout_s: float = timeout_s) -> None:
                asked.append(1)
                await deferLater(clock, timeout_s)
                raise PeerTimeout("other", "silent")

            done = Deferred.fromCoroutine(network.insist(ask, is_opening=True))
            for _ in range(200):
                clock.advance(0.5)
            self.failureResultOf(done, TransientFailure)
            self.assertEqual(tries, len(asked))

    def test_commit(self) -> None:
        """A commit is asked for until ``PeerCommitTimeout`` is over: it may have been done."""
        self.goes_away(self.source, 10, 500)
        drive(self, self.push(), self.source)
        self.assertEqual(self.ids, self.target.instances())
        self.source.client.asked.clear()
        self.goes_away(self.source, 10, 700)
        with self.assertRaises(TransientFailure):
            drive(self, self.push(), self.source)

    def test_progress(self) -> None:
        """Tries count anew when other buckets have gone well meanwhile; a wrong answer's do not."""
        network = self.target.pull.network
        for growth, error, tries in (
            (1, PeerUnreachable("other", "refused"), 20),
            (0, PeerUnreachable("other", "refused"), 8),
            (1, PeerAnswerError("other", "no bucket"), 5),
        ):
            asked: list[int] = []

            async def ask(asked: list[int] = asked, error: Exception = error) -> None:
                asked.append(1)
                if len(asked) < 20:
                    raise error

            def progress(asked: list[int] = asked, growth: int = growth) -> int:
                return growth * len(asked)

            done = Deferred.fromCoroutine(network.insist(ask, progress=progress))
            done.addErrback(lambda _: None)
            for _ in range(1000):
                self.target.clock.advance(1)
            self.successResultOf(done)
            self.assertEqual(tries, len(asked))

    def test_retries(self) -> None:
        """``MaxHttpRetries``: no further try, or as many as it says."""
        for retries in (0, 2):
            for side in (self.source, self.target):
                side.client.asked.clear()
                side.client.is_down = lambda: False
                side.use(TransferJobSettings(bucket_bytes=10**6, retries=retries))
            self.goes_away(self.target, 2, 10**6)
            with self.assertRaises(TransientFailure):
                drive(self, self.pull(), self.target)
            self.assertEqual(1 + 1 + retries, len(self.target.client.asked))

    def amid_back_off(self, at: int) -> tuple[Any, Any]:
        """A push that waits for its peer after so many requests: context, step."""
        self.source.client.asked.clear()
        self.goes_away(self.source, at, 10)
        context = self.source.context()
        for step in self.source.push.create(query(self.source), None, context).steps():
            ended: list[Any] = []
            step.addCallback(ended.append)
            if not ended:
                return context, step
        raise AssertionError("it does not wait")

    def interrupt(self, context: Any, step: Any) -> None:
        self.source.client.is_down = lambda: False
        context.cancelled = True
        step.cancel()
        self.failureResultOf(step, CancelledError)
        self.assertEqual([], self.source.clock.getDelayedCalls())

    def test_pause(self) -> None:
        """A pause does not wait for a peer that is away, and leaves it the transaction."""
        for number, at in enumerate((3, 10)):
            context, step = self.amid_back_off(at)
            self.assertTrue(context.pause_interrupts)
            self.interrupt(context, step)
            self.assertEqual(1 + number, self.target.transactions.available)

    def test_cancel(self) -> None:
        """A job that is cancelled discards its transaction."""
        context, step = self.amid_back_off(3)
        context.is_final = True
        self.interrupt(context, step)
        self.assertEqual(0, self.target.transactions.available)

    def test_failure(self) -> None:
        """A job that fails discards its transaction."""

        async def full(*_: Any) -> None:
            raise OrthancError(ErrorCode.FULL_STORAGE)

        self.target.transactions.write = full  # type: ignore[method-assign]
        with self.assertRaises(PeerStatusError):
            drive(self, self.push(), self.source)
        self.assertEqual(0, self.target.transactions.available)
        self.assertEqual(1, self.target.transactions.figures.aborted)
