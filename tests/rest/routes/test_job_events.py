"""``/jobs/events``."""

import json

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.routes.job_events import (
    GATHER_S,
    HEARTBEAT_S,
    JOBS_A_CHUNK,
    JobEventsRoutes,
)
from orthanc_tw.rest.routes.jobs import JobsRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import Connection, InMemorySite
from tests.jobs.support import Bench, Held, Scripted


class JobEventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = Held()
        self.bench = Bench(self.mktemp(), self.held, Scripted(), concurrent_jobs=1, history_size=2)
        streamer = Streamer(self.bench.in_thread)
        self.events = JobEventsRoutes(self.bench.engine, streamer, self.bench.clock, 2)
        self.site = InMemorySite(JobsRoutes(self.bench.engine, streamer), self.events)

    def listen(self) -> Connection:
        connection = self.site.connect()
        connection.request("GET", "/jobs/events")
        return connection

    def told(self, connection: Connection) -> list[tuple[str, str, str | None]]:
        """Take the events since the last time: name, id and state."""
        text = connection.received().decode("utf-8")
        connection.transport.clear()
        found = []
        for block in text.split("\n\n"):
            lines = [line.strip() for line in block.splitlines()]
            names = [line[7:] for line in lines if line.startswith("event: ")]
            data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
            if names:
                found.append((names[0], data[0]["ID"], data[0].get("State")))
        return found

    def test_headers(self) -> None:
        """The type of the stream, and a first comment at once."""
        connection = self.listen()
        head, _, rest = connection.received().partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertIn(b"text/event-stream", head)
        self.assertIn(b": the jobs\n\n", rest)

    def test_snapshot(self) -> None:
        """A new client is told of the jobs that have not ended."""
        self.bench.submit("Scripted")
        running = self.bench.submit()
        pending = self.bench.submit()
        connection = self.listen()
        self.bench.advance(GATHER_S)
        self.assertEqual(
            sorted(self.told(connection)),
            sorted([("job", running, "Running"), ("job", pending, "Pending")]),
        )

    def test_changes(self) -> None:
        """Each change is told; those that follow closely are one event."""
        connection = self.listen()
        job_id = self.bench.submit()
        self.assertEqual(self.told(connection), [])
        self.bench.advance(GATHER_S)
        self.assertEqual(self.told(connection), [("job", job_id, "Running")])
        self.bench.engine.cancel(job_id)
        self.bench.pump.run()
        self.bench.advance(GATHER_S)
        self.assertEqual(self.told(connection), [("job", job_id, "Failure")])
        self.bench.engine.delete(job_id)
        self.bench.advance(GATHER_S)
        self.assertEqual(self.told(connection), [("gone", job_id, None)])

    def test_history(self) -> None:
        """A job that history drops is gone."""
        first = self.bench.submit("Scripted")
        self.bench.submit("Scripted")
        connection = self.listen()
        self.bench.submit("Scripted")
        self.bench.advance(GATHER_S)
        self.assertIn(("gone", first, None), self.told(connection))

    def test_heartbeat(self) -> None:
        """A silent stream says now and then that it is alive."""
        connection = self.listen()
        connection.transport.clear()
        self.bench.advance(HEARTBEAT_S - 0.1)
        self.assertEqual(connection.received(), b"")
        for _ in range(2):
            self.bench.advance(HEARTBEAT_S)
            self.assertIn(b": alive\n\n", connection.received())
            connection.transport.clear()

    def test_slow_client(self) -> None:
        """A client that does not read costs ids, and then gets the last states."""
        connection = self.listen()
        connection.transport.producer.pauseProducing()
        connection.transport.clear()
        self.bench.clock.advance(HEARTBEAT_S)
        running = self.bench.submit()
        ids = [self.bench.submit() for _ in range(3 * JOBS_A_CHUNK)]
        for job_id in ids:
            self.bench.engine.pause(job_id)
        connection.transport.clear()
        self.bench.advance(60)
        self.assertEqual(self.told(connection), [])
        connection.transport.producer.resumeProducing()
        for _ in range(5):
            self.bench.advance(GATHER_S)
        told = self.told(connection)
        self.assertIn(("job", running, "Running"), told)
        self.assertEqual(sorted(one for _, one, state in told if state == "Paused"), sorted(ids))

    def test_hang_up(self) -> None:
        """A client that goes leaves nothing behind."""
        connection = self.listen()
        connection.hang_up()
        self.bench.submit()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
        self.assertEqual(self.bench.engine._observers, [])

    def test_limit(self) -> None:
        """More clients than there may be are refused, until one goes."""
        first, _ = self.listen(), self.listen()
        self.assertEqual(self.listen().answer().status, 503)
        first.hang_up()
        self.assertIn(b"200 OK", self.listen().received())

    def test_close(self) -> None:
        """At the end of the server the streams end, whole."""
        connections = [self.listen(), self.listen()]
        self.events.close()
        for connection in connections:
            self.assertEqual(connection.answer().status, 200)
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
