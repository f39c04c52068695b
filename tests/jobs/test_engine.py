"""Submitting, waiting, resubmitting, limits, settings."""

import uuid

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import JobRequest
from orthanc_tw.jobs.settings import JobsSettings
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, Scripted


class SubmitTests(SynchronousTestCase):
    def test_durable_first(self) -> None:
        """A submission is answered, and its job run, only when its row is durable."""
        bench = Bench(self.mktemp(), kind := Held())
        bench.store.held = True
        answer = bench.engine.submit(JobRequest("Held", {"name": "x"}, 4, {"any": 1}, True))
        bench.pump.run()
        self.assertNoResult(answer)
        self.assertEqual(kind.log, [])
        self.assertEqual(bench.engine.list_ids(), [])
        bench.store.release()
        job_id = self.successResultOf(answer)
        self.assertEqual(str(uuid.UUID(job_id)), job_id)
        row = bench.store.rows[job_id]
        self.assertEqual((row.kind, row.state, row.priority), ("Held", "Pending", 4))
        self.assertEqual((row.user_data, row.has_user_data), ({"any": 1}, True))
        self.assertEqual(row.content, {"Description": "REST API", "Done": 0})
        bench.pump.run()
        self.assertEqual(kind.log, ["x 0"])

    def test_refused_row(self) -> None:
        """A job whose row cannot be written does not exist."""
        bench = Bench(self.mktemp(), kind := Held())
        bench.store.error = OSError("disk full")
        self.failureResultOf(bench.engine.submit(JobRequest("Held", {})), OSError)
        bench.pump.run()
        self.assertEqual(bench.engine.list_ids(), [])
        self.assertEqual(kind.runs[0].abandoned, 1)

    def test_unknown_kind(self) -> None:
        """An unknown type of job is refused."""
        bench = Bench(self.mktemp())
        failure = self.failureResultOf(bench.engine.submit(JobRequest("Nope", {})), OrthancError)
        self.assertIn("Nope", str(failure.value))

    def test_refused_parameters(self) -> None:
        """What a kind refuses fails the submission, and takes no place in the queue."""
        bench = Bench(self.mktemp(), kind := Held(), limit_jobs=1)

        def create(*_: object) -> None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)

        kind.create, original = create, kind.create  # type: ignore[method-assign, assignment]
        self.failureResultOf(bench.engine.submit(JobRequest("Held", {})), OrthancError)
        kind.create = original  # type: ignore[method-assign]
        self.assertTrue(bench.submit())

    def test_parameters_are_the_engines_own(self) -> None:
        """Changing a dictionary after its submission changes no job."""
        bench = Bench(self.mktemp(), kind := Held(), concurrent_jobs=1)
        parameters: dict = {"name": "x", "list": [1]}
        bench.engine.submit(JobRequest("Held", parameters))
        parameters["list"].append(2)
        self.assertEqual(kind.runs[0].parameters["list"], [1])

    def test_attachment(self) -> None:
        """What only this process can hold reaches the kind and is never saved."""
        attachment = object()
        kind = Scripted(durable=False)
        bench = Bench(self.mktemp(), kind)
        answer = bench.engine.submit(JobRequest("Scripted", {"a": 1}, attachment=attachment))
        bench.pump.run()
        self.assertIs(kind.created[0].parameters["__attachment__"], attachment)
        self.assertEqual(bench.state(self.successResultOf(answer)), "Success")
        self.assertEqual(bench.store.saved, [])

    def test_save_jobs_false(self) -> None:
        """Without SaveJobs no row is ever written."""
        bench = Bench(self.mktemp(), Scripted(), save_jobs=False)
        self.assertEqual(bench.state(bench.submit("Scripted")), "Success")
        self.assertEqual(bench.store.saved, [])


class WaitTests(SynchronousTestCase):
    def test_fifty_waits_one_slot(self) -> None:
        """Fifty synchronous callers of one slot are all answered, in the order they came."""
        ended: list[int] = []
        bench = Bench(self.mktemp(), Scripted(lambda job: iter([None])), concurrent_jobs=1)
        for number in range(50):
            answer = bench.engine.submit(JobRequest("Scripted", {}))
            answer.addCallback(bench.engine.wait)
            answer.addCallback(lambda result, n=number: ended.append(n) or result)
            answer.addCallback(lambda result: self.assertTrue(result.succeeded))
        bench.pump.run()
        self.assertEqual(ended, list(range(50)))

    def test_final_row_first(self) -> None:
        """A wait is answered, and success shown, only when the final row is durable."""
        bench = Bench(self.mktemp(), kind := Held(count=1))
        job_id = bench.submit()
        waiting = bench.engine.wait(job_id)
        bench.store.held = True
        kind.runs[0].go()
        bench.pump.run()
        self.assertNoResult(waiting)
        self.assertEqual(bench.state(job_id), "Running")
        self.assertTrue(self.successResultOf(bench.engine.cancel(job_id)))
        bench.store.release()
        bench.pump.run()
        result = self.successResultOf(waiting)
        self.assertEqual((result.succeeded, result.content["Done"]), (True, 1))
        self.assertEqual(bench.store.rows[job_id].state, "Success")

    def test_slot_goes_on(self) -> None:
        """While a final row is written the slot runs other jobs, and their rows go together."""
        bench = Bench(self.mktemp(), Scripted(), Held(count=1), concurrent_jobs=1)
        first = bench.submit("Held")
        others = [bench.submit("Scripted") for _ in range(5)]
        bench.store.held = True
        bench.engine.cancel(first)
        bench.pump.run()
        self.assertEqual([bench.state(one) for one in [first, *others]], ["Running"] * 6)
        bench.store.release()
        self.assertEqual([bench.state(one) for one in others], ["Success"] * 5)

    def test_slot_does_not_run_away(self) -> None:
        """With many final rows on their way the slots wait for the disk."""
        bench = Bench(self.mktemp(), Scripted(), concurrent_jobs=1, save_jobs=True)
        held = Held(count=1)
        bench.engine.register(held)
        bench.submit("Held")
        for _ in range(100):
            bench.submit("Scripted")
        bench.store.held = True
        held.runs[0].go()
        bench.pump.run()
        self.assertEqual(bench.engine.counts()["running"], 65)
        bench.store.release()
        bench.pump.run()
        self.assertEqual(bench.engine.counts()["total_success"], 101)

    def test_already_ended(self) -> None:
        """Waiting for a job that has ended is answered at once."""
        bench = Bench(self.mktemp(), Scripted())
        self.assertTrue(self.successResultOf(bench.engine.wait(bench.submit("Scripted"))).succeeded)

    def test_cancelled_wait(self) -> None:
        """A caller who goes away does not stop the job, nor those who wait too."""
        bench = Bench(self.mktemp(), kind := Held(count=1))
        job_id = bench.submit()
        first, second = bench.engine.wait(job_id), bench.engine.wait(job_id)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        kind.runs[0].go()
        bench.pump.run()
        self.assertTrue(self.successResultOf(second).succeeded)

    def test_unknown(self) -> None:
        """There is nothing to wait for."""
        bench = Bench(self.mktemp())
        self.failureResultOf(bench.engine.wait("nope"), OrthancError)


class ResubmitTests(SynchronousTestCase):
    def test_starts_over(self) -> None:
        """A failed job starts over from nothing, with its own id and creation time."""
        bench = Bench(self.mktemp(), kind := Held(count=2))
        job_id = bench.submit()
        kind.runs[0].go()
        bench.pump.run()
        kind.runs[0].context.failed_instances["x"] = "bad"
        bench.engine.cancel(job_id)
        bench.pump.run()
        created = bench.field(job_id, "CreationTime")
        bench.clock.advance(5)
        self.assertTrue(self.successResultOf(bench.engine.resubmit(job_id)))
        bench.pump.run()
        self.assertEqual(kind.log, ["job 0", "job 1", "job 0"])
        self.assertEqual(kind.runs[1].context.failed_instances, {})
        self.assertEqual(bench.field(job_id, "ErrorCode"), 0)
        self.assertEqual(bench.field(job_id, "CreationTime"), created)
        self.assertNotIn("CompletionTime", bench.engine.describe(job_id))
        self.assertEqual(bench.store.rows[job_id].state, "Pending")

    def test_refusing_kind(self) -> None:
        """A kind may say that its jobs cannot start over; the job stays as it was."""
        kind = Held()
        kind.resubmit_refusal = "Cannot resubmit"  # type: ignore[attr-defined]
        bench = Bench(self.mktemp(), kind)
        job_id = bench.submit()
        bench.engine.cancel(job_id)
        bench.pump.run()
        failure = self.failureResultOf(bench.engine.resubmit(job_id), OrthancError)
        self.assertEqual((failure.value.code, failure.value.details), (6, "Cannot resubmit"))
        self.assertEqual(bench.state(job_id), "Failure")

    def test_wrong_states(self) -> None:
        """Only a failed job can be resubmitted."""
        bench = Bench(self.mktemp(), Held(), Scripted(), concurrent_jobs=1)
        done = bench.submit("Scripted")
        for job_id in (done, bench.submit(), bench.submit(), "nope"):
            self.assertFalse(self.successResultOf(bench.engine.resubmit(job_id)))


class LimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kind = Held(count=1)
        self.bench = Bench(self.mktemp(), self.kind, concurrent_jobs=1, limit_jobs=2)
        self.running = self.bench.submit()
        self.pending = [self.bench.submit(), self.bench.submit()]

    def later(self) -> "Deferred[str]":
        answer = self.bench.engine.submit(JobRequest("Held", {}))
        self.bench.pump.run()
        return answer

    def test_waits_for_a_place(self) -> None:
        """With that many jobs pending a submission waits, in turn, until one leaves the queue."""
        answers = [self.later(), self.later()]
        for answer in answers:
            self.assertNoResult(answer)
        self.assertEqual(len(self.bench.store.rows), 3)
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.successResultOf(answers[0])
        self.assertNoResult(answers[1])
        self.assertEqual(self.bench.engine.counts()["pending"], 2)
        self.bench.engine.cancel(self.pending[1])
        self.successResultOf(answers[1])

    def test_pause_makes_a_place(self) -> None:
        """A paused job is not pending."""
        answer = self.later()
        self.bench.engine.pause(self.pending[0])
        self.successResultOf(answer)

    def test_caller_who_goes_away(self) -> None:
        """Cancelling a waiting submission submits nothing and gives its turn to the next."""
        first, second = self.later(), self.later()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.successResultOf(second)
        self.assertEqual(len(self.bench.store.rows), 4)

    def test_caller_who_goes_away_too_late(self) -> None:
        """While the row is written the job is accepted: it runs, and its place is counted once."""
        bench = Bench(self.mktemp(), kind := Held(count=1), concurrent_jobs=1, limit_jobs=1)
        bench.store.held = True
        answer = bench.engine.submit(JobRequest("Held", {"name": "late"}))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        bench.store.release()
        bench.pump.run()
        self.assertEqual(kind.log, ["late 0"])
        bench.submit()
        self.assertEqual(bench.engine.counts()["pending"], 1)

    def test_rows_being_written_count(self) -> None:
        """Submissions at the same time do not all get the one place that is left."""
        bench = Bench(self.mktemp(), Held(), concurrent_jobs=1, limit_jobs=1)
        bench.submit()
        bench.store.held = True
        answers = [bench.engine.submit(JobRequest("Held", {})) for _ in range(3)]
        bench.store.release()
        self.assertEqual([answer.called for answer in answers], [True, False, False])

    def test_no_limit(self) -> None:
        """0 is no limit."""
        bench = Bench(self.mktemp(), Held(), limit_jobs=0)
        for _ in range(100):
            bench.submit()
        self.assertEqual(bench.engine.counts()["pending"], 98)


class SettingsTests(SynchronousTestCase):
    def test_bad_values(self) -> None:
        """Impossible settings are refused."""
        for bad in (
            {"concurrent_jobs": 0},
            {"history_size": -1},
            {"limit_jobs": -1},
        ):
            with self.subTest(**bad), self.assertRaises(ValueError):
                JobsSettings(folder="x", **bad)  # type: ignore[arg-type]
