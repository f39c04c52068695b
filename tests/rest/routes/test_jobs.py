"""``/jobs`` as topics 20 and 21 of the corpus recorded it."""

import json
import os

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.routes.jobs import JOBS_A_CHUNK, JobsRoutes, _Chunks
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import Answer, InMemorySite
from tests.jobs.support import Bench, Held, Scripted, leaves_file

JSON = "application/json; charset=utf-8"


class JobsRoutesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = Held()
        self.held.resubmit_refusal = "Cannot do that"  # type: ignore[attr-defined]
        self.failing = Scripted(lambda job: 1 // 0, name="Failing")  # type: ignore[arg-type, return-value]
        self.bench = Bench(
            self.mktemp(), self.held, self.failing, Scripted(leaves_file), concurrent_jobs=1
        )
        self.site = InMemorySite(JobsRoutes(self.bench.engine, Streamer(self.bench.in_thread)))

    def ask(self, method: str, path: str) -> Answer:
        answer = self.site.ask(method, path, b"" if method == "POST" else None)
        self.bench.pump.run()
        return answer

    def assert_bare(self, answer: Answer, status: int) -> None:
        self.assertEqual((answer.status, answer.body), (status, b""))
        self.assertNotIn("content-type", answer.headers)

    def assert_error(self, answer: Answer, status: int, code: int, details: str) -> None:
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assertEqual(answer.json()["OrthancStatus"], code)
        self.assertEqual(answer.json()["Details"], details)

    def failed_job(self) -> str:
        job_id = self.bench.submit("Failing")
        self.flushLoggedErrors(ZeroDivisionError)
        return job_id

    def test_list(self) -> None:
        """Ids, or with ``expand`` the jobs, sorted by id; other arguments change nothing."""
        self.assertEqual(self.ask("GET", "/jobs").json(), [])
        ids = sorted(self.bench.submit("Scripted") for _ in range(3))
        answer = self.ask("GET", "/jobs")
        self.assertEqual(answer.headers["content-type"], JSON)
        self.assertEqual(answer.json(), ids)
        self.assertEqual(self.ask("GET", "/jobs?nope").json(), ids)
        expanded = self.ask("GET", "/jobs?expand").json()
        self.assertEqual([job["ID"] for job in expanded], ids)
        self.assertEqual(expanded[0], self.ask("GET", f"/jobs/{ids[0]}").json())

    def test_filters(self) -> None:
        """State and type select, ``after`` and ``limit`` page; nonsense is refused by name."""
        done = [self.bench.submit("Scripted") for _ in range(3)]
        running = self.bench.submit()
        self.assertEqual(self.ask("GET", "/jobs?state=Running").json(), [running])
        self.assertEqual(
            self.ask("GET", "/jobs?type=Scripted,Held&state=Success,Failure").json(), sorted(done)
        )
        self.assertEqual(self.ask("GET", "/jobs?type=Nope").json(), [])
        first = self.ask("GET", "/jobs?limit=2").json()
        self.assertEqual(len(first), 2)
        rest = self.ask("GET", f"/jobs?limit=9&after={first[-1]}").json()
        self.assertEqual(first + rest, self.ask("GET", "/jobs").json())
        [job] = self.ask("GET", "/jobs?expand&state=Running").json()
        self.assertEqual(job["State"], "Running")
        self.assert_error(
            self.ask("GET", "/jobs?state=Dreaming"), 400, 3, "Unknown state of job: Dreaming"
        )
        self.assert_error(
            self.ask("GET", "/jobs?limit=-1"),
            400,
            3,
            "A number is expected in the argument: limit",
        )

    def test_output_that_was_lost(self) -> None:
        """A file that somebody else removed is an error, not an empty answer."""
        job_id = self.bench.submit("Scripted")
        os.remove(os.path.join(self.bench.folder, job_id, "archive.zip"))
        self.assertEqual(self.ask("GET", f"/jobs/{job_id}/archive").json()["OrthancStatus"], 13)

    def test_long_list(self) -> None:
        """A long list is made while it is sent, and is one list all the same."""
        self.bench.submit()
        ids = [self.bench.submit() for _ in range(3 * JOBS_A_CHUNK + 7)]
        jobs = self.ask("GET", "/jobs?expand").json()
        self.assertEqual([job["ID"] for job in jobs], self.bench.engine.list_ids())
        pending = self.ask("GET", "/jobs?expand&state=Pending").json()
        self.assertEqual([job["ID"] for job in pending], sorted(ids))

    def test_jobs_that_go_while_a_list_is_sent(self) -> None:
        """They are left out, wherever they are in it, and what is sent stays JSON."""
        ids = [f"{number:04}" for number in range(4 * JOBS_A_CHUNK)]
        for gone in (ids, ids[:JOBS_A_CHUNK], ids[-JOBS_A_CHUNK:], ids[JOBS_A_CHUNK:-1], []):
            left = [job_id for job_id in ids if job_id not in gone]
            chunks = _Chunks(
                ids, lambda some, gone=gone: [{"ID": i} for i in some if i not in gone]
            )
            text = b"".join(iter(chunks.next_chunk, b""))
            self.assertEqual([job["ID"] for job in json.loads(text)], left)

    def test_unknown(self) -> None:
        """A job that is not there."""
        self.assert_bare(self.ask("GET", "/jobs/nope"), 404)
        self.assert_error(
            self.ask("DELETE", "/jobs/nope"), 404, 7, "No job found with this id: nope"
        )
        for name in ("pause", "resume", "cancel", "resubmit"):
            self.assert_bare(self.ask("POST", f"/jobs/nope/{name}"), 400)
            self.assert_error(
                self.ask("GET", f"/jobs/nope/{name}"), 404, 7, f"Job has no such output: {name}"
            )

    def test_methods(self) -> None:
        """``/jobs`` can only be read."""
        for method in ("POST", "PUT", "DELETE"):
            answer = self.ask(method, "/jobs")
            self.assert_bare(answer, 405)
            self.assertEqual(answer.headers["allow"], "GET")

    def test_steering_a_pending_job(self) -> None:
        """The answers, and the states between them, as recorded."""
        self.bench.submit()
        job_id = self.bench.submit(priority=-10)
        for name, status, state in (
            ("resume", 400, "Pending"),
            ("resubmit", 400, "Pending"),
            ("pause", 200, "Paused"),
            ("pause", 200, "Paused"),
            ("resubmit", 400, "Paused"),
            ("resume", 200, "Pending"),
            ("resume", 400, "Pending"),
            ("cancel", 200, "Failure"),
            ("cancel", 200, "Failure"),
            ("pause", 200, "Failure"),
            ("resume", 400, "Failure"),
        ):
            with self.subTest(name=name, state=state):
                answer = self.ask("POST", f"/jobs/{job_id}/{name}")
                self.assertEqual(self.bench.state(job_id), state)
                if status == 200:
                    self.assertEqual((answer.status, answer.body), (200, b"{}"))
                    self.assertEqual(answer.headers["content-type"], "application/json")
                else:
                    self.assert_bare(answer, status)
        self.assert_error(self.ask("POST", f"/jobs/{job_id}/resubmit"), 500, 6, "Cannot do that")
        self.assertEqual(self.bench.field(job_id, "ErrorCode"), 37)
        self.assert_error(
            self.ask("GET", f"/jobs/{job_id}/archive"), 404, 7, "Job has no such output: archive"
        )
        answer = self.ask("DELETE", f"/jobs/{job_id}")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assert_bare(self.ask("GET", f"/jobs/{job_id}"), 404)

    def test_steering_a_failed_job(self) -> None:
        """Pause and cancel do nothing, resubmit runs it again."""
        job_id = self.failed_job()
        for name, status in (("pause", 200), ("resume", 400), ("cancel", 200)):
            self.assertEqual(self.ask("POST", f"/jobs/{job_id}/{name}").status, status)
            self.assertEqual(self.bench.field(job_id, "ErrorCode"), -1)
        self.assertEqual(self.ask("POST", f"/jobs/{job_id}/resubmit").body, b"{}")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.bench.state(job_id), "Failure")

    def test_steering_a_successful_job(self) -> None:
        """Nothing changes it."""
        job_id = self.bench.submit("Scripted")
        for name, status in (("pause", 200), ("resume", 400), ("cancel", 200), ("resubmit", 400)):
            self.assertEqual(self.ask("POST", f"/jobs/{job_id}/{name}").status, status)
            self.assertEqual(self.bench.state(job_id), "Success")

    def test_running_job(self) -> None:
        """A running job cannot be removed, resumed or resubmitted; cancel ends it."""
        job_id = self.bench.submit()
        self.assert_error(
            self.ask("DELETE", f"/jobs/{job_id}"), 404, 7, f"No job found with this id: {job_id}"
        )
        self.assert_bare(self.ask("POST", f"/jobs/{job_id}/resume"), 400)
        self.assert_bare(self.ask("POST", f"/jobs/{job_id}/resubmit"), 400)
        self.assertEqual(self.ask("POST", f"/jobs/{job_id}/cancel").body, b"{}")
        self.assertEqual(self.ask("GET", f"/jobs/{job_id}").json()["ErrorCode"], 37)

    def test_output(self) -> None:
        """An output is sent as often as it is asked for, until it is removed."""
        job_id = self.bench.submit("Scripted")
        for _ in range(2):
            answer = self.ask("GET", f"/jobs/{job_id}/archive")
            self.assertEqual((answer.status, answer.body), (200, b"PK"))
            self.assertEqual(answer.headers["content-type"], "application/zip")
            self.assertEqual(answer.headers["content-disposition"], 'filename="out.zip"')
        for method in ("GET", "DELETE"):
            self.assert_error(
                self.ask(method, f"/jobs/{job_id}/nope"), 404, 7, "Job has no such output: nope"
            )
        answer = self.ask("DELETE", f"/jobs/{job_id}/archive")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assert_error(
            self.ask("GET", f"/jobs/{job_id}/archive"), 404, 7, "Job has no such output: archive"
        )
        self.assertEqual(self.ask("GET", f"/jobs/{job_id}").json()["State"], "Success")

    def test_answer_waits_for_the_row(self) -> None:
        """A pause is answered when it is durable, and goes on if its client hangs up."""
        self.bench.submit()
        job_id = self.bench.submit()
        self.bench.store.held = True
        connection = self.site.connect()
        connection.request("POST", f"/jobs/{job_id}/pause", b"")
        self.assertEqual(connection.received(), b"")
        gone = self.site.connect()
        gone.request("POST", f"/jobs/{job_id}/cancel", b"")
        gone.hang_up()
        self.bench.store.release()
        self.assertEqual(connection.answer().body, b"{}")
        self.assertEqual(self.bench.state(job_id), "Failure")
