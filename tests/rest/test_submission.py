from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.rest.http import Route, json_request
from orthanc_tw.rest.submission import SubmissionOptions, parse_submission, submit_job
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.jobs.support import Bench, Held


class ParseTests(SynchronousTestCase):
    def parse(self, body: object, default: bool = True) -> SubmissionOptions:
        return parse_submission(body, synchronous_by_default=default)  # type: ignore[arg-type]

    def test_synchronous(self) -> None:
        """``Synchronous`` wins over ``Asynchronous``, and that over the default."""
        for body, default, expected in (
            ({}, True, True),
            ({}, False, False),
            ({"Synchronous": False}, True, False),
            ({"Synchronous": True}, False, True),
            ({"Asynchronous": True}, True, False),
            ({"Asynchronous": False}, False, True),
            ({"Synchronous": True, "Asynchronous": True}, False, True),
            ({"Synchronous": False, "Asynchronous": False}, True, False),
            ({"Synchronous": False, "Asynchronous": "x"}, True, False),
        ):
            with self.subTest(body=body):
                self.assertIs(self.parse(body, default).synchronous, expected)

    def test_others(self) -> None:
        """Priority, user data and permissiveness; a null ``UserData`` is none."""
        found = self.parse({"Priority": -4, "UserData": {"a": 1}, "Permissive": True})
        self.assertEqual(found, SubmissionOptions(True, -4, {"a": 1}, True, True))
        self.assertEqual(self.parse({"UserData": None}), SubmissionOptions(True))
        self.assertTrue(self.parse({"UserData": False}).has_user_data)

    def test_retry(self) -> None:
        """``Retry``: whether, how often, or all of it; what it does not name has its default."""
        for value, expected in (
            (True, RetryPolicy()),
            (False, RetryPolicy(1)),
            (3, RetryPolicy(3)),
            ({}, RetryPolicy()),
            ({"MaximumAttempts": 9, "InitialDelay": 0.5}, RetryPolicy(9, 0.5, 300.0)),
            ({"MaximumDelay": 60}, RetryPolicy(5, 1.0, 60.0)),
        ):
            self.assertEqual(self.parse({"Retry": value}).retry, expected)
        self.assertIsNone(self.parse({}).retry)
        for value, name in (
            ("x", "Retry"),
            (None, "Retry"),
            (0, "Retry"),
            ({"MaximumAttempts": 1.5}, "Retry.MaximumAttempts"),
            ({"MaximumAttempts": 1001}, "Retry.MaximumAttempts"),
            ({"InitialDelay": -1}, "Retry.InitialDelay"),
            ({"MaximumDelay": True}, "Retry.MaximumDelay"),
            ({"Tries": 3}, "Retry.Tries"),
        ):
            with self.subTest(value=value):
                error = self.assertRaises(OrthancError, self.parse, {"Retry": value})
                self.assertEqual(error.http_status, 400)
                self.assertTrue(str(error.details).endswith(f": {name}"), error.details)

    def test_body_that_is_no_object(self) -> None:
        """It has none of the fields."""
        for body in ([], "x", 5, None):
            self.assertEqual(self.parse(body), SubmissionOptions(True))

    def test_wrong_types(self) -> None:
        """The error names the field and says what was expected."""
        for field, value, expected in (
            ("Synchronous", "x", "Boolean"),
            ("Asynchronous", 1, "Boolean"),
            ("Permissive", None, "Boolean"),
            ("Priority", "x", "Integer"),
            ("Priority", 1.5, "Integer"),
            ("Priority", True, "Integer"),
            ("Priority", 2**31, "Integer"),
        ):
            with self.subTest(field=field, value=value):
                error = self.assertRaises(OrthancError, self.parse, {field: value})
                self.assertEqual((error.code, error.http_status), (15, 400))
                self.assertEqual(error.details, f"{expected} value expected in field: {field}")


class SubmitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kind = Held(count=1)
        self.bench = Bench(self.mktemp(), self.kind, concurrent_jobs=1, limit_jobs=1)
        route = Route("POST", "/held", self.handle, changes_state=False)
        self.site = InMemorySite(Routes(route))

    async def handle(self, request) -> bytes:
        options = parse_submission(json_request(request), synchronous_by_default=True)
        job = options.request("Held", {"name": "x"})
        return await submit_job(self.bench.engine, request, job, options)

    def test_asynchronous(self) -> None:
        """The answer has the id and the path of the job."""
        answer = self.site.ask("POST", "/held", b'{"Asynchronous": true, "Priority": 3}')
        [job_id] = self.bench.engine.list_ids()
        self.assertEqual(answer.json(), {"ID": job_id, "Path": f"/jobs/{job_id}"})
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertEqual(self.bench.field(job_id, "Priority"), 3)

    def test_synchronous(self) -> None:
        """The answer is the content of the job, when it has ended."""
        connection = self.site.connect()
        connection.request("POST", "/held", b"{}")
        self.bench.pump.run()
        self.assertEqual(connection.received(), b"")
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.assertEqual(connection.answer().json(), {"Description": "REST API", "Done": 1})

    def test_failure(self) -> None:
        """A failed job is an error of the request, with its code and details."""
        connection = self.site.connect()
        connection.request("POST", "/held", b"{}")
        self.bench.pump.run()
        self.bench.engine.cancel(self.bench.engine.list_ids()[0])
        self.bench.pump.run()
        answer = connection.answer()
        self.assertEqual(answer.status, 500)
        self.assertEqual(answer.json()["OrthancStatus"], 37)
        self.assertNotIn("Details", answer.json())

    def test_client_that_hangs_up(self) -> None:
        """While it waits for a place nothing is submitted; later the job goes on."""
        self.bench.submit()
        self.bench.submit()
        waiting = self.site.connect()
        waiting.request("POST", "/held", b"{}")
        waiting.hang_up()
        self.kind.runs[0].go()
        self.bench.pump.run()
        self.assertEqual(len(self.bench.engine.list_ids()), 2)
        gone = self.site.connect()
        gone.request("POST", "/held", b"{}")
        gone.hang_up()
        self.assertEqual(len(self.bench.engine.list_ids()), 3)
        self.kind.runs[1].go()
        self.bench.pump.run()
        self.kind.runs[2].go()
        self.bench.pump.run()
        self.assertEqual(self.bench.engine.counts()["success"], 3)
