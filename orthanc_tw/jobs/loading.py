"""What a start of the server finds: saved jobs, outputs, and folders that nobody owns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.jobs.folders import JobFolders
from orthanc_tw.jobs.record import JobEntry, from_row
from orthanc_tw.jobs.store import JobStore

_log = Logger()


async def load_jobs(
    store: JobStore,
    folders: JobFolders,
    in_thread: Callable[..., Deferred[Any]],
    *,
    save_jobs: bool,
    reload_jobs: bool,
) -> list[JobEntry]:
    """The saved jobs in the order of submission; folders without a row are removed.

    Without ``reload_jobs`` the saved jobs are dropped, as Orthanc's ``--no-jobs`` does; without
    ``save_jobs`` they are left alone for a later start, and not loaded.
    """
    rows = await store.load()
    if not reload_jobs and save_jobs:
        if rows:
            _log.warn("Dropping {count} saved jobs (--no-jobs)", count=len(rows))
        for row in rows:
            await store.delete(row.job_id)
        rows = []
    orphans = await in_thread(folders.sweep, {row.job_id for row in rows})
    if orphans:
        _log.info("Removed {count} folders of forgotten jobs", count=len(orphans))
    if not save_jobs:
        return []
    read = [_entry(row, order) for order, row in enumerate(rows, 1)]
    entries = [entry for entry in read if entry is not None]
    named = {
        entry.job_id: [output.file for output in entry.outputs.values()]
        for entry in entries
        if entry.outputs
    }
    missing = set(await in_thread(folders.missing, named))
    for entry in entries:
        if entry.job_id in missing:
            _log.warn("The outputs of job {job_id} are gone", job_id=entry.job_id)
            entry.outputs = {}
    return entries


def _entry(row: JobRow, order: int) -> JobEntry | None:
    try:
        return from_row(row, order)
    except (ValueError, KeyError, TypeError):
        # One unreadable row is no reason not to start.
        _log.failure("The saved job {job_id} cannot be read", job_id=row.job_id)
        return None
