"""Metrics in the text format of Prometheus, under the names that Orthanc gives them.

Values are pushed (`Metrics.observe`, `Metrics.inc`, `Metrics.dec`) or asked of sources when
somebody looks (`Metrics.add_source`). All in the reactor thread. Sources:
https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4) and the sample
``metrics.txt`` of the reference corpus.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

CONTENT_TYPE = b"text/plain; version=0.0.4"
WINDOW_S = 10
BYTES_PER_MB = 1024 * 1024

Values = Mapping[str, float]
Source = Callable[[], Values | Deferred[Values]]

# What `*_duration_ms` holds is the maximum over the last ten seconds, as Orthanc has it.
PEAKS = {
    "orthanc_rest_api_duration_ms": "Longest REST request of the last 10 s, in milliseconds",
    "orthanc_storage_create_duration_ms": "Longest write of the last 10 s, in milliseconds",
    "orthanc_storage_read_duration_ms": "Longest read of the last 10 s, in milliseconds",
    "orthanc_store_dicom_duration_ms": "Longest ingest of the last 10 s, in milliseconds",
}
COUNTS = {
    "orthanc_rest_api_active_requests": "REST requests that are being answered",
    "orthanc_storage_read_bytes": "Bytes read from the storage area since start",
    "orthanc_storage_written_bytes": "Bytes written to the storage area since start",
}
ASKED = {
    "orthanc_count_patients": "Patients in the index",
    "orthanc_count_studies": "Studies in the index",
    "orthanc_count_series": "Series in the index",
    "orthanc_count_instances": "Instances in the index",
    "orthanc_disk_size_mb": "Size of the attachments on disk, in mebibytes",
    "orthanc_uncompressed_size_mb": "Size of the attachments uncompressed, in mebibytes",
    "orthanc_last_change": "Number of the last change",
    "orthanc_jobs_pending": "Jobs that wait for a worker",
    "orthanc_jobs_running": "Jobs that run",
    "orthanc_jobs_completed": "Jobs in the history that have ended",
    "orthanc_jobs_success": "Jobs in the history that succeeded",
    "orthanc_jobs_failed": "Jobs in the history that failed",
    "orthanc_jobs_total_completed": "Jobs that have ended since start",
    "orthanc_jobs_total_success": "Jobs that succeeded since start",
    "orthanc_jobs_total_failed": "Jobs that failed since start",
    "orthanc_up_time_s": "Seconds since start",
    "orthanc_available_dicom_threads": "DICOM operations that could begin now",
    "orthanc_transfers_used_cache_size": "Inflated files that are kept for peers, in mebibytes",
    "orthanc_transfers_cache_hit_count": "Chunks that found their file inflated",
    "orthanc_transfers_cache_miss_count": "Files that were inflated for chunks",
    "orthanc_transfers_available_push_count": "Push transactions that are open",
    "orthanc_transfers_created_push_count": "Push transactions since start",
    "orthanc_transfers_committed_push_count": "Push transactions that were stored since start",
    "orthanc_transfers_aborted_push_count": "Push transactions that were discarded since start",
    "orthanc_transfers_push_total_received_bytes_count": "Bytes of instances in buckets received",
    "orthanc_transfers_push_total_time_spent_in_reception_ms": "Writing buckets, milliseconds",
    "orthanc_transfers_push_total_time_spent_in_commit_ms": "Storing pushes, milliseconds",
    "orthanc_tw_dicom_associations": "Associations that others opened",
}
# Seconds: from a small job to one that sends a large study.
_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 7200)
# Ours; each has the labels `JOB_LABELS`.
JOB_TIMES = {
    "orthanc_jobs_duration_seconds": "Time that jobs that have ended ran, in seconds",
    "orthanc_jobs_waiting_seconds": "Time from submission to the first run, in seconds",
}
JOB_LABELS = ("type", "outcome")
HELP = {**PEAKS, **COUNTS, **ASKED}


_SAMPLE = re.compile(rb"^([^#\s{]+(?:\{.*\})?) (\S+)", re.MULTILINE)
_EXACT = 2**53


def _whole_numbers(text: bytes) -> bytes:
    """Whole numbers as Orthanc writes them: neither a fraction nor an exponent."""

    def written(sample: re.Match[bytes]) -> bytes:
        name, value = sample.groups()
        number = float(value)
        if number.is_integer() and abs(number) <= _EXACT:
            return b"%b %d" % (name, number)
        return sample[0]

    return _SAMPLE.sub(written, text)


class _Peak:
    """Maximum over the last ten seconds, in one bucket a second."""

    def __init__(self) -> None:
        self._seconds = [-1] * WINDOW_S
        self._values = [0.0] * WINDOW_S

    def observe(self, now_s: float, value: float) -> None:
        second = int(now_s)
        slot = second % WINDOW_S
        if self._seconds[slot] != second:
            self._seconds[slot], self._values[slot] = second, value
        elif value > self._values[slot]:
            self._values[slot] = value

    def value(self, now_s: float) -> float:
        oldest = int(now_s) - WINDOW_S + 1
        pairs = zip(self._seconds, self._values, strict=True)
        return max((value for second, value in pairs if second >= oldest), default=0.0)


class _Snapshot(Collector):
    """One exposition's values, as a prometheus-client collector (which writes timestamps)."""

    def __init__(self, values: Values, now_s: float) -> None:
        self._values = values
        self._now_s = now_s

    def collect(self) -> Iterable[Metric]:
        # One time for all: a peak falls without an event, and Prometheus drops a second
        # value of the same time.
        for name in sorted(self._values):
            family = GaugeMetricFamily(name, HELP[name])
            family.add_metric([], self._values[name], timestamp=self._now_s)
            yield family


class _DicomOperations(Collector):
    """Counts of DIMSE operations by operation, AE title and outcome."""

    def __init__(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "orthanc_tw_dicom_operations",
            "DICOM operations that others asked for, since start",
            labels=("operation", "aet", "outcome"),
        )
        for labels in sorted(self._counts):
            family.add_metric(labels, self._counts[labels])
        yield family


class Metrics:
    """The metrics of this server.

    :param clock: what timestamps and the up-time are read from
    :ivar enabled: option ``MetricsEnabled``; while false nothing is kept and nothing shown
    """

    def __init__(self, clock: IReactorTime, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._clock = clock
        self._started_s = clock.seconds()
        self._peaks = {name: _Peak() for name in PEAKS}
        self._counts = dict.fromkeys(COUNTS, 0.0)
        self._kept = CollectorRegistry(auto_describe=False)
        self._job_times = {
            name: Histogram(name, text, JOB_LABELS, buckets=_BUCKETS_S, registry=self._kept)
            for name, text in JOB_TIMES.items()
        }
        self._peer_requests = Counter(
            "orthanc_tw_peer_requests",
            "Requests to Orthanc peers that have ended, since start",
            ("peer", "outcome"),
            registry=self._kept,
        )
        self._peer_sent_bytes = Counter(
            "orthanc_tw_peer_sent_bytes",
            "Bytes of the bodies that Orthanc peers have taken, since start",
            ("peer",),
            registry=self._kept,
        )
        self._lock = threading.Lock()
        self._sources: list[Source] = []
        self._dicom: dict[tuple[str, str, str], int] = {}

    def add_source(self, source: Source) -> None:
        """Ask ``source`` for values (names of `ASKED`) at every exposition."""
        self._sources.append(source)

    def observe(self, name: str, value: float) -> None:
        """A duration in milliseconds, for a name of `PEAKS`. Any thread.

        :raises KeyError: if there is no such metric
        """
        peak = self._peaks[name]
        if self.enabled:
            with self._lock:
                peak.observe(self._clock.seconds(), value)

    def inc(self, name: str, amount: float = 1) -> None:
        """Add to a name of `COUNTS`. Any thread.

        Levels are kept even while disabled, so as to stay true.

        :raises KeyError: if there is no such metric
        """
        with self._lock:
            self._counts[name] += amount

    def dec(self, name: str, amount: float = 1) -> None:
        """Subtract from a name of `COUNTS`.

        :raises KeyError: if there is no such metric
        """
        self.inc(name, -amount)

    def job_ended(self, kind: str, outcome: str, duration_s: float, waiting_s: float) -> None:
        """How long a job ran and waited, seconds; ``outcome`` is one of few words."""
        if self.enabled:
            for name, value in zip(JOB_TIMES, (duration_s, waiting_s), strict=True):
                self._job_times[name].labels(kind, outcome).observe(max(value, 0.0))

    def count_dicom(self, operation: str, aet: str, outcome: str) -> None:
        """One more DIMSE operation. Reactor thread; the labels are the caller's to keep few."""
        labels = operation, aet, outcome
        self._dicom[labels] = self._dicom.get(labels, 0) + 1

    def count_peer(self, peer: str, outcome: str, sent_bytes: int) -> None:
        """One more request to a peer; both words are of few."""
        self._peer_requests.labels(peer, outcome).inc()
        if sent_bytes:
            self._peer_sent_bytes.labels(peer).inc(sent_bytes)

    async def _collect(self) -> bytes:
        if not self.enabled:
            return b""
        asked: dict[str, float] = {}
        for source in self._sources:
            found = source()
            asked.update(await found if isinstance(found, Deferred) else found)
        now_s = self._clock.seconds()
        asked["orthanc_up_time_s"] = int(now_s - self._started_s)
        asked.update(self._counts)
        asked.update((name, peak.value(now_s)) for name, peak in self._peaks.items())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Snapshot(asked, now_s))
        if self._dicom:
            registry.register(_DicomOperations(self._dicom))
        return _whole_numbers(generate_latest(registry) + generate_latest(self._kept))

    def exposition(self) -> Deferred[bytes]:
        """The text that Prometheus scrapes; empty while disabled. Fails as a source fails."""
        return Deferred.fromCoroutine(self._collect())
