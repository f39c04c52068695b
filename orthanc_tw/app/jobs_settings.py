"""Translates the configuration into the settings of the jobs engine."""

from __future__ import annotations

from orthanc_tw.app.settings import MB, folders
from orthanc_tw.config import Configuration
from orthanc_tw.config.derived import concurrent_jobs
from orthanc_tw.jobs.kinds.storage_commitment import STORAGE_COMMITMENT_SCP
from orthanc_tw.jobs.quota import OutputLimits
from orthanc_tw.jobs.retry import DEFAULT_RETRY, RetryPolicy
from orthanc_tw.jobs.settings import JobsSettings


def jobs(configuration: Configuration, *, jobs_enabled: bool) -> JobsSettings:
    """Settings of the jobs engine; ``--no-jobs`` drops the saved jobs."""
    retries = configuration.mapping("JobsRetry")
    return JobsSettings(
        folder=str(folders(configuration).jobs),
        concurrent_jobs=concurrent_jobs(configuration),
        history_size=configuration.integer("JobsHistorySize"),
        outputs=OutputLimits(
            count=configuration.integer("MediaArchiveSize"),
            size_bytes=configuration.integer("JobsOutputsMaximumSize") * MB,
            age_s=configuration.integer("JobsOutputsMaximumAge"),
        ),
        limit_jobs=configuration.integer("LimitJobs"),
        save_jobs=configuration.boolean("SaveJobs"),
        reload_jobs=jobs_enabled,
        retries={
            # The modality waits for the report: one that cannot be reached now may be there later.
            STORAGE_COMMITMENT_SCP: DEFAULT_RETRY,
            **{kind: RetryPolicy.from_json(policy) for kind, policy in retries.items()},
        },
        threads=configuration.mapping("JobsEngineThreadsCount"),
    )
