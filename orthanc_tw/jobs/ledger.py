"""The durable side of the jobs: which rows are written, which folders and files are removed.

A row goes before the files it names: what a crash leaves is a folder without a row, which
the next start sweeps, never a row that names a file that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.index.gateway import JobRow
from orthanc_tw.jobs.folders import JobFolders, Outputs
from orthanc_tw.jobs.outputs import StoredOutput
from orthanc_tw.jobs.provisional import ProvisionalWork
from orthanc_tw.jobs.record import JobEntry, to_row
from orthanc_tw.jobs.settler import Settler
from orthanc_tw.jobs.store import JobStore
from orthanc_tw.model.jobs import JobState

_log = Logger()


class JobLedger:
    """Writes and removes what jobs leave on disk. Called in the reactor thread.

    :param provisional: what jobs have stored that must not stay unless they succeed
    :param save_jobs: ``SaveJobs``: without it no row is written at all
    """

    def __init__(
        self,
        store: JobStore,
        folders: JobFolders,
        in_thread: Callable[..., Deferred[Any]],
        provisional: ProvisionalWork,
        save_jobs: bool,
    ) -> None:
        self.folders = folders
        self._provisional = provisional
        self._store = store
        self._in_thread = in_thread
        self._save_jobs = save_jobs
        self._settler = Settler(folders, in_thread)

    def settle(self, entry: JobEntry, outputs: Outputs) -> Deferred[dict[str, StoredOutput]]:
        """Fires when the outputs of a job are durable, with what is to be kept of them.

        Fails with ValueError or OSError: they are not there, not in its folder, not writable.
        """
        return self._settler.settle(entry.job_id, outputs)

    def save(self, entry: JobEntry, row: JobRow | None = None) -> Deferred[None]:
        """Fires when the row of the job (as it stands now, by default) is durable, if it has any.

        Fails with TypeError or ValueError if the job's cursor or content is no JSON.
        """
        if not (self._save_jobs and entry.durable):
            return succeed(None)
        return maybeDeferred(lambda: self._store.save(to_row(entry) if row is None else row))

    def save_as(self, entry: JobEntry, state: JobState) -> Deferred[None]:
        """The same with the state that the job will have once this has fired."""
        if not (self._save_jobs and entry.durable):
            return succeed(None)
        return maybeDeferred(lambda: self._store.save(to_row(entry, state)))

    def conclude(self, entry: JobEntry, state: JobState) -> Deferred[None]:
        """The same with a final state: what the job has stored for the case of its success is
        kept with that, or it is gone when this fires.
        """

        def taken_back(saved: Any) -> Deferred[Any]:
            return self._provisional.take_back(entry).addCallback(lambda _: saved)

        if state is not JobState.SUCCESS:
            return self.save_as(entry, state).addBoth(taken_back)
        keeping = self._provisional.keeping(entry)
        if keeping is None:
            return self.save_as(entry, state)
        if self._save_jobs and entry.durable:
            saved = maybeDeferred(lambda: self._store.save(to_row(entry, state), keeping))
        else:
            saved = self._store.write(keeping)
        # A success that cannot be saved is none.
        return saved.addErrback(taken_back)

    def save_later(self, entry: JobEntry, row: JobRow | None = None) -> None:
        """The same for who does not wait for it: an error is logged."""
        self.save(entry, row).addErrback(self._not_saved, entry.job_id)

    def flush(self) -> Deferred[None]:
        """Fires when all outputs and rows are durable."""
        return self._settler.flush().addCallback(lambda _: self._store.flush())

    def discard(self, entries: Iterable[JobEntry]) -> Deferred[None]:
        """Remove rows and folders of jobs that are forgotten."""
        done = [self._discard(entry) for entry in entries]
        gathered: Deferred[Any] = gatherResults(done, consumeErrors=True)
        return gathered.addCallback(lambda _: None)

    def remove_folder(self, entry: JobEntry) -> Deferred[None]:
        """Remove the folder of a job, if it may have one."""
        if not entry.has_folder:
            return succeed(None)
        entry.has_folder = False
        return self._in_thread(self.folders.remove, entry.job_id)

    def remove_folder_later(self, entry: JobEntry) -> None:
        """The same for who does not wait for it: an error is logged."""
        self.remove_folder(entry).addErrback(
            lambda failure: _log.failure("A folder could not be removed", failure)
        )

    def drop_outputs(self, entry: JobEntry, keys: Iterable[str]) -> Deferred[None]:
        """Remove outputs of an ended job, first from its row and then from its folder."""
        files = [output.file for key in keys if (output := entry.outputs.pop(key, None))]
        saved = self.save(entry)
        return saved.addCallback(
            lambda _: self._in_thread(self.folders.remove_files, entry.job_id, files)
        )

    def _discard(self, entry: JobEntry) -> Deferred[None]:
        gone = succeed(None)
        if self._save_jobs and entry.durable:
            gone = self._store.delete(entry.job_id)
        return gone.addCallback(lambda _: self.remove_folder(entry))

    @staticmethod
    def _not_saved(failure: Failure, job_id: str) -> None:
        _log.failure("The row of job {job_id} could not be saved", failure, job_id=job_id)
