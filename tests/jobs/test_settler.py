"""Outputs on their way to the disk: several in one turn, and none held up by another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.folders import JobFolders
from orthanc_tw.jobs.interface import Output
from orthanc_tw.jobs.settler import Settler


class SettlerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folders = JobFolders(os.path.abspath(self.mktemp()))
        self.turns: list[Callable[[], None]] = []
        self.settler = Settler(self.folders, self.in_thread)

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.turns.append(lambda: maybeDeferred(function, *args).chainDeferred(done))
        return done

    def settle(self, job_id: str, content: bytes = b"zip") -> Deferred[Any]:
        """A job that has left a file, and another that is no output."""
        self.folders.make(job_id)
        path = os.path.join(self.folders.path(job_id), "out")
        for name in (path, path + ".part"):
            with open(name, "wb") as file:
                file.write(content)
        return self.settler.settle(job_id, {"key": Output(path, "text/plain", "name")})

    def test_all_that_wait_share_a_turn(self) -> None:
        """While as many turns as allowed are under way, the others wait for the next, together."""
        jobs = [self.settle(f"job{number}", b"x" * number) for number in range(20)]
        under_way = len(self.turns)
        self.assertLess(under_way, 10)
        self.turns.pop(0)()
        self.assertTrue(jobs[0].called)
        self.assertEqual(len(self.turns), under_way)
        while self.turns:
            self.turns.pop()()
        for number, job in enumerate(jobs):
            stored = self.successResultOf(job)["key"]
            self.assertEqual((stored.file, stored.size_bytes), ("out", number))
            self.assertEqual(os.listdir(self.folders.path(f"job{number}")), ["out"])

    def test_a_bad_output(self) -> None:
        """An output that is not there fails its own job alone."""
        first = [self.settle(f"job{number}") for number in range(4)]
        missing = {"key": Output(os.path.join(self.folders.path("bad"), "out"), "", "")}
        bad, good = self.settler.settle("bad", missing), self.settle("good")
        while self.turns:
            self.turns.pop(0)()
        self.failureResultOf(bad, FileNotFoundError)
        for job in (*first, good):
            self.successResultOf(job)

    def test_flush(self) -> None:
        """It fires at once with nothing to do, else after the last who waits was told."""
        self.successResultOf(self.settler.flush())
        job = self.settle("job")
        flushed = self.settler.flush()
        self.assertNoResult(flushed)
        told: list[bool] = []
        job.addCallback(lambda _: told.append(flushed.called))
        self.turns.pop()()
        self.successResultOf(flushed)
        self.assertEqual(told, [False])

    def test_a_thread_that_fails(self) -> None:
        """If there is no thread to be had, all jobs of the turn fail, and the next may pass."""
        settler = Settler(self.folders, lambda *_: 1 / 0)  # type: ignore[arg-type,return-value]
        self.failureResultOf(settler.settle("job", {}), ZeroDivisionError)
        self.failureResultOf(settler.settle("job", {}), ZeroDivisionError)
        self.successResultOf(settler.flush())
