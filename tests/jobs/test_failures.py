"""Jobs whose steps fail, for good or for now."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import RetryLater
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, Scripted


class RetryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.left = 2

        def script(job):
            job.at = {"tried": True}
            if self.left:
                self.left -= 1
                raise RetryLater(30, "nobody there")
            yield None

        self.kind = Scripted(script)
        self.bench = Bench(self.mktemp(), self.kind)
        self.engine = self.bench.engine

    def test_until_it_works(self) -> None:
        """A step to be tried again puts its job to Retry for the delay, then at its cursor."""
        job_id = self.bench.submit("Scripted")
        for _ in range(2):
            self.assertEqual(self.bench.state(job_id), "Retry")
            self.assertEqual(self.bench.store.rows[job_id].state, "Retry")
            self.assertEqual(self.bench.field(job_id, "ErrorDetails"), "nobody there")
            self.bench.advance(29.9)
            self.assertEqual(self.bench.state(job_id), "Retry")
            self.bench.advance(0.2)
        self.assertEqual(self.bench.state(job_id), "Success")
        self.assertEqual(self.bench.field(job_id, "ErrorDetails"), "")
        self.assertEqual(len(self.kind.created), 3)
        self.assertEqual(self.kind.created[2].at, {"tried": True})
        self.assertEqual(self.bench.field(job_id, "EffectiveRuntime"), 0.0)

    def test_leaving_otherwise(self) -> None:
        """Pause and cancel end the delay; resume tries at once."""
        job_id = self.bench.submit("Scripted")
        self.engine.pause(job_id)
        self.assertEqual(self.bench.state(job_id), "Paused")
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
        self.engine.resume(job_id)
        self.bench.pump.run()
        self.assertEqual(self.bench.state(job_id), "Retry")
        self.engine.cancel(job_id)
        self.assertEqual(self.bench.field(job_id, "ErrorCode"), 37)
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])


class FailureTests(SynchronousTestCase):
    def run_script(self, script) -> tuple[Bench, str]:
        bench = Bench(self.mktemp(), Scripted(script))
        return bench, bench.submit("Scripted")

    def test_orthanc_error(self) -> None:
        """The code and the details of an `OrthancError` are those of the job."""

        def script(job):
            yield None
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, "Gone")

        bench, job_id = self.run_script(script)
        job = bench.engine.describe(job_id)
        assert job is not None
        self.assertEqual(job["State"], "Failure")
        self.assertEqual(job["ErrorCode"], 17)
        self.assertEqual(job["ErrorDescription"], "Unknown resource")
        self.assertEqual(job["ErrorDetails"], "Gone")

    def test_unexpected(self) -> None:
        """Any other exception is an internal error, in the log, and the slot goes on."""

        def script(job):
            step: Deferred[None] = Deferred()
            step.errback(ZeroDivisionError())
            yield step

        bench, job_id = self.run_script(script)
        self.assertEqual(bench.field(job_id, "ErrorCode"), -1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        bench.submit("Scripted")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_step_that_is_none(self) -> None:
        """A kind that yields something else than a Deferred fails its own job alone."""
        kind = Scripted()
        bench = Bench(self.mktemp(), kind)
        kind.create = lambda *args: Broken()  # type: ignore[method-assign, assignment]
        job_id = bench.submit("Scripted")
        self.assertEqual(bench.field(job_id, "ErrorCode"), -1)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_no_thread_to_be_had(self) -> None:
        """A thread pool that refuses fails the job, which does not wait for a thread then."""

        def script(job):
            yield job.context.in_thread(print)

        bench = Bench(self.mktemp(), Scripted(script))
        bench.engine._worker._in_thread = lambda *args: 1 / 0  # type: ignore[assignment]
        job_id = bench.submit("Scripted")
        self.assertEqual(bench.state(job_id), "Failure")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_job_that_cannot_describe_itself(self) -> None:
        """It is shown with what is known of it."""
        bench = Bench(self.mktemp(), kind := Held())
        job_id = bench.submit()
        kind.runs[0].progress = lambda: 1 / 0  # type: ignore[method-assign]
        self.assertEqual(bench.field(job_id, "Progress"), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_cannot_be_saved(self) -> None:
        """Content that is no JSON fails its job, not the store."""

        def script(job):
            yield None
            job.shown = {"Bad": object()}

        bench, job_id = self.run_script(script)
        self.assertEqual(bench.state(job_id), "Failure")
        self.assertEqual(bench.field(job_id, "ErrorCode"), -1)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_row_that_cannot_be_written(self) -> None:
        """A job whose end cannot be made durable has not succeeded."""
        bench = Bench(self.mktemp(), kind := Held(count=1))
        job_id = bench.submit()
        waiting = bench.engine.wait(job_id)
        bench.store.error = OSError("disk full")
        kind.runs[0].go()
        bench.pump.run()
        self.assertFalse(self.successResultOf(waiting).succeeded)
        self.assertEqual(bench.field(job_id, "ErrorCode"), 11)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class Broken:
    def steps(self):
        yield 42

    def progress(self) -> float:
        return 0.0

    def cursor(self):
        return None

    def content(self):
        return {}

    def abandon(self) -> None:
        pass
