"""Wires the jobs engine, and the kinds of jobs that are of no other part."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from datetime import datetime

from twisted.internet.task import Cooperator
from twisted.logger import LogLevel

from orthanc_tw.app import jobs_settings
from orthanc_tw.app.base import Base
from orthanc_tw.core.metric_sources import job_values
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.jobs.interface import JobKind
from orthanc_tw.jobs.kinds.archive import ARCHIVE, MEDIA, ArchiveKind
from orthanc_tw.jobs.kinds.storage_commitment import Report, StorageCommitmentKind
from orthanc_tw.jobs.store import IndexJobStore, IndexLabels


def archive_kinds(base: Base, transcoder: FileTranscoder) -> Sequence[JobKind]:
    """Those that make ZIP files."""
    return [
        ArchiveKind(type_name, base.index, base.storage.open, datetime.now, transcoder=transcoder)
        for type_name in (ARCHIVE, MEDIA)
    ]


def commitment_kind(base: Base, report: Report) -> JobKind:
    """What verifies what modalities want committed."""
    return StorageCommitmentKind(base.index, base.storage, report)


def make_engine(base: Base, kinds: Sequence[JobKind], *, jobs_enabled: bool) -> JobsEngineService:
    """The engine, not started.

    :param jobs_enabled: False for ``--no-jobs``
    """
    log_levels = base.log_levels
    engine = JobsEngineService(
        jobs_settings.jobs(base.configuration, jobs_enabled=jobs_enabled),
        kinds,
        IndexJobStore(base.index),
        clock=base.reactor,
        cooperator=Cooperator(),
        in_thread=base.in_thread,
        random=random.random,
        is_logged=lambda: log_levels.shows(LogLevel.info, "jobs"),
        job_ended=base.metrics.job_ended,
        labels=IndexLabels(base.index),
        make_id=lambda: str(uuid.uuid4()),
        now_s=time.time,
    )
    base.metrics.add_source(job_values(engine.counts))
    return engine
