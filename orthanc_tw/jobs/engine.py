"""The jobs engine: what the routes call, and the service that starts and stops it.

Puts the state machine, the registry, the scheduler, the rows and the folders together.
Everything is called in the reactor thread; files are touched in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.jobs.admission import Admission
from orthanc_tw.jobs.describe import describe_job
from orthanc_tw.jobs.folders import JobFolders
from orthanc_tw.jobs.interface import JobKind, JobRequest, JobResult, Output, RefusesResubmission
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.loading import load_jobs
from orthanc_tw.jobs.machine import accepts, job_machine
from orthanc_tw.jobs.record import JobEntry, json_copy
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.run import Steps, fire
from orthanc_tw.jobs.scheduler import Scheduler
from orthanc_tw.jobs.store import JobStore
from orthanc_tw.jobs.worker import JobWorker
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject

T = TypeVar("T")

_log = Logger()


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """Settings of the engine; the names in the configuration are in brackets.

    :ivar folder: where the folders of jobs are, ``StorageDirectory/jobs``
    :ivar concurrent_jobs: how many run at a time, at least 1 (``ConcurrentJobs``)
    :ivar history_size: how many ended jobs are kept (``JobsHistorySize``)
    :ivar media_archive_size: how many jobs keep their outputs (``MediaArchiveSize``)
    :ivar limit_jobs: how many may be pending, 0 for no limit (``LimitJobs``)
    :ivar save_jobs: whether jobs survive a restart (``SaveJobs``)
    :ivar reload_jobs: False drops the saved jobs at start (``--no-jobs``)
    :ivar save_interval_s: least time between two saves of a job's progress, seconds
    :ivar stop_grace_s: how long a step may go on when the server stops, seconds
    """

    folder: str
    concurrent_jobs: int = 2
    history_size: int = 10
    media_archive_size: int = 1
    limit_jobs: int = 0
    save_jobs: bool = True
    reload_jobs: bool = True
    save_interval_s: float = 0.5
    stop_grace_s: float = 5.0

    def __post_init__(self) -> None:
        if self.concurrent_jobs < 1:
            raise ValueError("concurrent_jobs must be at least 1")
        for name in ("history_size", "media_archive_size", "limit_jobs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


class JobsEngineService(Service):
    """`orthanc_tw.jobs.interface.JobsEngine` as a service.

    :param kinds: the types of jobs; `register` adds more before the start
    :param clock: delays and running times
    :param cooperator: what the slots run on
    :param in_thread: runs a blocking function in a thread of a pool (``deferToThreadPool``)
    :param make_id: ids of new jobs, random UUIDs in their usual text form
    :param now_s: the time of day, POSIX seconds
    """

    name = "jobs"

    def __init__(
        self,
        settings: JobsSettings,
        kinds: Iterable[JobKind],
        store: JobStore,
        *,
        clock: IReactorTime,
        cooperator: Cooperator,
        in_thread: Callable[..., Deferred[Any]],
        make_id: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._kinds = {kind.type_name: kind for kind in kinds}
        self._store = store
        self._clock = clock
        self._in_thread = in_thread
        self._make_id = make_id
        self._now_s = now_s
        self._registry = JobsRegistry(settings.history_size, settings.media_archive_size)
        self._ledger = JobLedger(store, JobFolders(settings.folder), in_thread, settings.save_jobs)
        self._admission = Admission(settings.limit_jobs, lambda: self._registry.pending)
        self._scheduler = Scheduler(cooperator, settings.concurrent_jobs, self._take)
        self._worker = JobWorker(
            kinds=self._kinds,
            registry=self._registry,
            ledger=self._ledger,
            clock=clock,
            now_s=now_s,
            in_thread=in_thread,
            save_interval_s=settings.save_interval_s,
            enqueue=self._enqueue,
            changed=self._changed,
        )
        self._observers: list[Callable[[str], None]] = []
        self._submitted = 0
        self._started: bool | Failure = False
        self._stopping = False
        self._ready: list[Deferred[Any]] = []

    def register(self, kind: JobKind) -> None:
        """Add a type of job, before the service starts."""
        self._kinds[kind.type_name] = kind

    # Starting and stopping

    def startService(self) -> None:
        """Load the saved jobs, then run jobs."""
        super().startService()
        loading = Deferred.fromCoroutine(self._load())
        loading.addErrback(self._not_loaded)

    def when_ready(self) -> Deferred[None]:
        """Fires when the saved jobs are loaded; fails if they cannot be."""
        if self._started is True:
            return succeed(None)
        if isinstance(self._started, Failure):
            return fail(self._started)
        ready: Deferred[None] = Deferred()
        self._ready.append(ready)
        return ready

    async def _load(self) -> None:
        entries = await load_jobs(
            self._store,
            self._ledger.folders,
            self._in_thread,
            save_jobs=self._settings.save_jobs,
            reload_jobs=self._settings.reload_jobs,
        )
        for entry in entries:
            self._submitted = max(self._submitted, entry.order)
            self._registry.add(entry)
        self._restore_history(entries)
        self._started = True
        if not self._stopping:
            self._scheduler.start()
            for entry in entries:
                if entry.state is JobState.PENDING:
                    self._enqueue(entry)
        fire(self._ready, None)

    def _restore_history(self, entries: Iterable[JobEntry]) -> None:
        ended = [entry for entry in entries if entry.state.is_final]
        for entry in sorted(ended, key=lambda entry: (entry.completed_s or 0.0, entry.order)):
            if entry.outputs:
                for other in self._registry.outputs_kept(entry):
                    self._forget(self._ledger.drop_outputs(other, list(other.outputs)))
            self._forget(self._ledger.discard(self._registry.ended(entry)))

    def _not_loaded(self, failure: Failure) -> None:
        _log.failure("The saved jobs could not be loaded: no job will run", failure)
        self._started = failure
        fire(self._ready, failure)

    def stopService(self) -> Deferred[None]:
        """Let the steps under way end (within the grace), save every row."""
        super().stopService()
        self._stopping = True
        error = _stopping_error()
        self._admission.close(error)
        running = [entry.run for entry in self._registry if entry.run is not None]
        for run in running:
            run.ask_stop()
        impatience = self._clock.callLater(
            self._settings.stop_grace_s, lambda: [run.interrupt() for run in running]
        )
        stopped = self._scheduler.stop()

        def ended(_: object) -> Deferred[None]:
            if impatience.active():
                impatience.cancel()
            for entry in self._registry:
                self._abandon(entry)
                fire(entry.waiters, Failure(error))
            return self._ledger.flush()

        return stopped.addCallback(ended)

    # Submitting and waiting

    def submit(self, request: JobRequest) -> Deferred[str]:
        """Queue a job; fires with its id once its row is durable.

        With ``LimitJobs`` pending it waits for a place; cancelling it then submits nothing.
        Later it does not take the submission back.

        Fails with `OrthancError`: NOT_IMPLEMENTED for an unknown kind, or what the kind
        refuses its parameters with; 503 if the server stops.
        """
        return Deferred.fromCoroutine(self._submit(request))

    async def _submit(self, request: JobRequest) -> str:
        if request.kind not in self._kinds:
            raise OrthancError(ErrorCode.NOT_IMPLEMENTED, f"Unknown type of job: {request.kind}")
        await self.when_ready()
        if self._stopping:
            raise _stopping_error()
        await self._admission.admit()
        try:
            entry = self._new_entry(request)
        except BaseException:
            self._admission.settle()
            raise
        return await _shielded(self._queue_new(entry))

    def _new_entry(self, request: JobRequest) -> JobEntry:
        events, lifecycle = job_machine(JobState.PENDING)
        self._submitted += 1
        entry = JobEntry(
            job_id=self._make_id(),
            kind=request.kind,
            durable=self._kinds[request.kind].is_durable,
            order=self._submitted,
            parameters=json_copy(request.parameters),
            priority=request.priority,
            user_data=json_copy(request.user_data),
            has_user_data=request.has_user_data,
            created_s=self._now_s(),
            events=events,
            lifecycle=lifecycle,
            attachment=request.attachment,
        )
        entry.prepared = self._worker.prepare(entry)
        entry.content = entry.prepared.job.content()
        return entry

    def _queue_new(self, entry: JobEntry) -> Deferred[str]:
        def saved(_: None) -> str:
            self._registry.add(entry)
            self._enqueue(entry)
            return entry.job_id

        def refused(failure: Failure) -> Failure:
            self._abandon(entry)
            return failure

        def settle(result: T) -> T:
            self._admission.settle()
            return result

        return self._ledger.save(entry).addCallback(saved).addErrback(refused).addBoth(settle)

    def wait(self, job_id: str) -> Deferred[JobResult]:
        """Fires when the job has ended. Cancelling this Deferred does not cancel the job.

        Fails with `OrthancError`: INEXISTENT_ITEM if there is no such job, 503 if the server
        stops before the job has ended.
        """
        entry = self._registry.get(job_id)
        if entry is None:
            return fail(OrthancError(ErrorCode.INEXISTENT_ITEM, f"No job found with id: {job_id}"))
        if entry.state.is_final:
            return succeed(entry.result())
        waiting: Deferred[JobResult] = Deferred(lambda it: entry.waiters.remove(it))
        entry.waiters.append(waiting)
        return waiting

    # Looking

    def describe(self, job_id: str) -> JsonObject | None:
        """The public JSON of a job, or None."""
        entry = self._registry.get(job_id)
        return None if entry is None else describe_job(entry, self._now_s())

    def list_ids(self) -> list[str]:
        """The ids of all jobs, sorted."""
        return [entry.job_id for entry in self._registry]

    def describe_all(self) -> list[JsonObject]:
        """The public JSON of all jobs in the order of their ids."""
        now_s = self._now_s()
        return [describe_job(entry, now_s) for entry in self._registry]

    def counts(self) -> Mapping[str, int]:
        """``pending``, ``running``, ``success``, ``failed`` now, ``total_*`` since the start."""
        now = self._registry.counts()
        totals = self._worker.totals
        return {
            "pending": now[JobState.PENDING],
            "running": now[JobState.RUNNING],
            "success": now[JobState.SUCCESS],
            "failed": now[JobState.FAILURE],
            "total_completed": totals[JobState.SUCCESS] + totals[JobState.FAILURE],
            "total_success": totals[JobState.SUCCESS],
            "total_failed": totals[JobState.FAILURE],
        }

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call ``observer`` with the id of every job that has changed; returns what ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    # Steering

    def pause(self, job_id: str) -> Deferred[bool]:
        """Make a job wait; a running one after the step under way. No effect once it has ended.

        False if there is no such job.
        """
        entry = self._registry.get(job_id)
        if entry is None:
            return succeed(False)
        if entry.run is not None:
            entry.run.ask_pause()
        elif entry.state is not JobState.RUNNING and accepts(entry.events.pause):
            self._leave_queue(entry)
            self._changed(entry)
            return self._saved(entry)
        return succeed(True)

    def resume(self, job_id: str) -> Deferred[bool]:
        """Let a paused job go on at its cursor. False if it is not paused."""
        entry = self._registry.get(job_id)
        if entry is None or not accepts(entry.events.resume):
            return succeed(False)
        self._enqueue(entry)
        return self._saved(entry)

    def cancel(self, job_id: str) -> Deferred[bool]:
        """End a job; of a running one the step under way is cancelled. No effect once it has ended.

        False if there is no such job.
        """
        entry = self._registry.get(job_id)
        if entry is None:
            return succeed(False)
        if entry.run is not None:
            entry.run.ask_cancel()
        elif entry.state is not JobState.RUNNING and accepts(entry.events.cancel):
            self._leave_queue(entry)
            self._abandon(entry)
            entry.error_code = int(ErrorCode.CANCELED_JOB)
            entry.error_details = ""
            entry.completed_s = self._now_s()
            entry.cursor = None

            def saved(result: T) -> T:
                self._worker.ended(entry)
                return result

            return self._saved(entry).addBoth(saved)
        return succeed(True)

    def resubmit(self, job_id: str) -> Deferred[bool]:
        """Let a failed job start over. False if it has not failed.

        Fails with `OrthancError`: BAD_SEQUENCE_OF_CALLS if its kind cannot do that.
        """
        entry = self._registry.get(job_id)
        if entry is None or entry.state is not JobState.FAILURE:
            return succeed(False)
        kind = self._kinds.get(entry.kind)
        if isinstance(kind, RefusesResubmission):
            return fail(OrthancError(ErrorCode.BAD_SEQUENCE_OF_CALLS, kind.resubmit_refusal))
        if not entry.durable:
            return fail(OrthancError(ErrorCode.BAD_SEQUENCE_OF_CALLS))
        try:
            prepared = self._worker.prepare(entry)
            content = prepared.job.content()
        except Exception:
            return fail(Failure())
        entry.events.resubmit()
        entry.start_over()
        entry.prepared, entry.content = prepared, content
        prepared.context.failed_instances.clear()
        self._registry.resubmitted(entry)
        self._enqueue(entry)
        return self._saved(entry)

    def delete(self, job_id: str) -> Deferred[bool]:
        """Remove an ended job and its outputs. False if there is none such."""
        entry = self._registry.get(job_id)
        if entry is None or not entry.state.is_final:
            return succeed(False)
        self._registry.remove(entry)
        self._changed(entry)
        return self._ledger.discard([entry]).addCallback(lambda _: True)

    # Outputs

    def output(self, job_id: str, key: str) -> Output | None:
        """A file that an ended job has left, or None."""
        entry = self._registry.get(job_id)
        stored = None if entry is None else entry.outputs.get(key)
        if entry is None or stored is None or entry.state is not JobState.SUCCESS:
            return None
        self._registry.outputs_used(entry)
        return stored.as_output(self._ledger.folders.path(job_id))

    def delete_output(self, job_id: str, key: str) -> Deferred[bool]:
        """Remove a file that an ended job has left. False if there is none such."""
        entry = self._registry.get(job_id)
        if entry is None or key not in entry.outputs or entry.state is not JobState.SUCCESS:
            return succeed(False)
        dropped = self._ledger.drop_outputs(entry, [key])
        if not entry.outputs:
            self._registry.outputs_gone(entry)
        return dropped.addCallback(lambda _: True)

    # Between them

    def _take(self) -> Steps | None:
        entry = self._registry.pop()
        if entry is None:
            return None
        steps = self._worker.work(entry)
        self._admission.update()
        return steps

    def _enqueue(self, entry: JobEntry) -> None:
        self._registry.enqueue(entry)
        self._changed(entry)
        self._scheduler.wake()

    def _leave_queue(self, entry: JobEntry) -> None:
        if entry.retry_call is not None:
            entry.retry_call.cancel()
            entry.retry_call = None
            entry.retry_at_s = None
            entry.error_details = ""
        self._registry.dequeue(entry)
        self._admission.update()

    def _abandon(self, entry: JobEntry) -> None:
        """Release the job object that no run will use any more, and its delay."""
        if entry.retry_call is not None:
            entry.retry_call.cancel()
            entry.retry_call = None
        prepared, entry.prepared = entry.prepared, None
        if prepared is None:
            return
        prepared.context.cancelled = True
        try:
            prepared.job.abandon()
        except Exception:
            _log.failure("Job {job_id} failed while it was cleaned up", job_id=entry.job_id)

    def _saved(self, entry: JobEntry) -> Deferred[bool]:
        return self._ledger.save(entry).addCallback(lambda _: True)

    def _changed(self, entry: JobEntry) -> None:
        for observer in list(self._observers):
            try:
                observer(entry.job_id)
            except Exception:
                _log.failure("An observer of the jobs failed")

    @staticmethod
    def _forget(deferred: Deferred[Any]) -> None:
        deferred.addErrback(lambda failure: _log.failure("Old jobs could not be removed", failure))


def _stopping_error() -> OrthancError:
    return OrthancError(ErrorCode.INTERNAL_ERROR, "The server is stopping", http_status=503)


def _shielded(inner: Deferred[T]) -> Deferred[T]:
    """A Deferred of the same result, whose cancellation does not reach ``inner``."""
    outer: Deferred[T] = Deferred()

    def relay(result: Any) -> None:
        if not outer.called:
            outer.callback(result)
        elif isinstance(result, Failure):
            _log.failure("A submission failed after its client had gone", result)

    inner.addBoth(relay)
    return outer
