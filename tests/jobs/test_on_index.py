"""The engine on the real database, in memory and on disk."""

import os
from typing import Any

from orthanc_tw.jobs.interface import JobRequest
from orthanc_tw.jobs.store import IndexJobStore
from orthanc_tw.model.errors import OrthancError
from tests.index.support import MemoryCase, SqliteCase
from tests.jobs.support import Bench, Held, Scripted, leaves_file


class MemoryIndexTests(MemoryCase):
    def bench(self, folder: str, *kinds: Any, **settings: Any) -> Bench:
        store: Any = IndexJobStore(self.index)
        return Bench(folder, *kinds, store=store, concurrent_jobs=1, **settings)

    def test_every_column_survives(self) -> None:
        """What a job was before a restart it is after it."""
        folder = self.mktemp()
        first = self.bench(folder, Held(), Scripted(leaves_file))
        answer = first.engine.submit(
            JobRequest("Scripted", {"list": [1, {"é": None}]}, 7, ["user", 1], True)
        )
        first.pump.run()
        done = self.successResultOf(answer)
        failed = first.submit(priority=-3)
        first.clock.advance(1.5)
        first.engine.cancel(failed)
        first.pump.run()
        first.submit(name="running")
        paused = first.submit(name="paused")
        first.engine.pause(paused)
        again = self.bench(folder, kind := Held(), Scripted(leaves_file))
        again.clock.advance(1.5)
        for job_id in (done, failed, paused):
            self.assertEqual(again.engine.describe(job_id), first.engine.describe(job_id))
        self.assertEqual(kind.log, ["running 0"])
        self.assertIsNotNone(again.engine.output(done, "archive"))

    def test_order_is_that_of_submission(self) -> None:
        """Rows that were written again later are not younger for that."""
        folder = self.mktemp()
        first = self.bench(folder, Held(count=1))
        first.submit(name="a")
        old = first.submit(name="b")
        first.submit(name="c")
        first.engine.pause(old)
        first.engine.resume(old)
        again = self.bench(folder, kind := Held(count=1))
        for _ in range(3):
            next(job for job in kind.runs if job.waiting and not job.waiting[-1].called).go()
            again.pump.run()
        self.assertEqual(kind.log, ["a 0", "b 0", "c 0"])

    def test_history_goes(self) -> None:
        """Rows of jobs that are forgotten are not there any more."""
        bench = self.bench(self.mktemp(), Scripted(), history_size=2)
        for _ in range(5):
            bench.submit("Scripted")
        rows = self.read(lambda tx: tx.jobs())
        self.assertEqual(sorted(row.job_id for row in rows), bench.engine.list_ids())


class SqliteIndexTests(SqliteCase):
    def test_crash_and_restart(self) -> None:
        """On a real file: many jobs, all of them once, over a restart."""
        folder = os.path.join(self.directory, "jobs")
        runs: list[str] = []

        def script(job):
            yield None
            runs.append(job.parameters["name"])

        store: Any = IndexJobStore(self.index)
        bench = Bench(folder, Scripted(script), store=store, start=False, history_size=100)
        bench.engine.startService()
        self.wait(bench.engine.when_ready())
        answers = [
            bench.engine.submit(JobRequest("Scripted", {"name": str(number)}))
            for number in range(40)
        ]
        for answer in answers:
            self.wait(answer)
        self.assertEqual(len(self.read(lambda tx: tx.jobs())), 40)
        for _ in range(20):
            bench.pump.turn()
        while not self.calls.empty():
            self.pump()
        before = list(runs)
        self.assertGreater(len(before), 5)
        self.assertLess(len(before), 40)
        self.reopen()
        # What the first engine had not written by then failed, as it should.
        self.flushLoggedErrors(OrthancError)
        store = IndexJobStore(self.index)
        again = Bench(folder, Scripted(script), store=store, start=False, history_size=100)
        again.engine.startService()
        self.wait(again.engine.when_ready())
        while again.engine.counts()["success"] < 40:
            again.pump.run()
            if again.engine.counts()["success"] < 40:
                self.pump()
        self.assertEqual(set(runs), {str(number) for number in range(40)})
        # Only what was running, or not yet recorded as ended, was done again.
        self.assertLess(len(runs), 40 + len(before))
        stopped = again.engine.stopService()
        again.pump.run()
        self.wait(stopped)
        self.assertEqual({row.state for row in self.read(lambda tx: tx.jobs())}, {"Success"})
