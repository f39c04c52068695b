"""The jobs engine: what the routes call, and the service that starts and stops it.

Puts the state machine, the registry, the scheduler, the rows and the folders together.
Everything is called in the reactor thread; files are touched in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.jobs.describe import describe_job
from orthanc_tw.jobs.finder import JobFinder, NoLabels, ResourceLabels
from orthanc_tw.jobs.folders import JobFolders
from orthanc_tw.jobs.intake import JobIntake
from orthanc_tw.jobs.interface import JobKind, JobRequest, JobResult, Output
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.loading import load_jobs, restore_history
from orthanc_tw.jobs.output_keeper import OutputKeeper
from orthanc_tw.jobs.provisional import ProvisionalWork
from orthanc_tw.jobs.query import JobPage, JobQuery
from orthanc_tw.jobs.quota import OutputsQuota
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.run import Steps, fire
from orthanc_tw.jobs.scheduler import Scheduler
from orthanc_tw.jobs.settings import JobsSettings
from orthanc_tw.jobs.steering import JobSteering
from orthanc_tw.jobs.store import JobStore
from orthanc_tw.jobs.worker import JobEnded, JobWorker
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject

T = TypeVar("T")

_log = Logger()


class JobsEngineService(Service):
    """`orthanc_tw.jobs.interface.JobsEngine` as a service.

    :param kinds: the types of jobs; `register` adds more before the start
    :param clock: delays and running times
    :param cooperator: what the slots run on
    :param in_thread: runs a blocking function in a thread of a pool (``deferToThreadPool``)
    :param make_id: ids of new jobs, random UUIDs in their usual text form
    :param now_s: the time of day, POSIX seconds
    :param random: between 0 and 1, for the jitter of delays
    :param is_logged: whether the log shows information: every change of state is some
    :param job_ended: told of each job that has ended: type, ``success``, ``failure`` or
        ``cancelled``, seconds that it ran, and seconds from submission to its first run
    :param labels: for lists of jobs about resources with a label; by default none has any
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
        random: Callable[[], float] = lambda: 0.5,
        is_logged: Callable[[], bool] = lambda: True,
        job_ended: JobEnded = lambda kind, outcome, duration_s, waiting_s: None,
        labels: ResourceLabels | None = None,
    ) -> None:
        self._settings = settings
        self._kinds = {kind.type_name: kind for kind in kinds}
        self._store = store
        self._clock = clock
        self._in_thread = in_thread
        self._now_s = now_s
        self._registry = JobsRegistry(settings.history_size, OutputsQuota(settings.outputs))
        self._provisional = ProvisionalWork(self._kinds)
        folders = JobFolders(settings.folder)
        self._ledger = JobLedger(store, folders, in_thread, self._provisional, settings.save_jobs)
        self._scheduler = Scheduler(cooperator, settings.concurrent_jobs, self._take)
        self._finder = JobFinder(self._registry, self._kinds, clock, labels or NoLabels())
        self._worker = JobWorker(
            kinds=self._kinds,
            registry=self._registry,
            ledger=self._ledger,
            clock=clock,
            now_s=now_s,
            in_thread=in_thread,
            random=random,
            threads=settings.threads,
            job_ended=job_ended,
            save_interval_s=settings.save_interval_s,
            enqueue=self._enqueue,
            changed=self._changed,
        )
        self._intake = JobIntake(
            kinds=self._kinds,
            registry=self._registry,
            ledger=self._ledger,
            worker=self._worker,
            limit_jobs=settings.limit_jobs,
            retries=settings.retries,
            make_id=make_id,
            now_s=now_s,
            enqueue=self._enqueue,
        )
        self._steering = JobSteering(
            kinds=self._kinds,
            registry=self._registry,
            ledger=self._ledger,
            worker=self._worker,
            now_s=now_s,
            enqueue=self._enqueue,
            left_queue=self._intake.admission.update,
            changed=self._changed,
        )
        self._outputs = OutputKeeper(
            self._registry, self._ledger, clock, now_s, settings.outputs.age_s, self._changed
        )
        self._is_logged = is_logged
        self._observers: list[Callable[[str], None]] = []
        self._started: bool | Failure = False
        self._stopping = False
        self._loading: Deferred[None] = succeed(None)
        self._ready: list[Deferred[Any]] = []

    def register(self, kind: JobKind) -> None:
        """Add a type of job, before the service starts."""
        self._kinds[kind.type_name] = kind

    # Starting and stopping

    def startService(self) -> None:
        """Load the saved jobs, then run jobs."""
        Service.startService(self)
        for name in sorted(set(self._settings.retries) - set(self._kinds)):
            _log.warn("JobsRetry names a type of job that there is not: {name}", name=name)
        self._loading = Deferred.fromCoroutine(self._load()).addErrback(self._not_loaded)

    @property
    def is_ready(self) -> bool:
        """Whether the saved jobs are loaded."""
        return self._started is True

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
        await self._provisional.sweep()
        for entry in entries:
            self._intake.submitted = max(self._intake.submitted, entry.order)
            self._registry.add(entry)
        restore_history(entries, self._registry, self._ledger)
        self._started = True
        if not self._stopping:
            self._outputs.start()
            self._scheduler.start()
            for entry in entries:
                if entry.state is JobState.PENDING:
                    # Nobody can be watching yet.
                    self._registry.enqueue(entry)
                    self._scheduler.wake()
        fire(self._ready, None)

    def _not_loaded(self, failure: Failure) -> None:
        _log.failure("The saved jobs could not be loaded: no job will run", failure)
        self._started = failure
        fire(self._ready, failure)

    def stopService(self) -> Deferred[None]:
        """Let the steps under way end (within the grace), save every row."""
        Service.stopService(self)
        self._stopping = True
        self._outputs.stop()
        error = _stopping_error()
        self._intake.admission.close(error)
        running = [entry.run for entry in self._registry if entry.run is not None]
        for run in running:
            run.ask_stop()

        def interrupt() -> None:
            for run in running:
                run.interrupt()

        impatience = self._clock.callLater(self._settings.stop_grace_s, interrupt)

        def slots_ended(_: object) -> Deferred[None]:
            if impatience.active():
                impatience.cancel()
            for entry in self._registry:
                self._worker.forget_delay(entry)
                self._worker.abandon(entry)
            # What a final row being written tells is still told to who waits.
            return self._ledger.flush()

        def flushed(result: T) -> T:
            for entry in self._registry:
                fire(entry.waiters, Failure(error))
            return result

        stopped = self._loading.addBoth(lambda _: self._scheduler.stop())
        return stopped.addCallback(slots_ended).addBoth(flushed)

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
        return await self._intake.submit(request)

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

        def forget(waiting: Deferred[JobResult]) -> None:
            # Not there any more if it is being fired, and another waiter cancels it.
            if waiting in entry.waiters:
                entry.waiters.remove(waiting)

        waiting: Deferred[JobResult] = Deferred(forget)
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

    def find(self, query: JobQuery) -> Deferred[JobPage]:
        """A page of the list; fails with ValueError if ``query.after`` is none of its order."""
        return Deferred.fromCoroutine(self._finder.find(query))

    def failed_instances(self, job_id: str) -> Mapping[str, str] | None:
        """Public id to reason, of the instances that failed in a job; None: there is no job."""
        entry = self._registry.get(job_id)
        return None if entry is None else entry.failures()

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
        """Call ``observer`` with the id of every job that changes or is forgotten.

        Returns what ends that; ``observer`` must not change the jobs.
        """
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    # Steering

    def pause(self, job_id: str) -> Deferred[bool]:
        """Make a job wait; a running one after the step under way. No effect once it has ended.

        False if there is no such job.
        """
        entry = self._registry.get(job_id)
        return succeed(False) if entry is None else self._steering.pause(entry)

    def resume(self, job_id: str) -> Deferred[bool]:
        """Let a paused job go on at its cursor. False if it is not paused."""
        entry = self._registry.get(job_id)
        return succeed(False) if entry is None else self._steering.resume(entry)

    def cancel(self, job_id: str) -> Deferred[bool]:
        """End a job; of a running one the step under way is cancelled. No effect once ended.

        False if there is no such job.
        """
        entry = self._registry.get(job_id)
        return succeed(False) if entry is None else self._steering.cancel(entry)

    def resubmit(self, job_id: str) -> Deferred[bool]:
        """Let a failed job start over. False if it has not failed.

        Fails with `OrthancError`: BAD_SEQUENCE_OF_CALLS if its kind cannot do that.
        """
        entry = self._registry.get(job_id)
        return succeed(False) if entry is None else self._steering.resubmit(entry)

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
        return None if entry is None else self._outputs.output(entry, key)

    def delete_output(self, job_id: str, key: str) -> Deferred[bool]:
        """Remove a file that an ended job has left. False if there is none such."""
        entry = self._registry.get(job_id)
        return succeed(False) if entry is None else self._outputs.delete(entry, key)

    # Between them

    def _take(self) -> Steps | None:
        entry = self._registry.pop()
        if entry is None:
            return None
        steps = self._worker.work(entry)
        self._intake.admission.update()
        return steps

    def _enqueue(self, entry: JobEntry) -> None:
        self._registry.enqueue(entry)
        self._changed(entry)
        self._scheduler.wake()

    def _changed(self, entry: JobEntry) -> None:
        if self._is_logged():
            _log.info("Job {job_id}: {state}", job_id=entry.job_id, state=entry.state.value)
        for observer in list(self._observers):
            self._tell(observer, entry.job_id)

    @staticmethod
    def _tell(observer: Callable[[str], None], job_id: str) -> None:
        try:
            observer(job_id)
        except Exception:
            _log.failure("An observer of the jobs failed")


def _stopping_error() -> OrthancError:
    return OrthancError(ErrorCode.INTERNAL_ERROR, "The server is stopping", http_status=503)
