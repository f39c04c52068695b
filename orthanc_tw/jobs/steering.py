"""What clients ask of a job that is there: pause, resume, cancel, resubmit.

Orthanc's answers: pausing or cancelling a job that has ended succeeds and does nothing,
resuming or resubmitting one in a wrong state is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from orthanc_tw.jobs.interface import JobKind, RefusesResubmission
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.machine import accepts
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.run import fire
from orthanc_tw.jobs.worker import JobWorker
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState

T = TypeVar("T")


class JobSteering:
    """Changes the state of jobs from outside. Called in the reactor thread.

    A running job is only told; it looks at that between two steps, and its answer does not
    wait for it. Any other job has changed, durably, when the answer is given.

    :param left_queue: told when the queue may have become shorter
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, JobKind],
        registry: JobsRegistry,
        ledger: JobLedger,
        worker: JobWorker,
        now_s: Callable[[], float],
        enqueue: Callable[[JobEntry], None],
        left_queue: Callable[[], None],
        changed: Callable[[JobEntry], None],
    ) -> None:
        self._kinds = kinds
        self._registry = registry
        self._ledger = ledger
        self._worker = worker
        self._now_s = now_s
        self._enqueue = enqueue
        self._left_queue = left_queue
        self._changed = changed

    def pause(self, entry: JobEntry) -> Deferred[bool]:
        """Make a job wait; a running one after the step under way."""
        if entry.run is not None:
            entry.run.ask_pause()
        elif entry.state is not JobState.RUNNING and accepts(entry.events.pause):
            self._leave_queue(entry)
            self._changed(entry)
            return self._saved(entry)
        return succeed(True)

    def resume(self, entry: JobEntry) -> Deferred[bool]:
        """Let a paused job go on at its cursor. False if it is not paused."""
        if not accepts(entry.events.resume):
            return succeed(False)
        self._enqueue(entry)
        return self._saved(entry)

    def cancel(self, entry: JobEntry) -> Deferred[bool]:
        """End a job; of a running one the step under way is cancelled."""
        if entry.run is not None:
            entry.run.ask_cancel()
            return succeed(True)
        if entry.state is JobState.RUNNING or not accepts(entry.events.cancel):
            return succeed(True)
        self._leave_queue(entry)
        self._worker.abandon(entry)
        entry.error_code = int(ErrorCode.CANCELED_JOB)
        entry.error_details = ""
        entry.completed_s = self._now_s()
        entry.cursor = None

        waiting, entry.waiters = entry.waiters, []
        result = entry.result()
        saved = self._ledger.conclude(entry, entry.state).addCallback(lambda _: True)
        # Recorded before that is durable: from now on the job may be deleted or resubmitted.
        self._worker.record_end(entry)

        def settled(outcome: T) -> T:
            if entry.state is JobState.FAILURE:
                self._ledger.remove_folder_later(entry)
            fire(waiting, result)
            return outcome

        return saved.addBoth(settled)

    def resubmit(self, entry: JobEntry) -> Deferred[bool]:
        """Let a failed job start over. False if it has not failed.

        Fails with `OrthancError`: BAD_SEQUENCE_OF_CALLS if its kind cannot do that.
        """
        if entry.state is not JobState.FAILURE:
            return succeed(False)
        kind = self._kinds.get(entry.kind)
        if isinstance(kind, RefusesResubmission):
            return fail(OrthancError(ErrorCode.BAD_SEQUENCE_OF_CALLS, kind.resubmit_refusal))
        if not entry.durable:
            return fail(OrthancError(ErrorCode.BAD_SEQUENCE_OF_CALLS))
        before = entry.failed_instances
        entry.failed_instances = {}
        try:
            prepared = self._worker.prepare(entry)
            content = prepared.job.content()
        except Exception:
            entry.failed_instances = before
            return fail(Failure())
        entry.events.resubmit()
        entry.start_over()
        entry.prepared, entry.content = prepared, content
        self._registry.resubmitted(entry)
        self._enqueue(entry)
        return self._saved(entry)

    def _leave_queue(self, entry: JobEntry) -> None:
        self._worker.forget_delay(entry)
        self._registry.dequeue(entry)
        self._left_queue()

    def _saved(self, entry: JobEntry) -> Deferred[bool]:
        return self._ledger.save(entry).addCallback(lambda _: True)
