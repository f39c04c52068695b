from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.describe import job_time
from orthanc_tw.jobs.interface import JobRequest, TransientFailure
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import START_S, Bench, Held, Scripted, ScriptedJob

NO_ANSWER = TransientFailure(ErrorCode.NETWORK_PROTOCOL, "The peer does not answer")


class PolicyTests(SynchronousTestCase):
    def test_delays_double_up_to_the_maximum(self) -> None:
        """Without jitter the delays are those of exponential back-off, capped."""
        policy = RetryPolicy(10, 2.0, 15.0)
        self.assertEqual(
            [policy.delay_s(tries, 1.0) for tries in (1, 2, 3, 4, 5, 5000)],
            [2.0, 4.0, 8.0, 15.0, 15.0, 15.0],
        )

    def test_jitter_is_half_of_the_delay(self) -> None:
        """Chance moves a delay between its half and its whole."""
        policy = RetryPolicy(10, 2.0, 15.0)
        self.assertEqual([policy.delay_s(2, c) for c in (0.0, 0.5, 1.0)], [2.0, 3.0, 4.0])

    def test_saved(self) -> None:
        """A policy comes back as it was saved."""
        policy = RetryPolicy(7, 0.5, 60.0)
        self.assertEqual(RetryPolicy.from_json(policy.to_json()), policy)


class RetryTests(SynchronousTestCase):
    """Jobs whose second step fails ``self.failures`` times."""

    def setUp(self) -> None:
        self.failures = 2
        self.error: Exception = NO_ANSWER
        self.steps: list[int] = []
        self.kind = Scripted(self.script, "Send")

    def script(self, job: ScriptedJob) -> Iterator[Any]:
        done = int(job.at["done"]) if job.at else 0  # type: ignore[call-overload]
        while done < 3:
            self.steps.append(done)
            if done == 1 and self.failures:
                self.failures -= 1
                yield fail(self.error)
            done += 1
            job.at = {"done": done}
            yield None

    def bench(self, **settings: Any) -> Bench:
        return Bench(self.mktemp(), self.kind, **settings)

    def submit(self, bench: Bench, retry: RetryPolicy | None) -> str:
        job_id = self.successResultOf(bench.engine.submit(JobRequest("Send", {}, retry=retry)))
        bench.pump.run()
        return job_id

    def test_off_by_default(self) -> None:
        """A transient failure fails the job, with its code and details, and without new fields."""
        bench = self.bench()
        job = bench.engine.describe(self.submit(bench, None))
        assert job is not None
        self.assertEqual(
            (job["State"], job["ErrorCode"], job["ErrorDetails"]),
            ("Failure", 9, "The peer does not answer"),
        )
        self.assertNotIn("Attempts", job)

    def test_goes_on_at_what_failed(self) -> None:
        """Tried again after delays that double; the steps done before are not done again."""
        bench = self.bench()
        job_id = self.submit(bench, RetryPolicy(5, 10.0, 300.0))
        job = bench.engine.describe(job_id)
        assert job is not None
        self.assertEqual(
            (job["State"], job["Attempts"], job["MaximumAttempts"], job["ErrorDetails"]),
            ("Retry", 1, 5, "The peer does not answer"),
        )
        self.assertEqual(job["NextAttempt"], job_time(START_S + 10.0))
        bench.advance(9.9)
        self.assertEqual(bench.state(job_id), "Retry")
        bench.advance(0.2)
        self.assertEqual((bench.state(job_id), bench.field(job_id, "Attempts")), ("Retry", 2))
        bench.advance(20.1)
        self.assertEqual((bench.state(job_id), bench.field(job_id, "Attempts")), ("Success", 3))
        self.assertEqual(bench.field(job_id, "ErrorDetails"), "")
        self.assertEqual(self.steps, [0, 1, 1, 1, 2])

    def test_last_attempt(self) -> None:
        """After the last try the job has failed as if it had been the first."""
        self.failures = 9
        bench = self.bench()
        job_id = self.submit(bench, RetryPolicy(3, 1.0, 1.0))
        bench.advance(1.1)
        bench.advance(1.1)
        self.assertEqual((bench.state(job_id), bench.field(job_id, "Attempts")), ("Failure", 3))
        self.assertEqual(bench.field(job_id, "ErrorCode"), 9)

    def test_other_failures_are_for_good(self) -> None:
        """An error that is not transient is not tried again."""
        self.error = OrthancError(ErrorCode.NETWORK_PROTOCOL)
        bench = self.bench()
        self.assertEqual(bench.state(self.submit(bench, RetryPolicy(3))), "Failure")

    def test_configured_for_the_kind(self) -> None:
        """A kind may be tried again by configuration; a request may ask for none."""
        bench = self.bench(retries={"Send": RetryPolicy(3)})
        self.assertEqual(bench.state(self.submit(bench, None)), "Retry")
        self.assertEqual(bench.state(self.submit(bench, RetryPolicy(1))), "Failure")

    def test_survives_a_restart(self) -> None:
        """The tries are counted on after a restart, at the cursor; its own end is no try."""
        bench = self.bench()
        self.failures = 1
        job_id = self.submit(bench, RetryPolicy(2, 50.0))
        self.assertEqual(bench.state(job_id), "Retry")
        again = self.bench(store=bench.store)
        self.assertEqual((again.state(job_id), again.field(job_id, "Attempts")), ("Success", 2))
        self.assertEqual(self.steps, [0, 1, 1, 2])

    def test_resubmission_counts_anew(self) -> None:
        """A failed job that is resubmitted has all its tries again."""
        self.failures = 2
        bench = self.bench()
        job_id = self.submit(bench, RetryPolicy(2, 1.0))
        bench.advance(1.1)
        self.assertEqual(bench.state(job_id), "Failure")
        self.successResultOf(bench.engine.resubmit(job_id))
        bench.pump.run()
        self.assertEqual((bench.state(job_id), bench.field(job_id, "Attempts")), ("Success", 1))

    def test_steered_while_it_waits(self) -> None:
        """Between two tries a job is cancelled, or paused and resumed, at once."""
        bench = self.bench()
        job_id = self.submit(bench, RetryPolicy(5, 100.0))
        self.successResultOf(bench.engine.pause(job_id))
        self.assertEqual(bench.state(job_id), "Paused")
        bench.advance(500)
        self.assertEqual(bench.state(job_id), "Paused")
        self.successResultOf(bench.engine.resume(job_id))
        bench.pump.run()
        self.assertEqual(bench.state(job_id), "Retry")
        self.successResultOf(bench.engine.cancel(job_id))
        self.assertEqual((bench.state(job_id), bench.field(job_id, "ErrorCode")), ("Failure", 37))
        self.assertEqual(bench.clock.getDelayedCalls(), [])


class InterruptionTests(SynchronousTestCase):
    """A step that waits on the network."""

    def test_cancel(self) -> None:
        """Its Deferred is cancelled at once."""
        kind = Held()
        bench = Bench(self.mktemp(), kind)
        job_id = bench.submit()
        self.successResultOf(bench.engine.cancel(job_id))
        bench.pump.run()
        self.assertEqual((bench.state(job_id), kind.runs[0].cancelled), ("Failure", 1))

    def test_pause(self) -> None:
        """A pause cancels it where the kind says that it may be done again, else waits for it."""

        def waits(job: ScriptedJob) -> Iterator[Any]:
            job.context.pause_interrupts = bool(job.parameters["interrupts"])
            waiting: Deferred[Any] = Deferred()
            steps.append(waiting)
            yield waiting

        steps: list[Deferred[Any]] = []
        bench = Bench(self.mktemp(), Scripted(waits))
        job_id = bench.submit("Scripted", interrupts=True)
        self.assertIs(self.successResultOf(bench.engine.pause(job_id)), True)
        bench.pump.run()
        self.assertEqual(bench.state(job_id), "Paused")
        patient = bench.submit("Scripted", interrupts=False)
        bench.engine.pause(patient)
        bench.pump.run()
        self.assertEqual(bench.state(patient), "Running")
        steps[-1].callback(None)
        bench.pump.run()
        self.assertEqual(bench.state(patient), "Paused")

    def test_is_final(self) -> None:
        """A step that is cancelled can tell a pause, and the stop of the server, from the end."""

        def waits(job: ScriptedJob) -> Iterator[Any]:
            job.context.pause_interrupts = True
            yield Deferred(lambda _: found.append(job.context.is_final))

        found: list[bool] = []
        bench = Bench(self.mktemp(), Scripted(waits))
        for ask in (bench.engine.pause, bench.engine.cancel):
            ask(bench.submit("Scripted"))
            bench.pump.run()
        bench.submit("Scripted")
        stopping = bench.stop()
        bench.advance(60)
        self.successResultOf(stopping)
        self.assertEqual([False, True, False], found)


class ConfigurationTests(SynchronousTestCase):
    def test_unknown_type(self) -> None:
        """A type in ``JobsRetry`` that there is not is warned about, and does no harm."""
        with capturedLogs() as events:
            bench = Bench(self.mktemp(), Held(), retries={"Nobody": RetryPolicy()})
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual([event["name"] for event in warnings], ["Nobody"])
        self.assertEqual(bench.state(bench.submit()), "Running")
