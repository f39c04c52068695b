"""What the engine tells of jobs, and how long it remembers them."""

import os

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import JobRequest
from orthanc_tw.jobs.quota import OutputLimits
from tests.jobs.support import Bench, Held, Scripted, leaves_file

LIMITS = OutputLimits(10)


class DescribeTests(SynchronousTestCase):
    maxDiff = None

    def test_pending(self) -> None:
        """The fields of a job that has not begun."""
        bench = Bench(self.mktemp(), Held(), concurrent_jobs=1)
        bench.submit()
        bench.clock.advance(1)
        job_id = bench.submit(priority=-10)
        bench.clock.advance(0.5)
        self.assertEqual(
            bench.engine.describe(job_id),
            {
                "Content": {"Description": "REST API", "Done": 0},
                "CreationTime": "20261121T201500.103546",
                "EffectiveRuntime": 0.0,
                "ErrorCode": 0,
                "ErrorDescription": "Success",
                "ErrorDetails": "",
                "ID": job_id,
                "Priority": -10,
                "Progress": 0,
                "State": "Pending",
                "Timestamp": "20261121T201500.603546",
                "Type": "Held",
            },
        )

    def test_running_and_ended(self) -> None:
        """Progress, running time and estimate while it runs; the time of its end after that."""
        bench = Bench(self.mktemp(), kind := Held(count=4))
        answer = bench.engine.submit(JobRequest("Held", {}, 0, "mine", True))
        bench.pump.run()
        job_id = self.successResultOf(answer)
        self.assertNotIn("EstimatedTimeOfArrival", bench.engine.describe(job_id))
        bench.clock.advance(2)
        kind.runs[0].go()
        bench.pump.run()
        job = bench.engine.describe(job_id)
        assert job is not None
        self.assertEqual(job["State"], "Running")
        self.assertEqual(job["Progress"], 25)
        self.assertEqual(job["EffectiveRuntime"], 2.0)
        self.assertEqual(job["EstimatedTimeOfArrival"], "20261121T201507.103546")
        self.assertEqual(job["UserData"], "mine")
        self.assertEqual(job["Content"], {"Description": "REST API", "Done": 1})
        self.assertNotIn("CompletionTime", job)
        for _ in range(3):
            kind.runs[0].go()
            bench.pump.run()
        bench.clock.advance(5)
        job = bench.engine.describe(job_id)
        assert job is not None
        self.assertEqual(job["Progress"], 100)
        self.assertEqual(job["EffectiveRuntime"], 2.0)
        self.assertEqual(job["CompletionTime"], "20261121T201501.103546")
        self.assertNotIn("EstimatedTimeOfArrival", job)

    def test_runtime_leaves_pauses_out(self) -> None:
        """Only the time spent running counts, over all runs."""
        bench = Bench(self.mktemp(), kind := Held(count=2))
        job_id = bench.submit()
        bench.clock.advance(1)
        bench.engine.pause(job_id)
        kind.runs[0].go()
        bench.pump.run()
        bench.advance(100)
        bench.engine.resume(job_id)
        bench.pump.run()
        bench.clock.advance(2)
        kind.runs[1].go()
        bench.pump.run()
        self.assertEqual(bench.field(job_id, "EffectiveRuntime"), 3.0)

    def test_lists(self) -> None:
        """Lists are sorted by id; they can be filtered and paged."""
        bench = Bench(self.mktemp(), Held(), Scripted(), concurrent_jobs=1)
        ids = sorted(
            [bench.submit("Scripted") for _ in range(4)] + [bench.submit(), bench.submit()]
        )
        self.assertEqual(bench.engine.list_ids(), ids)
        self.assertEqual([job["ID"] for job in bench.engine.describe_all()], ids)
        running = bench.find(states=["Running"])
        pending = bench.find(states=["Pending"])
        self.assertEqual((len(running), len(pending)), (1, 1))
        self.assertEqual(bench.find(kinds=["Held"]), sorted(running + pending))
        pages = [bench.find(limit=4), bench.find(after=ids[3], limit=4)]
        self.assertEqual(pages, [ids[:4], ids[4:]])

    def test_counts(self) -> None:
        """Counts of now and totals since the start."""
        bench = Bench(self.mktemp(), Held(), Scripted(), history_size=1, concurrent_jobs=1)
        for _ in range(3):
            bench.submit("Scripted")
        bench.engine.cancel(bench.submit())
        bench.pump.run()
        bench.submit()
        bench.submit()
        self.assertEqual(
            bench.engine.counts(),
            {
                "pending": 1,
                "running": 1,
                "success": 0,
                "failed": 1,
                "total_completed": 4,
                "total_success": 3,
                "total_failed": 1,
            },
        )

    def test_observers(self) -> None:
        """Who watches is told of each change; one that fails bothers nobody."""
        bench = Bench(self.mktemp(), Scripted())
        seen: list[tuple[str, str]] = []
        bench.engine.observe(lambda job_id: 1 / 0)
        stop = bench.engine.observe(lambda job_id: seen.append((job_id, bench.state(job_id))))
        job_id = bench.submit("Scripted")
        self.assertEqual(seen, [(job_id, "Pending"), (job_id, "Running"), (job_id, "Success")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        stop()
        bench.submit("Scripted")
        self.assertEqual(len(seen), 3)
        self.flushLoggedErrors(ZeroDivisionError)


class HistoryTests(SynchronousTestCase):
    def test_size(self) -> None:
        """Only the last jobs to end are kept; rows and folders of the others go."""
        bench = Bench(self.mktemp(), Scripted(leaves_file), history_size=2, outputs=LIMITS)
        ids = [bench.submit("Scripted") for _ in range(4)]
        self.assertEqual(bench.engine.list_ids(), sorted(ids[2:]))
        self.assertEqual(sorted(bench.store.rows), sorted(ids[2:]))
        self.assertEqual(sorted(os.listdir(bench.folder)), sorted(ids[2:]))
        self.assertIsNone(bench.engine.output(ids[0], "archive"))

    def test_none(self) -> None:
        """A history of 0 keeps nothing, and who waits is still told."""
        bench = Bench(self.mktemp(), kind := Held(count=1), history_size=0)
        job_id = bench.submit()
        waiting = bench.engine.wait(job_id)
        kind.runs[0].go()
        bench.pump.run()
        self.assertTrue(self.successResultOf(waiting).succeeded)
        self.assertEqual(bench.engine.list_ids(), [])
        self.assertEqual(bench.store.rows, {})

    def test_unended_jobs_are_not_history(self) -> None:
        """Pending, running and paused jobs are kept whatever the size is."""
        bench = Bench(self.mktemp(), Held(), history_size=0, concurrent_jobs=1)
        ids = [bench.submit() for _ in range(3)]
        bench.engine.pause(ids[2])
        self.assertEqual(bench.engine.list_ids(), sorted(ids))

    def test_resubmitted_job_is_not_history(self) -> None:
        """A failed job that starts over is not dropped by those that end meanwhile."""
        bench = Bench(self.mktemp(), Held(count=1), Scripted(), history_size=1, concurrent_jobs=2)
        job_id = bench.submit()
        bench.engine.cancel(job_id)
        bench.pump.run()
        self.assertTrue(self.successResultOf(bench.engine.resubmit(job_id)))
        bench.submit("Scripted")
        bench.submit("Scripted")
        self.assertEqual(bench.state(job_id), "Running")
        self.assertEqual(len(bench.engine.list_ids()), 2)

    def test_delete(self) -> None:
        """Only a job that has ended can be removed, with all that it left."""
        bench = Bench(self.mktemp(), Held(), Scripted(leaves_file))
        running = bench.submit()
        self.assertFalse(self.successResultOf(bench.engine.delete(running)))
        self.assertFalse(self.successResultOf(bench.engine.delete("nope")))
        ended = bench.submit("Scripted")
        self.assertTrue(self.successResultOf(bench.engine.delete(ended)))
        self.assertEqual(bench.engine.list_ids(), [running])
        self.assertEqual(os.listdir(bench.folder), [])
        self.assertNotIn(ended, bench.store.rows)
        self.assertFalse(self.successResultOf(bench.engine.delete(ended)))
