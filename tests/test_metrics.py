"""Metrics and their exposition."""

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.metrics import Metrics

STORE = "orthanc_store_dicom_duration_ms"
WRITTEN = "orthanc_storage_written_bytes"


class MetricsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1_700_000_000.25)
        self.metrics = Metrics(self.clock)

    def _values(self):
        lines = self.successResultOf(self.metrics.exposition()).decode().splitlines()
        samples = [line.split(" ") for line in lines if not line.startswith("#")]
        self.times = {int(time) for _, _, time in samples}
        return {name: float(value) for name, value, _ in samples}

    def test_peak(self):
        """A duration is the longest of the last ten seconds."""
        self.metrics.observe(STORE, 30)
        self.metrics.observe(STORE, 20)
        self.clock.advance(5)
        self.metrics.observe(STORE, 25)
        self.assertEqual(self._values()[STORE], 30)
        self.clock.advance(5)
        self.assertEqual(self._values()[STORE], 25)
        self.clock.advance(5)
        self.assertEqual(self._values()[STORE], 0)

    def test_counts(self):
        """Counts go up and down."""
        self.metrics.inc(WRITTEN, 100)
        self.metrics.inc("orthanc_rest_api_active_requests")
        self.metrics.dec("orthanc_rest_api_active_requests")
        values = self._values()
        self.assertEqual(values[WRITTEN], 100)
        self.assertEqual(values["orthanc_rest_api_active_requests"], 0)

    def test_sources(self):
        """Sources are asked at each exposition, and may take their time."""
        waiting = Deferred()
        self.metrics.add_source(lambda: waiting)
        self.metrics.add_source(lambda: {"orthanc_count_studies": 3})
        exposition = self.metrics.exposition()
        self.assertNoResult(exposition)
        waiting.callback({"orthanc_count_patients": 2})
        text = self.successResultOf(exposition).decode()
        self.assertIn("orthanc_count_patients 2 ", text)
        self.assertIn("orthanc_count_studies 3 ", text)

    def test_numbers(self):
        """Whole numbers have neither fraction nor exponent, others keep their digits."""
        self.metrics.inc(WRITTEN, 54_348_123)
        self.metrics.add_source(lambda: {"orthanc_disk_size_mb": 51.8302917})
        self.metrics.count_dicom("C-ECHO", "A } 1e3 5.0", "success")
        text = self.successResultOf(self.metrics.exposition()).decode()
        self.assertIn(f"\n{WRITTEN} 54348123 1700000000250\n", text)
        self.assertIn("\northanc_disk_size_mb 51.8302917 ", text)
        self.assertIn('aet="A } 1e3 5.0",operation="C-ECHO",outcome="success"} 1\n', text)

    def test_failing_source(self):
        """A source that fails makes the exposition fail."""
        self.metrics.add_source(lambda: fail(ValueError()))
        self.failureResultOf(self.metrics.exposition(), ValueError)

    def test_format(self):
        """Every metric has its help, its type, and the time in milliseconds."""
        self.clock.advance(7)
        self.assertEqual(self._values()["orthanc_up_time_s"], 7)
        self.assertEqual(self.times, {1_700_000_007_250})
        text = self.successResultOf(self.metrics.exposition()).decode()
        for name in self._values():
            self.assertIn(f"# HELP {name} ", text)
            self.assertIn(f"# TYPE {name} gauge\n", text)

    def test_times_of_jobs(self):
        """How long jobs ran and waited are histograms in seconds, by type and outcome."""
        self.metrics.job_ended("Archive", "success", 0.3, 2.0)
        self.metrics.job_ended("Archive", "success", 90, -1.0)
        text = self.successResultOf(self.metrics.exposition()).decode()
        labels = '{outcome="success",type="Archive"}'
        self.assertIn("# TYPE orthanc_jobs_duration_seconds histogram", text)
        self.assertIn(f"orthanc_jobs_duration_seconds_count{labels} 2", text)
        self.assertIn(f"orthanc_jobs_duration_seconds_sum{labels} 90.3", text)
        self.assertIn(f"orthanc_jobs_waiting_seconds_sum{labels} 2", text)
        self.assertIn(
            'orthanc_jobs_duration_seconds_bucket{le="0.5",outcome="success",type="Archive"} 1',
            text,
        )

    def test_peers(self):
        """Requests to peers by outcome, and the bytes that they took."""
        self.metrics.count_peer("b", "success", 10)
        self.metrics.count_peer("b", "success", 5)
        self.metrics.count_peer("b", "PeerTimeout", 0)
        text = self.successResultOf(self.metrics.exposition()).decode()
        for line in (
            'orthanc_tw_peer_requests_total{outcome="success",peer="b"} 2',
            'orthanc_tw_peer_requests_total{outcome="PeerTimeout",peer="b"} 1',
            'orthanc_tw_peer_sent_bytes_total{peer="b"} 15',
        ):
            self.assertIn(line, text)

    def test_disabled(self):
        """Nothing is shown while disabled, and no duration of that time afterwards."""
        self.metrics.enabled = False
        self.metrics.observe(STORE, 30)
        self.assertEqual(self.successResultOf(self.metrics.exposition()), b"")
        self.metrics.enabled = True
        self.assertEqual(self._values()[STORE], 0)

    def test_unknown(self):
        """A name that is no metric is a mistake of the programmer."""
        self.assertRaises(KeyError, self.metrics.observe, "nope", 1)
        self.assertRaises(KeyError, self.metrics.inc, "nope")
