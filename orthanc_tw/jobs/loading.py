"""What a start of the server finds: saved jobs, outputs, and folders that nobody owns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.jobs.folders import JobFolders
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.record import JobEntry, from_row
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.store import JobStore

_log = Logger()

# How many rows are in memory at a time.
_PAGE = 1000


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
    dropping = save_jobs and not reload_jobs
    saved: set[str] = set()
    entries: list[JobEntry] = []
    async for rows in _pages(store):
        saved.update(row.job_id for row in rows)
        if dropping:
            await gatherResults([store.delete(row.job_id) for row in rows], consumeErrors=True)
        elif save_jobs:
            entries += [entry for row in rows if (entry := _entry(row)) is not None]
    if dropping and saved:
        _log.warn("Dropping {count} saved jobs (--no-jobs)", count=len(saved))
    orphans = await in_thread(folders.sweep, set() if dropping else saved)
    if orphans:
        _log.info("Removed {count} folders of forgotten jobs", count=len(orphans))
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


async def _pages(store: JobStore) -> AsyncIterator[Sequence[JobRow]]:
    loading = store.load(0, _PAGE)
    while rows := await loading:
        # The next page is read while this one is worked on.
        loading = store.load(rows[-1].sequence, _PAGE)
        yield rows


def _entry(row: JobRow) -> JobEntry | None:
    try:
        return from_row(row)
    except (ValueError, KeyError, TypeError):
        # One unreadable row is no reason not to start.
        _log.failure("The saved job {job_id} cannot be read", job_id=row.job_id)
        return None


def restore_history(entries: Iterable[JobEntry], registry: JobsRegistry, ledger: JobLedger) -> None:
    """Put ended jobs into the history in the order of their end; what is too much goes."""
    ended = [entry for entry in entries if entry.state.is_final]
    for entry in sorted(ended, key=lambda entry: (entry.completed_s or 0.0, entry.order)):
        if entry.outputs:
            for other in registry.outputs.keep(entry):
                _forget(ledger.drop_outputs(other, list(other.outputs)))
        _forget(ledger.discard(registry.ended(entry)))


def _forget(deferred: Deferred[Any]) -> None:
    deferred.addErrback(lambda failure: _log.failure("Old jobs could not be removed", failure))
