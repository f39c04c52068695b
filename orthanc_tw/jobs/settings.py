"""What the jobs engine can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orthanc_tw.jobs.quota import OutputLimits
from orthanc_tw.jobs.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """Settings of the engine; the names in the configuration are in brackets.

    :ivar folder: where the folders of jobs are, ``StorageDirectory/jobs``
    :ivar concurrent_jobs: how many run at a time, at least 1 (``ConcurrentJobs``)
    :ivar history_size: how many ended jobs are kept (``JobsHistorySize``)
    :ivar outputs: which jobs keep their outputs
    :ivar limit_jobs: how many may be pending, 0 for no limit (``LimitJobs``)
    :ivar save_jobs: whether jobs survive a restart (``SaveJobs``)
    :ivar reload_jobs: False drops the saved jobs at start (``--no-jobs``)
    :ivar retries: what to do about transient failures, by type of job (``JobsRetry``)
    :ivar threads: how many functions a job of a type may have in threads at a time; a type
        that is not named has no limit of its own (``JobsEngineThreadsCount``)
    :ivar save_interval_s: least time between two saves of a job's progress, seconds
    :ivar stop_grace_s: how long a step may go on when the server stops, seconds
    """

    folder: str
    concurrent_jobs: int = 2
    history_size: int = 10
    outputs: OutputLimits = field(default_factory=OutputLimits)
    limit_jobs: int = 0
    save_jobs: bool = True
    reload_jobs: bool = True
    retries: Mapping[str, RetryPolicy] = field(default_factory=dict)
    threads: Mapping[str, int] = field(default_factory=dict)
    save_interval_s: float = 0.5
    stop_grace_s: float = 5.0

    def __post_init__(self) -> None:
        if self.concurrent_jobs < 1:
            raise ValueError("concurrent_jobs must be at least 1")
        for name in ("history_size", "limit_jobs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
