"""Metrics of requests, of the index and of the jobs."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.metric_sources import index_values, job_values
from orthanc_tw.metrics import ASKED, Metrics
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.meter import ACTIVE, DURATION, RequestMeter
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.rest.browsing import Server


class MeterTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1000)
        self.metrics = Metrics(self.clock)
        self.waiting = Deferred()
        self.site = InMemorySite()
        executor = Executor(ErrorSettings(), meter=RequestMeter(self.metrics, self.clock))
        root = RestRoot([Routes(Route("GET", "/x", lambda request: self.waiting))], executor)
        self.site.site.resource = self.site.site.root = root

    def _value(self, name):
        text = self.successResultOf(self.metrics.exposition()).decode()
        return next(
            float(line.split(" ")[1]) for line in text.splitlines() if line.startswith(f"{name} ")
        )

    def test_duration(self):
        """A request is active until it is answered, and then tells how long it took."""
        connection = self.site.connect()
        connection.request("GET", "/x")
        self.assertEqual(self._value(ACTIVE), 1)
        self.clock.advance(2)
        self.waiting.callback(b"")
        self.assertEqual(connection.answer().status, 200)
        self.assertEqual(self._value(ACTIVE), 0)
        self.assertEqual(self._value(DURATION), 2000)

    def test_hung_up(self):
        """A client that hangs up leaves no active request behind."""
        connection = self.site.connect()
        connection.request("GET", "/x")
        connection.hang_up()
        self.assertEqual(self._value(ACTIVE), 0)


class SourceTests(SynchronousTestCase):
    def test_index(self):
        """The index tells its counters, its sizes and its last change."""
        server = Server()
        server.upload("test_files/CT_small.dcm")
        values = self.successResultOf(index_values(server.index)())
        self.assertEqual(values["orthanc_count_instances"], 1)
        self.assertEqual(values["orthanc_last_change"], 4)
        self.assertEqual(values["orthanc_disk_size_mb"], 39206 / 1024**2)
        self.assertLessEqual(set(values), set(ASKED))

    def test_jobs(self):
        """The jobs tell theirs."""
        counts = {"pending": 1, "running": 2, "success": 3, "failed": 4, "total_success": 30}
        values = job_values(lambda: counts)()
        self.assertEqual(values["orthanc_jobs_completed"], 7)
        self.assertEqual(values["orthanc_jobs_total_completed"], 30)
        self.assertLessEqual(set(values), set(ASKED))
