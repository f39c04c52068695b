"""The routes of archives against the recordings, on the real engine, in memory."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock, Cooperator
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.jobs.kinds.archive import ARCHIVE, MEDIA, ArchiveKind, ArchiveSettings
from orthanc_tw.jobs.settings import JobsSettings
from orthanc_tw.rest.routes.archives import ArchiveRoutes, ArchiveRoutesSettings
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import Answer, Connection, InMemorySite
from tests.core.archives.fakes import FakeIndex, transcoder
from tests.core.archives.test_plan import recorded


class NoStore:
    """A `JobStore` that keeps nothing; ``saved`` counts."""

    def __init__(self) -> None:
        self.saved: list[Any] = []

    def load(self, after: int, limit: int) -> Deferred[Any]:
        return succeed([])

    def save(self, row: Any) -> Deferred[None]:
        self.saved.append(row)
        return succeed(None)

    def delete(self, job_id: str) -> Deferred[None]:
        return succeed(None)

    def flush(self) -> Deferred[None]:
        return succeed(None)


class RoutesTestCase(SynchronousTestCase):
    """A server of archives with the instances of the recording."""

    stream = True
    archive_settings = ArchiveSettings()

    def setUp(self) -> None:
        self.exchanges = recorded("20-jobs-archives")
        self.index = FakeIndex()
        for exchange in self.exchanges:
            if exchange["path"] == "/instances" and "body_file" in exchange:
                self.index.add_test_file(exchange["body_file"])
        self.clock = Clock()
        self.folder = os.path.abspath(self.mktemp())
        self.store = NoStore()
        self.scheduled: list[Callable[[], None]] = []
        self.engine = JobsEngineService(
            JobsSettings(os.path.join(self.folder, "jobs")),
            [
                ArchiveKind(
                    name,
                    self.index,  # type: ignore[arg-type]
                    self.index.open_file,
                    lambda: datetime(2024, 1, 1),
                    self.archive_settings,
                    transcoder(self.index),
                )
                for name in (ARCHIVE, MEDIA)
            ],
            self.store,
            clock=self.clock,
            cooperator=Cooperator(lambda: lambda: True, self._schedule),
            in_thread=maybeDeferred,
            make_id=lambda: f"job-{len(self.engine.list_ids())}",
            now_s=self.clock.seconds,
        )
        self.engine.startService()
        settings = ArchiveRoutesSettings(stream=self.stream)
        self.site = InMemorySite(
            ArchiveRoutes(self.index, self.engine, Streamer(maybeDeferred), settings)  # type: ignore[arg-type]
        )

    def _schedule(self, call: Callable[[], None]) -> Any:
        self.scheduled.append(call)

        class Cancel:
            def cancel(_self) -> None:
                if call in self.scheduled:
                    self.scheduled.remove(call)

        return Cancel()

    def work(self) -> None:
        """Let the engine run until it has nothing to do."""
        for _ in range(1000):
            if not self.scheduled:
                return
            self.scheduled.pop(0)()
        raise AssertionError("The engine does not come to an end")

    def begin(self, method: str, path: str, body: bytes | None = None) -> Connection:
        connection = self.site.connect()
        connection.request(method, path, body)
        return connection

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = self.begin(method, path, body)
        self.work()
        return connection.answer()

    def study(self) -> str:
        return "23b6420e-ba1c465e-83264151-07988c70-fa35f680"


class ReplayMixin:
    """Recorded exchanges of archives and media, one by one."""

    def test_recorded_answers(self: Any) -> None:
        """Status, headers, members and error bodies are the recorded ones."""
        compared = 0
        for number, exchange in enumerate(self.exchanges):
            path, method = exchange["path"], exchange["method"]
            expected = exchange.get("response", {})
            is_ours = path.endswith(("archive", "media")) or "create-" in path or "?" in path
            if not is_ours or "/jobs" in path or "bulk" in path or "/instances" in path:
                continue
            body = None
            if "body" in exchange:
                body = json.dumps(exchange["body"]).encode()
            elif "body_text" in exchange:
                body = exchange["body_text"].encode()
            answer = self.ask(method, path, body)
            label = f"{number} {method} {path} {body!r}: {answer.body[:300]!r}"
            self.assertEqual(answer.status, expected["status"], label)
            for name, value in expected["headers"].items():
                found = answer.headers.get(name)
                if name == "content-disposition" and found is not None:
                    found = found.partition("; filename*=")[0]  # of RFC 6266; not Orthanc's
                self.assertEqual(found, value, label)
            if "binary" in expected:
                with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
                    self.assertIsNone(archive.testzip())
                    names = sorted(archive.namelist())
                self.assertEqual(names, expected["binary"]["zip"]["entries"], label)
            elif "${" in json.dumps(expected["json"]):
                self.assertEqual(sorted(answer.json()), ["ID", "Path"])
            else:
                self.assertEqual(answer.json(), expected["json"], label)
            compared += 1
        self.assertGreater(compared, 70)


class StreamingTests(RoutesTestCase, ReplayMixin):
    def test_streams_are_not_saved(self) -> None:
        """A job that sends to a client is in the list of jobs, and not in the database."""
        self.ask("GET", f"/studies/{self.study()}/media")
        (described,) = self.engine.describe_all()
        self.assertEqual((described["Type"], described["State"]), ("Media", "Success"))
        self.assertEqual(self.store.saved, [])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "jobs", "job-0")))

    def test_an_error_before_the_first_byte(self) -> None:
        """A lost file is an error with a body as long as nothing was sent."""
        self.index.files.clear()
        answer = self.ask("GET", f"/studies/{self.study()}/archive")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.json()["OrthancStatus"], 13)
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assertNotIn("content-disposition", answer.headers)

    def test_a_client_that_goes_before_its_job_runs(self) -> None:
        """Its job is cancelled, whatever the method."""
        for method, body in (("GET", None), ("POST", b"{}")):
            connection = self.begin(method, f"/studies/{self.study()}/archive", body)
            connection.hang_up()
            self.work()
        states = [(job["State"], job["ErrorCode"]) for job in self.engine.describe_all()]
        self.assertEqual(states, [("Failure", 37)] * 2)

    def test_file_names(self) -> None:
        """UTF-8 goes as it is; quotes and control characters go not."""
        path = f"/studies/{self.study()}/archive?filename="
        answer = self.ask("GET", path + "h%C3%A9llo%20x")
        self.assertEqual(
            answer.headers["content-disposition"],
            "filename=\"h\xc3\xa9llo x\"; filename*=UTF-8''h%C3%A9llo%20x",
        )
        answer = self.ask("GET", path + "a%22%0d%0aX-Y:%20b")
        self.assertEqual(answer.headers["content-disposition"], 'filename="a___X-Y: b"')
        self.assertNotIn("x-y", answer.headers)

    def test_fields_of_a_wrong_type(self) -> None:
        """A 400 that names the field; nothing was submitted."""
        for field, value, kind in (
            ("Synchronous", 1, "Boolean"),
            ("Utf8", "x", "Boolean"),
            ("Extended", 3, "Boolean"),
            ("Transcode", 5, "String"),
            ("Filename", 5, "String"),
            ("Priority", "x", "Integer"),
            ("LossyQuality", "x", "Integer"),
        ):
            body = json.dumps({field: value}).encode()
            answer = self.ask("POST", f"/studies/{self.study()}/media", body)
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.json()["Details"], f"{kind} value expected in field: {field}")
        self.assertEqual(self.engine.list_ids(), [])

    def test_the_syntax_they_have(self) -> None:
        """Transcode to the syntax that all instances have already is no transcoding."""
        uid = "1.2.840.10008.1.2.1"
        answer = self.ask("GET", f"/studies/{self.study()}/archive?transcode={uid}")
        self.assertEqual(answer.status, 200)
        (job,) = self.engine.describe_all()
        self.assertEqual(job["Content"]["Transcode"], uid)  # type: ignore[call-overload, index]


class SmallWindowsTests(RoutesTestCase):
    """A stream of many steps."""

    archive_settings = ArchiveSettings(stream_window_bytes=1, single_step_bytes=0)

    def test_an_error_amid_the_stream(self) -> None:
        """The connection is cut: what the client has is no valid ZIP, nor a whole answer."""
        cut: list[bool] = []

        def abort() -> None:
            cut.append(True)
            connection.hang_up()

        patient = "ff0cd5cd-5aa765eb-8e477adb-dc3e083e-5b26e1e5"
        connection = self.begin("GET", f"/patients/{patient}/archive")
        connection.transport.abortConnection = abort  # type: ignore[method-assign]
        while b"PK" not in connection.received():
            self.scheduled.pop(0)()
        for resource in self.index.resources.values():
            if resource.attachments:
                self.index.files.pop(resource.attachments[0].uuid)
        self.work()
        self.flushLoggedErrors()
        self.assertIn(b"PK", connection.received())
        self.assertFalse(connection.received().endswith(b"0\r\n\r\n"))
        self.assertEqual(cut, [True])
        (job,) = self.engine.describe_all()
        self.assertEqual((job["State"], job["ErrorCode"]), ("Failure", 13))

    def test_back_pressure(self) -> None:
        """While the client takes nothing, at most one more window is made."""
        patient = "ff0cd5cd-5aa765eb-8e477adb-dc3e083e-5b26e1e5"
        connection = self.begin("GET", f"/patients/{patient}/archive")
        while b"PK" not in connection.received():
            self.scheduled.pop(0)()
        opened = len(self.index.opened)
        connection.transport.producer.pauseProducing()
        self.work()
        self.assertEqual(len(self.index.opened), opened + 1)
        connection.transport.producer.resumeProducing()
        self.work()
        with zipfile.ZipFile(io.BytesIO(connection.answer().body)) as archive:
            self.assertEqual(len(archive.namelist()), 7)

    def test_a_client_that_goes_amid_the_stream(self) -> None:
        """The job ends at once, though it waits for the client."""
        patient = "ff0cd5cd-5aa765eb-8e477adb-dc3e083e-5b26e1e5"
        connection = self.begin("GET", f"/patients/{patient}/archive")
        while b"PK" not in connection.received():
            self.scheduled.pop(0)()
        connection.transport.producer.pauseProducing()
        self.work()
        connection.hang_up()
        self.work()
        (job,) = self.engine.describe_all()
        self.assertEqual(job["State"], "Failure")


class FileTests(RoutesTestCase, ReplayMixin):
    """``SynchronousZipStream`` is false."""

    stream = False

    def test_the_file_is_dropped_when_it_is_sent(self) -> None:
        """Its length is known, and nobody can ask for it again."""
        answer = self.ask("GET", f"/studies/{self.study()}/archive")
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        self.work()
        (job_id,) = self.engine.list_ids()
        self.assertIsNone(self.engine.output(job_id, "archive"))
        self.assertEqual(os.listdir(os.path.join(self.folder, "jobs")), [])


class JobTests(RoutesTestCase):
    def test_an_asynchronous_job(self) -> None:
        """It is answered at once, described before and after, and leaves its output."""
        body = b'{"Asynchronous": true, "Priority": 7, "UserData": {"k": 1}, "Filename": "o.zip"}'
        connection = self.begin("POST", f"/studies/{self.study()}/archive", body)
        job_id = connection.answer().json()["ID"]
        pending = self.engine.describe(job_id)
        assert pending is not None
        self.assertEqual(
            pending["Content"],
            {
                "ArchiveSize": "0",
                "ArchiveSizeMB": 0,
                "Description": "REST API",
                "InstancesCount": 3,
                "UncompressedSize": "6896",
                "UncompressedSizeMB": 0,
                "Utf8": False,
            },
        )
        self.work()
        done = self.engine.describe(job_id)
        assert done is not None
        self.assertEqual((done["State"], done["Progress"], done["Priority"]), ("Success", 100, 7))
        output = self.engine.output(job_id, "archive")
        assert output is not None
        self.assertEqual(output.filename, "o.zip")
        with zipfile.ZipFile(output.path) as archive:
            self.assertEqual(len(archive.namelist()), 3)

    def test_a_failed_job_is_not_resubmitted(self) -> None:
        """The recorded refusal."""
        self.index.files.clear()
        connection = self.begin(
            "POST", f"/studies/{self.study()}/archive", b'{"Asynchronous": true}'
        )
        job_id = connection.answer().json()["ID"]
        self.work()
        error = self.failureResultOf(self.engine.resubmit(job_id)).value
        self.assertEqual(error.details, "Cannot resubmit the creation of an archive")
