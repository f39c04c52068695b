"""Order, slots, and the flags looked at between steps."""

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, Scripted


class OrderTests(SynchronousTestCase):
    def test_priority_then_age(self) -> None:
        """A free slot takes the highest priority, and of these the job submitted first."""
        kind = Held(count=1)
        bench = Bench(self.mktemp(), kind, concurrent_jobs=1)
        bench.submit(name="first")
        for name, priority in (("a", 0), ("b", 5), ("c", -3), ("d", 5), ("e", 0)):
            bench.submit(name=name, priority=priority)
        while bench.engine.counts()["running"]:
            running = next(job for job in kind.runs if job.waiting and not job.waiting[-1].called)
            running.go()
            bench.pump.run()
        self.assertEqual(kind.log, ["first 0", "b 0", "d 0", "a 0", "e 0", "c 0"])

    def test_resumed_job_keeps_its_place(self) -> None:
        """A job that was paused and resumed is as old as it was."""
        kind = Held(count=1)
        bench = Bench(self.mktemp(), kind, concurrent_jobs=1)
        bench.submit(name="first")
        old = bench.submit(name="old")
        bench.submit(name="young")
        for _ in range(3):
            self.assertTrue(self.successResultOf(bench.engine.pause(old)))
            self.assertTrue(self.successResultOf(bench.engine.resume(old)))
        kind.runs[0].go()
        bench.pump.run()
        self.assertEqual(kind.log, ["first 0", "old 0"])
        self.assertEqual(bench.engine.counts()["pending"], 1)

    def test_concurrent_jobs(self) -> None:
        """As many jobs run at a time as there are slots."""
        for slots in (1, 2, 4):
            kind = Held(count=2)
            bench = Bench(self.mktemp(), kind, concurrent_jobs=slots)
            for _ in range(6):
                bench.submit()
            self.assertEqual(bench.engine.counts()["running"], slots)
            self.assertEqual(bench.engine.counts()["pending"], 6 - slots)
            for _ in range(6):
                for job in list(kind.runs):
                    if job.waiting and not job.waiting[-1].called:
                        job.go()
                bench.pump.run()
                self.assertLessEqual(bench.engine.counts()["running"], slots)
            while bench.engine.counts()["running"]:
                for job in list(kind.runs):
                    if job.waiting and not job.waiting[-1].called:
                        job.go()
                bench.pump.run()
            self.assertEqual(bench.engine.counts()["success"], 6)

    def test_idle(self) -> None:
        """Nothing is scheduled while there is nothing to do."""
        bench = Bench(self.mktemp(), Scripted())
        self.assertFalse(bench.pump.turn())
        job_id = bench.submit("Scripted")
        self.assertEqual(bench.state(job_id), "Success")
        self.assertFalse(bench.pump.turn())
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_waiting_step_does_not_spin(self) -> None:
        """Nothing is scheduled while a job waits for its step."""
        bench = Bench(self.mktemp(), Held())
        bench.submit()
        self.assertFalse(bench.pump.turn())

    def test_steps_of_two_jobs_alternate(self) -> None:
        """A job with many short steps does not keep the other slot from working."""
        seen: list[str] = []

        def script(job):
            for _ in range(5):
                seen.append(job.parameters["name"])
                yield None

        bench = Bench(self.mktemp(), Scripted(script), concurrent_jobs=2)
        bench.submit("Scripted", name="a", run=False)
        bench.submit("Scripted", name="b", run=False)
        bench.pump.run()
        self.assertEqual(sorted(seen[:4]), ["a", "a", "b", "b"])


class PauseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kind = Held(count=3)
        self.bench = Bench(self.mktemp(), self.kind, concurrent_jobs=1)
        self.engine = self.bench.engine

    def test_amid_steps(self) -> None:
        """A running job pauses when its step has ended, and goes on after it."""
        job_id = self.bench.submit()
        self.assertTrue(self.successResultOf(self.engine.pause(job_id)))
        self.assertEqual(self.bench.state(job_id), "Running")
        self.assertTrue(self.kind.runs[0].context.cancelled)
        self.assertEqual(self.kind.runs[0].cancelled, 0)
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.assertEqual(self.bench.state(job_id), "Paused")
        self.assertEqual(self.kind.runs[0].abandoned, 1)
        self.assertEqual(self.bench.store.rows[job_id].state, "Paused")
        self.assertEqual(self.bench.store.rows[job_id].cursor, {"done": 1})
        self.assertTrue(self.successResultOf(self.engine.resume(job_id)))
        self.bench.pump.run()
        self.assertEqual(self.kind.log, ["job 0", "job 1"])
        self.kind.runs[1].go()
        self.bench.pump.run()
        self.kind.runs[1].go()
        self.bench.pump.run()
        self.assertEqual(self.kind.log, ["job 0", "job 1", "job 2"])
        self.assertEqual(self.bench.state(job_id), "Success")

    def test_paused_job_leaves_its_slot(self) -> None:
        """Another job runs while one is paused."""
        first = self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        self.engine.pause(first)
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.assertEqual(self.bench.state(second), "Running")

    def test_pending(self) -> None:
        """A pending job pauses at once, durably, and is not picked."""
        self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        self.assertTrue(self.successResultOf(self.engine.pause(second)))
        self.assertEqual(self.bench.store.rows[second].state, "Paused")
        for _ in range(3):
            self.kind.runs[0].go()
            self.bench.pump.run()
        self.assertEqual(self.bench.state(second), "Paused")
        self.assertNotIn("second 0", self.kind.log)
        self.assertTrue(self.successResultOf(self.engine.pause(second)))
        self.assertFalse(self.successResultOf(self.engine.resubmit(second)))

    def test_failing_step_of_a_pausing_job(self) -> None:
        """A step that fails by itself fails the job, whatever it was asked."""
        job_id = self.bench.submit()
        self.engine.pause(job_id)
        self.kind.runs[0].waiting[-1].errback(OrthancError(ErrorCode.NETWORK_PROTOCOL, "Why"))
        self.bench.pump.run()
        self.assertEqual(self.bench.state(job_id), "Failure")
        self.assertEqual(self.bench.field(job_id, "ErrorCode"), 9)
        self.assertEqual(self.bench.field(job_id, "ErrorDetails"), "Why")

    def test_resume_of_a_pausing_job(self) -> None:
        """A job that still runs cannot be resumed."""
        job_id = self.bench.submit()
        self.engine.pause(job_id)
        self.assertFalse(self.successResultOf(self.engine.resume(job_id)))


class CancelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kind = Held(count=3)
        self.bench = Bench(self.mktemp(), self.kind, concurrent_jobs=1)
        self.engine = self.bench.engine

    def assert_cancelled(self, job_id: str) -> None:
        self.assertEqual(self.bench.state(job_id), "Failure")
        self.assertEqual(self.bench.field(job_id, "ErrorCode"), 37)
        self.assertEqual(self.bench.field(job_id, "ErrorDescription"), "This job was canceled")
        self.assertEqual(self.bench.store.rows[job_id].state, "Failure")
        self.assertEqual(self.bench.store.rows[job_id].error_code, 37)

    def test_waiting_step(self) -> None:
        """The step under way is cancelled; the job ends without waiting for it."""
        job_id = self.bench.submit()
        result = self.engine.wait(job_id)
        self.assertTrue(self.successResultOf(self.engine.cancel(job_id)))
        self.bench.pump.run()
        self.assert_cancelled(job_id)
        self.assertEqual(self.kind.runs[0].cancelled, 1)
        self.assertEqual(self.kind.runs[0].abandoned, 1)
        self.assertFalse(self.successResultOf(result).succeeded)
        self.assertTrue(self.successResultOf(self.engine.cancel(job_id)))
        self.assertFalse(self.successResultOf(self.engine.resume(job_id)))

    def test_step_that_names_its_own_error(self) -> None:
        """A wait that was cut short counts as cancelled, whatever its error is."""
        job_id = self.bench.submit()
        self.kind.runs[0].waiting[-1].addErrback(
            lambda _: (_ for _ in ()).throw(OrthancError(ErrorCode.NETWORK_PROTOCOL))
        )
        self.kind.runs[0]._cancel = lambda _: None  # type: ignore[method-assign]
        self.engine.cancel(job_id)
        self.bench.pump.run()
        self.assert_cancelled(job_id)

    def test_pending(self) -> None:
        """A pending job fails at once and its job object is released."""
        self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        waiting = self.engine.wait(second)
        self.assertTrue(self.successResultOf(self.engine.cancel(second)))
        self.assert_cancelled(second)
        self.assertEqual(self.successResultOf(waiting).error_code, 37)
        self.assertEqual(self.kind.runs[1].abandoned, 1)
        self.assertEqual(self.bench.field(second, "EffectiveRuntime"), 0.0)

    def test_paused(self) -> None:
        """A paused job can be cancelled."""
        self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        self.engine.pause(second)
        self.engine.cancel(second)
        self.assert_cancelled(second)

    def test_deleted_before_it_is_durable(self) -> None:
        """A cancelled job that is removed while its row is written is forgotten all the same."""
        self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        self.bench.store.held = True
        cancelled = self.engine.cancel(second)
        deleted = self.engine.delete(second)
        self.bench.store.release()
        self.assertTrue(self.successResultOf(cancelled))
        self.assertTrue(self.successResultOf(deleted))
        self.assertNotIn(second, self.bench.store.rows)
        self.assertNotIn(second, self.engine.list_ids())

    def test_resubmitted_before_it_is_durable(self) -> None:
        """A cancelled job that starts over while its row is written is pending, and no history."""
        self.bench.submit(name="first")
        second = self.bench.submit(name="second")
        waiting = self.engine.wait(second)
        self.bench.store.held = True
        self.engine.cancel(second)
        self.engine.resubmit(second)
        self.bench.store.release()
        self.assertEqual(self.successResultOf(waiting).error_code, 37)
        self.assertEqual(self.bench.state(second), "Pending")
        self.assertEqual(self.bench.store.rows[second].state, "Pending")
        self.assertFalse(self.successResultOf(self.engine.delete(second)))

    def test_pausing(self) -> None:
        """A cancel wins over a pause that was asked before or after it."""
        for order in (("pause", "cancel"), ("cancel", "pause")):
            job_id = self.bench.submit()
            for name in order:
                self.assertTrue(self.successResultOf(getattr(self.engine, name)(job_id)))
            self.bench.pump.run()
            self.assert_cancelled(job_id)

    def test_thread_that_cannot_be_stopped(self) -> None:
        """A job whose cancelled step is still in a thread runs until that has returned."""
        wrote: list[str] = []
        kind = Scripted(lambda job: iter([job.context.in_thread(wrote.append, "late")]))
        bench = Bench(self.mktemp(), kind)
        bench.hold_threads = True
        job_id = bench.submit("Scripted")
        bench.engine.cancel(job_id)
        bench.pump.run()
        self.assertEqual(bench.state(job_id), "Running")
        self.assertEqual(kind.created[0].abandoned, 0)
        bench.held_threads.pop()()
        bench.pump.run()
        self.assertEqual(wrote, ["late"])
        self.assertEqual(bench.state(job_id), "Failure")
        self.assertEqual(bench.field(job_id, "ErrorCode"), 37)
        self.assertEqual(kind.created[0].abandoned, 1)
