"""What the metrics ask at every exposition: the index, and the jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred

from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.metrics import BYTES_PER_MB


def index_values(index: Index) -> Callable[[], Deferred[Mapping[str, float]]]:
    """Counters and sizes of the index, as a source of `orthanc_tw.metrics.Metrics`."""

    def read(tx: ReadTransaction) -> Mapping[str, float]:
        statistics = tx.statistics()
        return {
            "orthanc_count_patients": statistics.count_patients,
            "orthanc_count_studies": statistics.count_studies,
            "orthanc_count_series": statistics.count_series,
            "orthanc_count_instances": statistics.count_instances,
            "orthanc_disk_size_mb": statistics.disk_size_bytes / BYTES_PER_MB,
            "orthanc_uncompressed_size_mb": statistics.uncompressed_size_bytes / BYTES_PER_MB,
            "orthanc_last_change": tx.last_change_seq(),
        }

    return lambda: index.read(read)


def job_values(counts: Callable[[], Mapping[str, int]]) -> Callable[[], Mapping[str, float]]:
    """Counters of the jobs, as a source of `orthanc_tw.metrics.Metrics`.

    :param counts: `orthanc_tw.jobs.interface.JobsEngine.counts`
    """

    def values() -> Mapping[str, float]:
        found = counts()
        success, failed = found.get("success", 0), found.get("failed", 0)
        total_success, total_failed = found.get("total_success", 0), found.get("total_failed", 0)
        return {
            "orthanc_jobs_pending": found.get("pending", 0),
            "orthanc_jobs_running": found.get("running", 0),
            "orthanc_jobs_success": success,
            "orthanc_jobs_failed": failed,
            "orthanc_jobs_completed": success + failed,
            "orthanc_jobs_total_success": total_success,
            "orthanc_jobs_total_failed": total_failed,
            "orthanc_jobs_total_completed": total_success + total_failed,
        }

    return values
