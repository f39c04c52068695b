"""Outputs of jobs, and when a running job is saved."""

import os

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import CHECKPOINT, Output
from orthanc_tw.jobs.quota import OutputLimits
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, Scripted, leaves_file


class OutputTests(SynchronousTestCase):
    def test_media_archive_size(self) -> None:
        """As many jobs keep their outputs as MediaArchiveSize says, the last used ones."""
        bench = Bench(self.mktemp(), Scripted(leaves_file), outputs=OutputLimits(2))
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
