"""How a submission becomes a pending job: a place in the queue, an entry, a durable row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.jobs.admission import Admission
from orthanc_tw.jobs.interface import JobKind, JobRequest
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.machine import job_machine
from orthanc_tw.jobs.record import JobEntry, json_copy
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.jobs.worker import JobWorker
from orthanc_tw.model.jobs import JobState

T = TypeVar("T")

_log = Logger()


class JobIntake:
    """Takes submissions of known kinds. Called in the reactor thread.

    :ivar admission: who waits for a place in the queue
    :ivar submitted: how many jobs there were so far, which is the order of the last one
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, JobKind],
        registry: JobsRegistry,
        ledger: JobLedger,
        worker: JobWorker,
        limit_jobs: int,
        retries: Mapping[str, RetryPolicy],
        make_id: Callable[[], str],
        now_s: Callable[[], float],
        enqueue: Callable[[JobEntry], None],
    ) -> None:
        self._kinds = kinds
        self._registry = registry
        self._ledger = ledger
        self._worker = worker
        self._retries = retries
        self._make_id = make_id
        self._now_s = now_s
        self._enqueue = enqueue
        self.admission = Admission(limit_jobs, lambda: self._registry.pending)
        self.submitted = 0

    async def submit(self, request: JobRequest) -> str:
        """Queue a job; its id, once its row is durable.

        :raises Exception: what the kind refuses its parameters with
        """
        await self.admission.admit()
        try:
            entry = self._new_entry(request)
        except BaseException:
            self.admission.settle()
            raise
        return await _shielded(self._queue(entry))

    def _new_entry(self, request: JobRequest) -> JobEntry:
        events, lifecycle = job_machine(JobState.PENDING)
        self.submitted += 1
        retry = self._retries.get(request.kind) if request.retry is None else request.retry
        entry = JobEntry(
            job_id=self._make_id(),
            kind=request.kind,
            durable=request.attachment is None and self._kinds[request.kind].is_durable,
            order=self.submitted,
            parameters=json_copy(request.parameters),
            priority=request.priority,
            user_data=json_copy(request.user_data),
            has_user_data=request.has_user_data,
            created_s=self._now_s(),
            events=events,
            lifecycle=lifecycle,
            attachment=request.attachment,
            retry=retry if retry is not None and retry.is_enabled else None,
        )
        entry.prepared = self._worker.prepare(entry)
        entry.content = entry.prepared.job.content()
        return entry

    def _queue(self, entry: JobEntry) -> Deferred[str]:
        def saved(_: None) -> str:
            self._registry.add(entry)
            self._enqueue(entry)
            return entry.job_id

        def refused(failure: Failure) -> Failure:
            self._worker.abandon(entry)
            return failure

        def settle(result: T) -> T:
            self.admission.settle()
            return result

        return self._ledger.save(entry).addCallback(saved).addErrback(refused).addBoth(settle)


def _shielded(inner: Deferred[T]) -> Deferred[T]:
    """A Deferred of the same result, whose cancellation does not reach ``inner``.

    A client that goes away while its job's row is written leaves a job that is queued, not
    one that has a row and is in no queue.
    """
    outer: Deferred[T] = Deferred()

    def relay(result: Any) -> None:
        if not outer.called:
            outer.callback(result)
        elif isinstance(result, Failure):
            _log.failure("A submission failed after its client had gone", result)

    inner.addBoth(relay)
    return outer
