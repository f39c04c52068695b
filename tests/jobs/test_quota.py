from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import Output
from orthanc_tw.jobs.quota import OutputLimits
from orthanc_tw.jobs.threads import ThreadGroup
from tests.jobs.support import Bench, Scripted, ScriptedJob


def leaves(job: ScriptedJob) -> Iterator[Any]:
    """Leave a file of as many bytes as asked for."""
    job.context.make_folder()
    path = os.path.join(job.context.folder, "f")
    with open(path, "wb") as file:
        file.write(bytes(int(job.parameters["bytes"])))  # type: ignore[call-overload]
    job.context.outputs["f"] = Output(path, "x/y", "f")
    yield None


class OutputsQuotaTests(SynchronousTestCase):
    def bench(self, limits: OutputLimits, **more: Any) -> Bench:
        return Bench(
            more.pop("folder", None) or self.mktemp(),
            Scripted(leaves),
            outputs=limits,
            history_size=99,
            **more,
        )

    def kept(self, bench: Bench, ids: list[str]) -> list[int]:
        """Which of them still have their output, and its file."""
        kept = [n for n, one in enumerate(ids) if bench.engine._registry.get(one).outputs]  # type: ignore[union-attr]
        files = [n for n, one in enumerate(ids) if os.path.exists(f"{bench.folder}/{one}/f")]
        self.assertEqual(kept, files)
        return kept

    def submit(self, bench: Bench, *sizes: int) -> list[str]:
        return [bench.submit("Scripted", bytes=size) for size in sizes]

    def test_size(self) -> None:
        """Those used longest ago go first, until the rest fits."""
        bench = self.bench(OutputLimits(99, size_bytes=100))
        ids = self.submit(bench, 40, 30, 20)
        self.assertEqual(self.kept(bench, ids), [0, 1, 2])
        self.assertIsNotNone(bench.engine.output(ids[0], "f"))
        ids += self.submit(bench, 40)
        self.assertEqual(self.kept(bench, ids), [0, 2, 3])
        self.assertEqual(bench.engine._registry.outputs.size_bytes, 100)

    def test_one_that_is_too_large(self) -> None:
        """What was made last stays until something else is: its client waits for it."""
        bench = self.bench(OutputLimits(99, size_bytes=100))
        ids = self.submit(bench, 10, 500)
        self.assertEqual(self.kept(bench, ids), [1])
        ids += self.submit(bench, 5)
        self.assertEqual(self.kept(bench, ids), [2])

    def test_age(self) -> None:
        """They go some time after the end of their job, and nothing is left to be called."""
        bench = self.bench(OutputLimits(99, age_s=100.0))
        ids = self.submit(bench, 1)
        bench.advance(60)
        ids += self.submit(bench, 1)
        bench.advance(30)
        self.assertEqual(self.kept(bench, ids), [0, 1])
        bench.advance(40)
        self.assertEqual(self.kept(bench, ids), [1])
        bench.advance(100)
        self.assertEqual(self.kept(bench, ids), [])
        self.assertEqual(bench.state(ids[0]), "Success")
        self.successResultOf(bench.stop())
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_restart(self) -> None:
        """A start applies its own limits to what earlier ones left, size and age alike."""
        folder = self.mktemp()
        first = self.bench(OutputLimits(99), folder=folder)
        ids = self.submit(first, 60, 60)
        again = self.bench(OutputLimits(99, size_bytes=100), folder=folder, store=first.store)
        self.assertEqual(self.kept(again, ids), [1])
        third = self.bench(OutputLimits(99, age_s=10.0), folder=folder, store=first.store)
        third.advance(20)
        self.assertEqual(self.kept(third, ids), [])

    def test_counted_once(self) -> None:
        """A job that is removed, or whose output is, leaves the sum."""
        bench = self.bench(OutputLimits(99, size_bytes=100))
        ids = self.submit(bench, 50, 30)
        self.successResultOf(bench.engine.delete(ids[0]))
        self.successResultOf(bench.engine.delete_output(ids[1], "f"))
        self.assertEqual(bench.engine._registry.outputs.size_bytes, 0)

    def test_one_of_several(self) -> None:
        """Without one of its outputs a job counts with the size of the others."""

        def leaves_two(job: ScriptedJob) -> Iterator[Any]:
            yield from leaves(job)
            path = os.path.join(job.context.folder, "g")
            with open(path, "wb") as file:
                file.write(b"123")
            job.context.outputs["g"] = Output(path, "x/y", "g")

        bench = Bench(self.mktemp(), Scripted(leaves_two), outputs=OutputLimits(9, 100))
        job_id = bench.submit("Scripted", bytes=50)
        self.assertEqual(bench.engine._registry.outputs.size_bytes, 53)
        self.successResultOf(bench.engine.delete_output(job_id, "f"))
        self.assertEqual(bench.engine._registry.outputs.size_bytes, 3)
        self.assertIsNotNone(bench.engine.output(job_id, "g"))

    def test_bad_limits(self) -> None:
        """Negative ones are refused."""
        for bad in ({"count": -1}, {"size_bytes": -1}, {"age_s": -1.0}):
            with self.subTest(**bad), self.assertRaises(ValueError):
                OutputLimits(**bad)  # type: ignore[arg-type]


class ThreadGroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.running: list[Deferred[Any]] = []

    def in_thread(self, function: Any) -> Deferred[Any]:
        self.running.append(Deferred())
        return self.running[-1].addCallback(lambda _: function())

    def test_limit(self) -> None:
        """No more run at a time than the limit says, in the order they were given."""
        group = ThreadGroup(self.in_thread, 2)
        results = [group.run(lambda n=n: n) for n in range(4)]
        self.assertEqual(len(self.running), 2)
        self.running[0].callback(None)
        self.assertEqual(self.successResultOf(results[0]), 0)
        self.assertEqual(len(self.running), 3)
        for number in (1, 2, 3):
            self.running[number].callback(None)
        self.assertEqual([self.successResultOf(result) for result in results[1:]], [1, 2, 3])

    def test_no_limit(self) -> None:
        """0 lets all run."""
        group = ThreadGroup(self.in_thread)
        for _ in range(9):
            group.run(lambda: None)
        self.assertEqual(len(self.running), 9)

    def test_end_of_the_run(self) -> None:
        """What waited for a thread is cancelled, what has one is waited for."""
        group = ThreadGroup(self.in_thread, 1)
        first, second = group.run(lambda: 1), group.run(lambda: 2)
        drained = group.drained()
        assert drained is not None
        self.failureResultOf(second)
        self.assertNoResult(drained)
        self.running[0].callback(None)
        self.successResultOf(drained)
        self.assertEqual(self.successResultOf(first), 1)
        self.assertEqual(len(self.running), 1)

    def test_cancelled_while_it_waits(self) -> None:
        """It is never begun."""
        group = ThreadGroup(self.in_thread, 1)
        group.run(lambda: 1)
        waiting = group.run(lambda: 2)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.running[0].callback(None)
        self.assertEqual(len(self.running), 1)
        self.assertIsNone(group.drained())

    def test_of_a_kind(self) -> None:
        """``JobsEngineThreadsCount`` limits the threads of the jobs of a type, each for itself."""

        def parallel(job: ScriptedJob) -> Iterator[Any]:
            for _ in range(3):
                job.context.in_thread(lambda: None)
            yield Deferred()

        for threads, expected in (({"Scripted": 2}, 2), ({"Other": 1}, 3)):
            bench = Bench(self.mktemp(), Scripted(parallel), threads=threads)
            bench.hold_threads = True
            bench.submit("Scripted")
            self.assertEqual(len(bench.held_threads), expected)
