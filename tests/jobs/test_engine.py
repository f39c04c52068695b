"""Submitting, waiting, describing, history, limits, outputs."""

import os
import uuid

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import CHECKPOINT, JobRequest, Output
from orthanc_tw.jobs.settings import JobsSettings
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, Scripted, leaves_file


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
        running = bench.engine.find_ids(states=["Running"])
        pending = bench.engine.find_ids(states=["Pending"])
        self.assertEqual((len(running), len(pending)), (1, 1))
        self.assertEqual(bench.engine.find_ids(kinds=["Held"]), sorted(running + pending))
        pages = [bench.engine.find_ids(limit=4), bench.engine.find_ids(after=ids[3], limit=4)]
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
        bench = Bench(self.mktemp(), Scripted(leaves_file), history_size=2, media_archive_size=10)
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


class OutputTests(SynchronousTestCase):
    def test_media_archive_size(self) -> None:
        """As many jobs keep their outputs as MediaArchiveSize says, the last used ones."""
        bench = Bench(self.mktemp(), Scripted(leaves_file), media_archive_size=2)
        one, two = bench.submit("Scripted"), bench.submit("Scripted")
        output = bench.engine.output(one, "archive")
        assert output is not None
        self.assertEqual((output.mime, output.filename), ("application/zip", "out.zip"))
        self.assertTrue(os.path.isfile(output.path))
        three = bench.submit("Scripted")
        self.assertIsNone(bench.engine.output(two, "archive"))
        self.assertIsNotNone(bench.engine.output(one, "archive"))
        self.assertIsNotNone(bench.engine.output(three, "archive"))
        self.assertEqual(bench.state(two), "Success")
        self.assertEqual(bench.store.rows[two].outputs, {})
        self.assertEqual(sorted(os.listdir(bench.folder)), sorted([one, three]))

    def test_saved(self) -> None:
        """The row names the file in the folder, its type, its name and its size."""
        bench = Bench(self.mktemp(), Scripted(leaves_file))
        row = bench.store.rows[bench.submit("Scripted")]
        self.assertEqual(
            row.outputs,
            {
                "archive": {
                    "file": "archive.zip",
                    "mime": "application/zip",
                    "filename": "out.zip",
                    "size": 2,
                }
            },
        )

    def test_delete_output(self) -> None:
        """An output can be removed once; the job stays."""
        bench = Bench(self.mktemp(), Scripted(leaves_file))
        job_id = bench.submit("Scripted")
        self.assertFalse(self.successResultOf(bench.engine.delete_output(job_id, "nope")))
        self.assertTrue(self.successResultOf(bench.engine.delete_output(job_id, "archive")))
        self.assertFalse(self.successResultOf(bench.engine.delete_output(job_id, "archive")))
        self.assertIsNone(bench.engine.output(job_id, "archive"))
        self.assertEqual(os.listdir(bench.folder), [])
        self.assertEqual(bench.store.rows[job_id].outputs, {})
        self.assertEqual(bench.state(job_id), "Success")

    def test_only_outputs_are_kept(self) -> None:
        """What else a job left in its folder goes when it has succeeded."""

        def script(job):
            yield from leaves_file(job)
            with open(os.path.join(job.context.folder, "scratch"), "w"):
                pass
            os.mkdir(os.path.join(job.context.folder, "more"))

        bench = Bench(self.mktemp(), Scripted(script))
        job_id = bench.submit("Scripted")
        self.assertEqual(os.listdir(os.path.join(bench.folder, job_id)), ["archive.zip"])

    def test_failed_job_leaves_nothing(self) -> None:
        """The folder of a job that fails is removed."""

        def script(job):
            yield from leaves_file(job)
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)

        bench = Bench(self.mktemp(), Scripted(script))
        job_id = bench.submit("Scripted")
        self.assertEqual(os.listdir(bench.folder), [])
        self.assertIsNone(bench.engine.output(job_id, "archive"))

    def test_output_elsewhere(self) -> None:
        """A job whose output is not in its own folder, or not there, fails."""
        elsewhere = self.mktemp()
        with open(elsewhere, "w"):
            pass

        def script(job):
            job.context.make_folder()
            job.context.outputs["x"] = Output(job.parameters["path"], "a/b", "c")
            yield None

        bench = Bench(self.mktemp(), Scripted(script))
        for path in (elsewhere, os.path.join(bench.folder, "nope")):
            job_id = bench.submit("Scripted", path=path)
            self.assertEqual(bench.state(job_id), "Failure")
            self.assertEqual(bench.field(job_id, "ErrorCode"), 14)
        self.assertTrue(os.path.exists(elsewhere))
        self.assertEqual(len(self.flushLoggedErrors(ValueError, OSError)), 2)


class SavingTests(SynchronousTestCase):
    def test_progress_is_throttled(self) -> None:
        """Steps are saved at most every half second; the start and the end always."""
        bench = Bench(self.mktemp(), kind := Held(count=20))
        bench.submit()
        for _ in range(20):
            bench.clock.advance(0.125)
            kind.runs[0].go()
            bench.pump.run()
        states = [row.state for row in bench.store.saved]
        self.assertEqual(states, ["Pending", *["Running"] * 5, "Success"])
        progress = [row.progress for row in bench.store.saved]
        self.assertEqual(progress, [0, 0.2, 0.4, 0.6, 0.8, 1, 1])

    def test_checkpoint(self) -> None:
        """A step that is a checkpoint is durable before the next one begins."""
        bench = Bench(self.mktemp(), kind := Held(count=2))
        job_id = bench.submit()
        bench.store.held = True
        kind.runs[0].go(CHECKPOINT)
        bench.pump.run()
        self.assertEqual(kind.log, ["job 0"])
        bench.store.release()
        bench.pump.run()
        self.assertEqual(kind.log, ["job 0", "job 1"])
        self.assertEqual(bench.store.rows[job_id].cursor, {"done": 1})

    def test_failing_checkpoint(self) -> None:
        """A checkpoint that cannot be saved fails the job."""
        bench = Bench(self.mktemp(), kind := Held(count=2))
        job_id = bench.submit()
        bench.store.error = OSError("disk full")
        kind.runs[0].go(CHECKPOINT)
        bench.pump.run()
        self.assertEqual(bench.state(job_id), "Failure")
        self.assertEqual(kind.log, ["job 0"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)


class SettingsTests(SynchronousTestCase):
    def test_bad_values(self) -> None:
        """Impossible settings are refused."""
        for bad in (
            {"concurrent_jobs": 0},
            {"history_size": -1},
            {"media_archive_size": -1},
            {"limit_jobs": -1},
        ):
            with self.subTest(**bad), self.assertRaises(ValueError):
                JobsSettings(folder="x", **bad)  # type: ignore[arg-type]
