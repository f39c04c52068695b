"""What survives the end of the process, in order or not."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import CHECKPOINT, JobRequest, RetryLater
from orthanc_tw.jobs.quota import OutputLimits
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.testing.jobs import MemoryJobStore
from tests.jobs.support import Bench, Held, Scripted, ScriptedJob, leaves_file

STEPS = 6


class Writer:
    """What jobs of the restart tests do: step ``i`` writes line ``i``, at its place.

    :ivar effects: the lines, whose places make a step that is done twice harmless
    :ivar times: how often each was written
    """

    def __init__(self, checkpoints: bool, after_yield: bool) -> None:
        self.effects: dict[int, str] = {}
        self.times = [0] * STEPS
        self._checkpoints = checkpoints
        self._after_yield = after_yield

    def script(self, job: ScriptedJob) -> Iterator[Any]:
        done = int(job.at["done"]) if job.at else 0  # type: ignore[arg-type, call-overload]
        while done < STEPS:
            self.effects[done] = f"line {done}"
            self.times[done] += 1
            done += 1
            if not self._after_yield:
                job.at, job.part = {"done": done}, done / STEPS
            yield CHECKPOINT if self._checkpoints else None
            job.at, job.part = {"done": done}, done / STEPS


class KilledTests(SynchronousTestCase):
    def killed_after(self, turns: int, writer: Writer) -> tuple[bool, str, MemoryJobStore, str]:
        """Run an engine for so many turns of its Cooperator, then nothing of it any more."""
        folder = self.mktemp()
        bench = Bench(folder, Scripted(writer.script), save_interval_s=0)
        job_id = bench.submit("Scripted", run=False)
        ended = False
        for _ in range(turns):
            bench.pump.turn()
        ended = bench.state(job_id) == "Success"
        return ended, job_id, bench.store, folder

    def test_at_every_step(self) -> None:
        """Killed anywhere, a job ends with the same result, and no step is skipped."""
        for checkpoints, after_yield in ((True, False), (False, False), (True, True)):
            turns, ended = 0, False
            while not ended:
                writer = Writer(checkpoints, after_yield)
                ended, job_id, store, folder = self.killed_after(turns, writer)
                saved = dict(store.rows)
                again = Bench(folder, Scripted(writer.script), store=store)
                with self.subTest(turns=turns, checkpoints=checkpoints, after_yield=after_yield):
                    self.assertEqual(again.engine.list_ids(), [job_id])
                    self.assertEqual(again.state(job_id), "Success")
                    self.assertEqual(again.field(job_id, "Progress"), 100)
                    self.assertEqual(writer.effects, {i: f"line {i}" for i in range(STEPS)})
                    # Only the step under way was done twice; with a cursor that is behind
                    # by one, the step before it too.
                    twice = sum(writer.times) - STEPS
                    self.assertLessEqual(twice, 2 if after_yield else 1)
                    self.assertEqual(saved[job_id].job_id, job_id)
                turns += 1
            self.assertGreater(turns, STEPS)

    def test_ended_job_is_not_run_again(self) -> None:
        """A job that has ended stays as it was."""
        writer = Writer(True, False)
        ended, job_id, store, folder = self.killed_after(100, writer)
        self.assertTrue(ended)
        again = Bench(folder, Scripted(writer.script), store=store)
        self.assertEqual(writer.times, [1] * STEPS)
        self.assertEqual(again.state(job_id), "Success")


class StopTests(SynchronousTestCase):
    def test_running_job_goes_on(self) -> None:
        """At the end of the process a job is saved after its step, and goes on from there."""
        bench = Bench(folder := self.mktemp(), kind := Held(count=3), concurrent_jobs=1)
        job_id = bench.submit()
        waiting = bench.engine.wait(job_id)
        pending = bench.submit(name="second")
        kind.runs[0].go()
        bench.pump.run()
        stopped = bench.stop()
        self.assertNoResult(stopped)
        kind.runs[0].go()
        bench.pump.run()
        self.successResultOf(stopped)
        self.assertEqual(self.failureResultOf(waiting, OrthancError).value.http_status, 503)
        self.assertEqual(kind.runs[0].abandoned, 1)
        self.assertEqual(bench.store.rows[job_id].cursor, {"done": 2})
        self.assertEqual(bench.store.rows[job_id].state, "Pending")
        self.assertEqual(bench.store.rows[pending].state, "Pending")
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        self.failureResultOf(bench.engine.submit(JobRequest("Held", {})), OrthancError)
        again = Bench(folder, kind, store=bench.store, concurrent_jobs=1)
        self.assertEqual(again.state(job_id), "Running")
        self.assertEqual(again.state(pending), "Pending")
        kind.runs[-1].go()
        again.pump.run()
        self.assertEqual(again.state(job_id), "Success")
        self.assertEqual(kind.log, ["job 0", "job 1", "job 2", "second 0"])

    def test_step_that_takes_too_long(self) -> None:
        """After the grace the step is cancelled; the job goes on before it at the next start."""
        bench = Bench(self.mktemp(), kind := Held(count=3), stop_grace_s=5)
        job_id = bench.submit()
        stopped = bench.stop()
        bench.advance(4.9)
        self.assertNoResult(stopped)
        bench.advance(0.2)
        self.successResultOf(stopped)
        self.assertEqual(kind.runs[0].cancelled, 1)
        self.assertEqual(bench.store.rows[job_id].state, "Pending")
        self.assertEqual(bench.store.rows[job_id].cursor, {"done": 0})

    def test_pausing_job_stays_paused(self) -> None:
        """A pause asked for before the end is not forgotten."""
        bench = Bench(folder := self.mktemp(), kind := Held(count=3))
        job_id = bench.submit()
        bench.engine.pause(job_id)
        stopped = bench.stop()
        kind.runs[0].go()
        bench.pump.run()
        self.successResultOf(stopped)
        again = Bench(folder, kind, store=bench.store)
        self.assertEqual(again.state(job_id), "Paused")

    def test_end_being_saved(self) -> None:
        """A job whose final row is being written at the end has succeeded for who waits."""
        bench = Bench(self.mktemp(), kind := Held(count=1))
        job_id = bench.submit()
        waiting = bench.engine.wait(job_id)
        bench.store.held = True
        kind.runs[0].go()
        bench.pump.run()
        stopped = bench.stop()
        self.assertNoResult(stopped)
        self.assertNoResult(waiting)
        bench.store.release()
        self.assertTrue(self.successResultOf(waiting).succeeded)
        self.successResultOf(stopped)

    def test_idle(self) -> None:
        """Nothing to do, nothing to wait for."""
        bench = Bench(self.mktemp())
        self.successResultOf(bench.stop())

    def test_submission_that_waits(self) -> None:
        """Who waits for a place in the queue is told that there will be none."""
        bench = Bench(self.mktemp(), Held(), concurrent_jobs=1, limit_jobs=1)
        bench.submit()
        bench.submit()
        answer = bench.engine.submit(JobRequest("Held", {}))
        bench.stop()
        self.assertEqual(self.failureResultOf(answer, OrthancError).value.http_status, 503)

    def test_retrying_job(self) -> None:
        """A job that waits to be tried again is tried at the next start."""
        bench = Bench(folder := self.mktemp(), kind := Held(count=1))
        job_id = bench.submit()
        kind.runs[0].waiting[-1].errback(RetryLater(60, "busy"))
        bench.pump.run()
        self.assertEqual(bench.state(job_id), "Retry")
        self.successResultOf(bench.stop())
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        again = Bench(folder, kind, store=bench.store)
        self.assertEqual(again.state(job_id), "Running")
        self.assertEqual(again.field(job_id, "ErrorDetails"), "")


class LoadTests(SynchronousTestCase):
    def test_states(self) -> None:
        """Paused stays, ended stays with its outputs, everything else is pending, in order."""
        folder = self.mktemp()
        first = Bench(folder, Held(), Scripted(leaves_file), concurrent_jobs=1)
        done = first.submit("Scripted")
        failed = first.submit()
        first.engine.cancel(failed)
        first.pump.run()
        running = first.submit(name="running")
        paused = first.submit(name="paused")
        first.engine.pause(paused)
        pending = [first.submit(name=f"pending {i}") for i in range(3)]
        kind = Held()
        again = Bench(folder, kind, Scripted(), store=first.store, concurrent_jobs=1)
        self.assertEqual(again.engine.list_ids(), first.engine.list_ids())
        self.assertEqual(again.state(done), "Success")
        self.assertEqual(again.state(failed), "Failure")
        self.assertEqual(again.field(failed, "ErrorCode"), 37)
        self.assertEqual(again.state(paused), "Paused")
        self.assertEqual([again.state(job_id) for job_id in pending], ["Pending"] * 3)
        self.assertEqual(again.state(running), "Running")
        self.assertEqual(kind.log, ["running 0"])
        output = again.engine.output(done, "archive")
        assert output is not None
        with open(output.path, "rb") as file:
            self.assertEqual(file.read(), b"PK")
        for field in ("CreationTime", "CompletionTime", "Content", "Priority", "EffectiveRuntime"):
            self.assertEqual(again.field(done, field), first.field(done, field))

    def test_new_jobs_come_last(self) -> None:
        """A job submitted after a restart is younger than those of before it."""
        folder = self.mktemp()
        first = Bench(folder, Held(count=1), concurrent_jobs=1)
        for name in "abc":
            first.submit(name=name)
        kind = Held(count=1)
        again = Bench(folder, kind, store=first.store, concurrent_jobs=1)
        again.submit(name="d")
        for _ in range(3):
            next(job for job in kind.runs if job.waiting and not job.waiting[-1].called).go()
            again.pump.run()
        self.assertEqual(kind.log, ["a 0", "b 0", "c 0", "d 0"])

    def test_sweep(self) -> None:
        """Folders without a job go; outputs whose file is gone are no outputs any more."""
        folder = self.mktemp()
        first = Bench(folder, Scripted(leaves_file), outputs=OutputLimits(5))
        kept, lost = first.submit("Scripted"), first.submit("Scripted")
        os.mkdir(os.path.join(folder, "orphan"))
        with open(os.path.join(folder, "orphan", "file"), "w"):
            pass
        os.remove(os.path.join(folder, lost, "archive.zip"))
        again = Bench(folder, Scripted(), store=first.store, outputs=OutputLimits(5))
        self.assertEqual(sorted(os.listdir(folder)), sorted([kept, lost]))
        self.assertIsNotNone(again.engine.output(kept, "archive"))
        self.assertIsNone(again.engine.output(lost, "archive"))

    def test_smaller_limits(self) -> None:
        """Limits that are smaller than at the last start are kept at once."""
        folder = self.mktemp()
        first = Bench(folder, Scripted(leaves_file), outputs=OutputLimits(5))
        ids = []
        for _ in range(4):
            ids.append(first.submit("Scripted"))
            first.clock.advance(1)
        again = Bench(
            folder, Scripted(), store=first.store, history_size=3, outputs=OutputLimits(1)
        )
        self.assertEqual(again.engine.list_ids(), sorted(ids[1:]))
        self.assertEqual(
            [again.engine.output(i, "archive") is not None for i in ids],
            [False, False, False, True],
        )
        self.assertEqual(os.listdir(folder), ids[3:])
        self.assertEqual(sorted(first.store.rows), sorted(ids[1:]))

    def test_no_jobs(self) -> None:
        """With --no-jobs the saved jobs are dropped, and new ones run."""
        folder = self.mktemp()
        first = Bench(folder, Held(), Scripted(leaves_file))
        first.submit("Scripted")
        first.submit()
        kind = Held()
        again = Bench(folder, kind, store=first.store, reload_jobs=False)
        self.assertEqual(again.engine.list_ids(), [])
        self.assertEqual(first.store.rows, {})
        self.assertEqual(os.listdir(folder), [])
        again.submit(name="new")
        self.assertEqual(kind.log, ["new 0"])

    def test_save_jobs_false(self) -> None:
        """Without SaveJobs the rows of before are left alone, with their folders."""
        folder = self.mktemp()
        first = Bench(folder, Scripted(leaves_file))
        job_id = first.submit("Scripted")
        again = Bench(folder, Scripted(leaves_file), store=first.store, save_jobs=False)
        self.assertEqual(again.engine.list_ids(), [])
        self.assertEqual(list(first.store.rows), [job_id])
        self.assertEqual(os.listdir(folder), [job_id])

    def test_unknown_kind(self) -> None:
        """A saved job of a type that is no more fails, with a reason."""
        folder = self.mktemp()
        first = Bench(folder, Held())
        job_id = first.submit()
        again = Bench(folder, store=first.store)
        self.assertEqual(again.state(job_id), "Failure")
        self.assertEqual(again.field(job_id, "ErrorDetails"), "Unknown type of job: Held")

    def test_unreadable_row(self) -> None:
        """A row that cannot be read is left out, in the log; the others are loaded."""
        folder = self.mktemp()
        first = Bench(folder, Held())
        bad, good = first.submit(), first.submit()
        first.store.rows[bad] = replace(first.store.rows[bad], state="Dreaming")
        again = Bench(folder, Held(), store=first.store)
        self.assertEqual(again.engine.list_ids(), [good])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_slow_load(self) -> None:
        """What is submitted while the saved jobs are loaded waits for that."""
        bench = Bench(self.mktemp(), kind := Held(), start=False)
        rows: Deferred[Any] = Deferred()
        bench.store.load = lambda: rows  # type: ignore[method-assign]
        bench.engine.startService()
        ready = bench.engine.when_ready()
        answer = bench.engine.submit(JobRequest("Held", {}))
        bench.pump.run()
        self.assertNoResult(answer)
        self.assertNoResult(ready)
        rows.callback([])
        bench.pump.run()
        self.successResultOf(ready)
        self.successResultOf(answer)
        self.assertEqual(kind.log, ["job 0"])

    def test_failed_load(self) -> None:
        """If the saved jobs cannot be read, the engine says so to everybody, and runs nothing."""
        bench = Bench(self.mktemp(), Held(), start=False)
        bench.store.load = lambda: succeed(1 / 0)  # type: ignore[method-assign]
        bench.engine.startService()
        self.failureResultOf(bench.engine.when_ready(), ZeroDivisionError)
        self.failureResultOf(bench.engine.submit(JobRequest("Held", {})), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(bench.stop())
