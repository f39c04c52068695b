"""What Orthanc promises of its jobs, sentence by sentence, over HTTP."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from orthanc_tw.jobs.store import IndexJobStore
from orthanc_tw.rest.http import Route, json_request
from orthanc_tw.rest.routes.job_outputs import JobOutputRoutes
from orthanc_tw.rest.routes.jobs import JobsRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.rest.submission import parse_submission, submit_job
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.requests import Answer, Connection, InMemorySite, Routes
from tests.jobs.support import Bench, Held, HeldJob


class Server:
    """An engine on a database, behind HTTP, whose jobs go on when a test says so.

    ``POST /held`` submits one that has as many steps as there are; its name is in ``Name``.
    """

    def __init__(self, folder: str, index: MemoryIndex, count: int = 1, **settings: Any) -> None:
        self.kind = Held(count=count)
        store: Any = IndexJobStore(index)
        self.bench = Bench(folder, self.kind, store=store, **settings)
        engine, streamer = self.bench.engine, Streamer(self.bench.in_thread)
        submission = Route("POST", "/held", self._submit, changes_state=False)
        self.site = InMemorySite(
            Routes(submission), JobsRoutes(engine, streamer), JobOutputRoutes(engine, streamer)
        )

    async def _submit(self, request: Request) -> bytes:
        body: Any = json_request(request)
        options = parse_submission(body, synchronous_by_default=True)
        job = options.request("Held", {"name": body.get("Name", "job")})
        return await submit_job(self.bench.engine, request, job, options)

    def ask(self, method: str, path: str, value: object = None) -> Answer:
        """One request, and what it leads to."""
        connection = self.begin(method, path, value)
        return connection.answer()

    def begin(self, method: str, path: str, value: object = None) -> Connection:
        """A request whose answer may not be there yet."""
        connection = self.site.connect()
        body = json.dumps(value).encode() if value is not None else None
        connection.request(method, path, b"" if body is None and method == "POST" else body)
        self.bench.pump.run()
        return connection

    def submit(self, name: str = "job", priority: int = 0) -> str:
        """Submit asynchronously; the id of the job."""
        body = {"Name": name, "Priority": priority, "Asynchronous": True}
        return str(self.ask("POST", "/held", body).json()["ID"])

    def job(self, job_id: str) -> Any:
        """``GET /jobs/{id}``."""
        return self.ask("GET", f"/jobs/{job_id}").json()

    def state(self, job_id: str) -> str:
        """``State`` of a job."""
        return str(self.job(job_id)["State"])

    def stop(self) -> Deferred[None]:
        """Stop in good order; the steps under way get the time that a stop leaves them."""
        stopped = self.bench.stop()
        self.bench.advance(5)
        return stopped

    def waiting(self) -> list[HeldJob]:
        """The jobs whose step waits for the test."""
        return [run for run in self.kind.runs if run.waiting and not run.waiting[-1].called]

    def go(self, error: Exception | None = None) -> str:
        """Let the first step that waits succeed, or fail; the name of its job."""
        run = self.waiting()[0]
        if error is None:
            run.go()
        else:
            run.waiting[-1].errback(error)
        self.bench.pump.run()
        return run.name


class PromisesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.index = MemoryIndex()
        self.addCleanup(self.index.close)

    def server(self, **settings: Any) -> Server:
        return Server(self.folder, self.index, **settings)

    def test_added_to_a_queue(self) -> None:
        """Jobs are added to a queue, and wait there for their turn."""
        server = self.server(concurrent_jobs=1)
        first, second = server.submit(), server.submit()
        self.assertEqual((server.state(first), server.state(second)), ("Running", "Pending"))
        server.go()
        self.assertEqual((server.state(first), server.state(second)), ("Success", "Running"))

    def test_executed_concurrently(self) -> None:
        """ConcurrentJobs of them are executed at once, never more."""
        server = self.server(concurrent_jobs=3)
        ids = [server.submit() for _ in range(7)]
        while server.waiting():
            states = [server.state(job_id) for job_id in ids]
            left = 7 - states.count("Success")
            self.assertEqual(states.count("Running"), min(3, left))
            server.go()
        self.assertEqual({server.state(job_id) for job_id in ids}, {"Success"})

    def test_priority(self) -> None:
        """The higher priority goes first; of equal ones the one submitted first."""
        server = self.server(concurrent_jobs=1)
        server.submit("running")
        for name, priority in (("a", 0), ("b", 5), ("c", -(2**31)), ("d", 5), ("e", 2**31 - 1)):
            server.submit(name, priority)
        order = []
        while server.waiting():
            order.append(server.go())
        self.assertEqual(order, ["running", "e", "b", "d", "a", "c"])

    def test_tagged(self) -> None:
        """They are tagged as successful or failed."""
        server = self.server()
        good, bad = server.submit("good"), server.submit("bad")
        server.go()
        server.go(ValueError("on purpose"))
        self.flushLoggedErrors(ValueError)
        self.assertEqual((server.state(good), server.state(bad)), ("Success", "Failure"))
        self.assertEqual((server.job(good)["ErrorCode"], server.job(bad)["ErrorCode"]), (0, -1))

    def test_history(self) -> None:
        """They are kept in a history of limited size: the one that ended first goes first."""
        server = self.server(history_size=2, concurrent_jobs=1)
        ids = [server.submit() for _ in range(4)]
        for _ in ids:
            server.go()
        self.assertEqual(server.ask("GET", "/jobs").json(), sorted(ids[2:]))
        self.assertEqual(server.ask("GET", f"/jobs/{ids[0]}").status, 404)

    def test_no_history(self) -> None:
        """A history of size 0 keeps none, and a synchronous call has its answer all the same."""
        server = self.server(history_size=0)
        calling = server.begin("POST", "/held", {})
        server.go()
        self.assertEqual(calling.answer().json()["Done"], 1)
        self.assertEqual(server.ask("GET", "/jobs").json(), [])

    def test_saved_and_put_back(self) -> None:
        """Saved in the database, they are put back into the queue after a restart."""
        first = self.server(concurrent_jobs=1, count=2)
        running, pending = first.submit("running"), first.submit("pending")
        first.go()
        paused = first.submit("paused")
        first.ask("POST", f"/jobs/{paused}/pause")
        self.successResultOf(first.stop())
        again = self.server(concurrent_jobs=1, count=2)
        states = [again.state(job_id) for job_id in (running, pending, paused)]
        self.assertEqual(states, ["Running", "Pending", "Paused"])
        self.assertEqual(again.kind.log, ["running 1"])
        while again.waiting():
            again.go()
        states = [again.state(job_id) for job_id in (running, pending, paused)]
        self.assertEqual(states, ["Success", "Success", "Paused"])

    def test_no_jobs(self) -> None:
        """With ``--no-jobs`` they are not put back, and gone for good."""
        first = self.server(concurrent_jobs=1)
        first.submit()
        self.successResultOf(first.stop())
        without = self.server(reload_jobs=False)
        self.assertEqual(without.ask("GET", "/jobs").json(), [])
        self.successResultOf(without.stop())
        self.assertEqual(self.server().ask("GET", "/jobs").json(), [])

    def test_without_save_jobs(self) -> None:
        """Without ``SaveJobs`` nothing is saved."""
        first = self.server(save_jobs=False)
        first.submit()
        self.successResultOf(first.stop())
        self.assertEqual(self.server().ask("GET", "/jobs").json(), [])

    def test_monitored(self) -> None:
        """They are monitored at ``/jobs``: progress, times, content, user data."""
        server = self.server(count=4)
        server.bench.clock.advance(1)
        body = {"Asynchronous": True, "UserData": {"a": ["é"]}, "Priority": 3}
        job_id = server.ask("POST", "/held", body).json()["ID"]
        server.go()
        server.bench.clock.advance(2)
        job = server.job(job_id)
        self.assertEqual((job["Progress"], job["EffectiveRuntime"]), (25, 2.0))
        self.assertEqual((job["UserData"], job["Priority"]), ({"a": ["é"]}, 3))
        self.assertEqual(job["Content"], {"Description": "REST API", "Done": 1})
        self.assertNotIn("CompletionTime", job)
        # 2 s for a quarter: 6 s are left.
        self.assertEqual(job["EstimatedTimeOfArrival"][9:15], "201508")
        while server.waiting():
            server.go()
        ended = server.job(job_id)
        self.assertEqual((ended["Progress"], ended["State"]), (100, "Success"))
        self.assertEqual(ended["CompletionTime"], ended["Timestamp"])
        self.assertEqual(server.ask("GET", "/jobs?expand").json(), [ended])

    def test_controlled(self) -> None:
        """They are controlled by pause, resume, cancel and resubmit."""
        server = self.server(count=2)
        job_id = server.submit()

        def told(name: str) -> tuple[int, str]:
            return server.ask("POST", f"/jobs/{job_id}/{name}").status, server.state(job_id)

        self.assertEqual(told("pause"), (200, "Running"))
        server.go()
        self.assertEqual(server.state(job_id), "Paused")
        self.assertEqual(told("resume"), (200, "Running"))
        self.assertEqual(told("cancel"), (200, "Failure"))
        self.assertEqual(server.job(job_id)["ErrorCode"], 37)
        self.assertEqual(told("resubmit"), (200, "Running"))
        self.assertEqual(told("resubmit"), (400, "Running"))
        server.go()
        server.go()
        self.assertEqual(told("resume"), (400, "Success"))
        self.assertEqual(server.kind.log, ["job 0", "job 1", "job 0", "job 1"])

    def test_limit(self) -> None:
        """With LimitJobs pending, adding one waits until one leaves the queue."""
        server = self.server(concurrent_jobs=1, limit_jobs=2)
        for _ in range(3):
            server.submit()
        waiting = server.begin("POST", "/held", {"Asynchronous": True})
        gone = server.begin("POST", "/held", {"Asynchronous": True})
        self.assertEqual(waiting.received(), b"")
        self.assertEqual(len(server.ask("GET", "/jobs").json()), 3)
        gone.hang_up()
        server.go()
        job_id = waiting.answer().json()["ID"]
        self.assertEqual(server.state(job_id), "Pending")
        self.assertEqual(len(server.ask("GET", "/jobs").json()), 4)

    def test_fifty_synchronous_calls(self) -> None:
        """Fifty synchronous calls with one slot all have their answer."""
        server = self.server(concurrent_jobs=1, history_size=5)
        calls = [server.begin("POST", "/held", {"Name": str(n)}) for n in range(50)]
        while server.waiting():
            server.go()
        for call in calls:
            self.assertEqual(call.answer().status, 200)

    def test_a_caller_that_hangs_up(self) -> None:
        """It cancels nothing: the job goes on to its end."""
        server = self.server()
        server.begin("POST", "/held", {}).hang_up()
        [job_id] = server.ask("GET", "/jobs").json()
        self.assertEqual(server.state(job_id), "Running")
        server.go()
        self.assertEqual(server.state(job_id), "Success")

    def test_while_the_saved_jobs_are_loaded(self) -> None:
        """Requests about jobs wait until all are loaded: none is said to be unknown meanwhile."""
        first = self.server(concurrent_jobs=1)
        job_id = first.submit()
        self.successResultOf(first.stop())
        loading: Deferred[None] = Deferred()
        self.patch(IndexJobStore, "load", _after(loading, IndexJobStore.load))
        again = self.server(concurrent_jobs=1)
        calls = [
            again.begin("GET", "/jobs"),
            again.begin("GET", f"/jobs/{job_id}"),
            again.begin("POST", f"/jobs/{job_id}/pause"),
            again.begin("GET", f"/jobs/{job_id}/failed-instances"),
        ]
        self.assertEqual([call.received() for call in calls], [b""] * 4)
        gone = again.begin("GET", "/jobs")
        gone.hang_up()
        loading.callback(None)
        again.bench.pump.run()
        answers = [call.answer() for call in calls]
        self.assertEqual([answer.status for answer in answers], [200] * 4)
        self.assertEqual(answers[0].json(), [job_id])


def _after(gate: Deferred[None], load: Any) -> Any:
    def later(*args: Any) -> Deferred[Any]:
        opened: Deferred[Any] = Deferred()
        gate.chainDeferred(opened)
        return opened.addCallback(lambda _: load(*args))

    return later
