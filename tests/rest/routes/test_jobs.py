"""``/jobs`` as topics 20 and 21 of the corpus recorded it."""

import os
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.routes.job_outputs import JobOutputRoutes
from orthanc_tw.rest.routes.jobs import JOBS_A_CHUNK, JobsRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import Answer, InMemorySite
from tests.jobs.support import Bench, Held, Scripted, ScriptedJob, leaves_file

JSON = "application/json; charset=utf-8"


class JobsRoutesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = Held()
        self.held.resubmit_refusal = "Cannot do that"  # type: ignore[attr-defined]
        self.failing = Scripted(lambda job: 1 // 0, name="Failing")  # type: ignore[arg-type, return-value]
        self.bench = Bench(
            self.mktemp(), self.held, self.failing, Scripted(leaves_file), concurrent_jobs=1
        )
        streamer = Streamer(self.bench.in_thread)
        self.site = InMemorySite(
            JobsRoutes(self.bench.engine, streamer), JobOutputRoutes(self.bench.engine, streamer)
        )

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
        ids = sorted(self.bench.submit() for _ in range(4 * JOBS_A_CHUNK))
        for gone in (ids[:JOBS_A_CHUNK], ids[-JOBS_A_CHUNK:], ids[JOBS_A_CHUNK:-1], ids, []):
            with self.subTest(first=gone[:1]):
                describe = self.bench.engine.describe
                hidden = set(gone)
                self.patch(
                    self.bench.engine,
                    "describe",
                    lambda one, hidden=hidden, describe=describe: (
                        None if one in hidden else describe(one)
                    ),
                )
                found = [job["ID"] for job in self.ask("GET", "/jobs?expand").json()]
                self.patch(self.bench.engine, "describe", describe)
                self.assertEqual(found, [one for one in ids if one not in hidden])

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

    def test_part_of_an_output(self) -> None:
        """``Range`` as RFC 9110 has it: one range is 206, past the end 416, others are ignored."""
        job_id = self.bench.submit("Scripted")
        path = f"/jobs/{job_id}/archive"
        whole = self.ask("GET", path)
        self.assertEqual(whole.headers["accept-ranges"], "bytes")
        tag = whole.headers["etag"]
        for wanted, condition, status, body, span in (
            ("bytes=0-0", None, 206, b"P", "bytes 0-0/2"),
            ("bytes=1-", None, 206, b"K", "bytes 1-1/2"),
            ("bytes=1-99", None, 206, b"K", "bytes 1-1/2"),
            ("bytes=-1", None, 206, b"K", "bytes 1-1/2"),
            ("bytes=-99", None, 206, b"PK", "bytes 0-1/2"),
            ("bytes=0-0", tag, 206, b"P", "bytes 0-0/2"),
            ("bytes=0-0", '"other"', 200, b"PK", None),
            ("bytes=1-0", None, 200, b"PK", None),
            ("bytes=0-0,1-1", None, 200, b"PK", None),
            ("lines=0-0", None, 200, b"PK", None),
            ("bytes=x", None, 200, b"PK", None),
            ("bytes=2-", None, 416, None, "bytes */2"),
            ("bytes=-0", None, 416, None, "bytes */2"),
        ):
            with self.subTest(wanted=wanted, condition=condition):
                headers = {"Range": wanted} | ({"If-Range": condition} if condition else {})
                answer = self.site.ask("GET", path, headers=headers)
                self.assertEqual(answer.status, status)
                if body is not None:
                    self.assertEqual(answer.body, body)
                    self.assertEqual(answer.headers["content-type"], "application/zip")
                self.assertEqual(answer.headers.get("content-range"), span)

    def test_output_that_the_client_has(self) -> None:
        """The ETag of an output spares its sending."""
        job_id = self.bench.submit("Scripted")
        path = f"/jobs/{job_id}/archive"
        tag = self.ask("GET", path).headers["etag"]
        for sent, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200)):
            answer = self.site.ask("GET", path, headers={"If-None-Match": sent})
            self.assertEqual((answer.status, answer.headers["etag"]), (status, tag))
            self.assertEqual(answer.body, b"PK" if status == 200 else b"")

    def test_name_of_an_output(self) -> None:
        """A name that is not ASCII is there in UTF-8, and the way RFC 6266 has it."""

        def leaves(job: ScriptedJob) -> Iterator[Any]:
            yield from leaves_file(job)
            job.context.outputs["archive"].filename = "Größe.zip"

        self.bench.engine.register(Scripted(leaves, "Named"))
        job_id = self.bench.submit("Named")
        header = self.ask("GET", f"/jobs/{job_id}/archive").headers["content-disposition"]
        self.assertEqual(
            header.encode("latin-1").decode(),
            "filename=\"Größe.zip\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.zip",
        )

    def test_failed_instances(self) -> None:
        """They are in the job's JSON, but for very many, and all in a list of their own."""

        def fails(job: ScriptedJob) -> Iterator[Any]:
            job.context.failed_instances["one"] = "No answer"
            yield None
            for number in range(149):
                job.context.failed_instances[f"{number}"] = "Refused"

        self.bench.engine.register(Scripted(fails, "Fails"))
        job_id = self.bench.submit("Fails")
        job = self.ask("GET", f"/jobs/{job_id}").json()
        self.assertEqual(job["FailedInstancesCount"], 150)
        self.assertEqual(len(job["FailedInstances"]), 100)
        self.assertEqual(job["FailedInstances"]["one"], "No answer")
        found = self.ask("GET", f"/jobs/{job_id}/failed-instances").json()
        self.assertEqual((len(found), found[0]), (150, {"ID": "one", "Reason": "No answer"}))
        self.assertEqual(self.bench.store.rows[job_id].failed_instances["one"], "No answer")
        again = Bench(self.bench.folder, Scripted(fails, "Fails"), store=self.bench.store)
        self.assertEqual(
            again.engine.failed_instances(job_id), {item["ID"]: item["Reason"] for item in found}
        )
        other = self.bench.submit("Scripted")
        self.assertNotIn("FailedInstances", self.ask("GET", f"/jobs/{other}").json())
        self.assertEqual(self.ask("GET", f"/jobs/{other}/failed-instances").json(), [])
        self.assert_bare(self.ask("GET", "/jobs/nope/failed-instances"), 404)

    def test_sorted_pages(self) -> None:
        """``sort`` orders, ``-`` turns it round, ``Link`` leads from page to page."""
        ids = [self.bench.submit(priority=n % 3) for n in range(7)]
        order = sorted(ids, key=lambda one: (-(ids.index(one) % 3), one))
        path = "/jobs?sort=-priority&limit=3&state=Pending,Running"
        found = []
        while path:
            answer = self.ask("GET", path)
            found += answer.json()
            self.assertLessEqual(len(answer.json()), 3)
            link = answer.headers.get("link", "")
            path = link.partition(">")[0][1:]
        self.assertEqual([ids.index(one) % 3 for one in found], [2, 2, 1, 1, 0, 0, 0])
        self.assertEqual(set(found), set(order))
        expanded = self.ask("GET", "/jobs?expand&limit=2").headers["link"]
        self.assertTrue(expanded.startswith("</jobs?expand&limit=2&after="), expanded)
        self.assertIn('>; rel="next"', expanded)
        self.assert_error(
            self.ask("GET", "/jobs?sort=size"),
            400,
            3,
            "One of id, submission, completion, priority, state, type, progress, runtime is"
            " expected in the argument: sort",
        )
        self.assert_error(
            self.ask("GET", "/jobs?sort=priority&after=x"),
            400,
            3,
            "The end of a page of this order is expected in the argument: after",
        )

    def test_label(self) -> None:
        """``label`` selects the jobs about resources that have it."""
        self.held.resources = lambda parameters: [parameters["name"]]  # type: ignore[attr-defined]
        self.bench.labels = {"b": {"urgent"}}
        ids = {name: self.bench.submit(name=name) for name in "abc"}
        self.assertEqual(self.ask("GET", "/jobs?label=urgent").json(), [ids["b"]])
        self.assertEqual(self.ask("GET", "/jobs?label=urgent&state=Success").json(), [])

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
