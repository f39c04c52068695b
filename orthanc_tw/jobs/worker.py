"""From the queue to the end of a run: creates the job object, runs it, draws the conclusion.

A job that has done its work is running, for all who look, until its final row is durable;
the slot that ran it takes the next one meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.jobs.interface import JobContext, JobKind
from orthanc_tw.jobs.ledger import JobLedger
from orthanc_tw.jobs.machine import accepts
from orthanc_tw.jobs.outputs import StoredOutput
from orthanc_tw.jobs.record import JobEntry, to_row
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.jobs.run import (
    Ending,
    Outcome,
    Prepared,
    Run,
    Steps,
    boxed,
    failure_outcome,
    fire,
)
from orthanc_tw.jobs.threads import ThreadGroup
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.model.json_types import JsonObject

_log = Logger()

JobEnded = Callable[[str, str, float, float], None]
ATTACHMENT = "__attachment__"

# How many ended jobs may be on their way to the disk before a slot waits for its own.
_MAXIMUM_CONCLUDING = 64


class JobWorker:
    """Runs jobs. Called in the reactor thread.

    :param random: between 0 and 1, for the jitter of a delay
    :param threads: how many functions a job may have in threads at a time, by type
    :param save_interval_s: least time between two saves of the progress of a job, seconds
    :param changed: told of every job that has changed, for whoever watches
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, JobKind],
        registry: JobsRegistry,
        ledger: JobLedger,
        clock: IReactorTime,
        now_s: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]],
        random: Callable[[], float],
        threads: Mapping[str, int],
        job_ended: JobEnded,
        save_interval_s: float,
        enqueue: Callable[[JobEntry], None],
        changed: Callable[[JobEntry], None],
    ) -> None:
        self._kinds = kinds
        self._registry = registry
        self._ledger = ledger
        self._clock = clock
        self._now_s = now_s
        self._in_thread = in_thread
        self._random = random
        self._threads = threads
        self._job_ended = job_ended
        self._save_interval_s = save_interval_s
        self._enqueue = enqueue
        self._changed = changed
        self._concluding = 0
        self.totals: Counter[JobState] = Counter()

    def prepare(self, entry: JobEntry) -> Prepared:
        """Create the job object for a run from the entry's cursor.

        :raises OrthancError: NOT_IMPLEMENTED for an unknown kind; or what the kind raises
        """
        kind = self._kinds.get(entry.kind)
        if kind is None:
            raise OrthancError(ErrorCode.NOT_IMPLEMENTED, f"Unknown type of job: {entry.kind}")
        folders = self._ledger.folders

        def make_folder() -> None:
            entry.has_folder = True
            folders.make(entry.job_id)

        threads = ThreadGroup(self._in_thread, self._threads.get(entry.kind, 0))
        context = JobContext(
            job_id=entry.job_id,
            folder=folders.path(entry.job_id),
            make_folder=make_folder,
            in_thread=threads.run,
            failed_instances=dict(entry.failed_instances),
        )
        parameters: JsonObject = entry.parameters
        if entry.attachment is not None:
            parameters = {**parameters, ATTACHMENT: entry.attachment}  # type: ignore[dict-item]
        return Prepared(kind.create(parameters, entry.cursor, context), context, threads)

    def work(self, entry: JobEntry) -> Steps:
        """Run a job that was taken from the queue; the work of one slot."""
        entry.events.picked()
        entry.attempts += 1
        if entry.started_s is None:
            entry.started_s = self._now_s()
        entry.retry_at_s = None
        entry.saved_s = self._clock.seconds()
        self._changed(entry)
        return self._steps(entry)

    def _steps(self, entry: JobEntry) -> Steps:
        prepared, entry.prepared = entry.prepared, None
        if prepared is None:
            try:
                prepared = self.prepare(entry)
            except Exception:
                yield from self._end(entry, failure_outcome(Failure(), entry.job_id))
                return
        run = Run(prepared, self._clock, lambda checkpoint: self._after_step(entry, checkpoint))
        entry.run = run
        yield from run.advance()
        outcome = run.outcome
        assert outcome is not None
        try:
            self._capture(entry, run)
        except Exception:
            outcome = failure_outcome(Failure(), entry.job_id)
        entry.runtime_s += run.runtime_s
        entry.run = None
        if outcome.ending is Ending.TRANSIENT_FAILURE:
            outcome = self._tried(entry, outcome)
        if outcome.ending is Ending.STOPPED:
            self._stopped(entry)
        elif outcome.ending in (Ending.PAUSED, Ending.POSTPONED):
            yield from self._interrupted(entry, outcome)
        elif outcome.ending is Ending.SUCCESS and run.context.outputs:
            settled = self._ledger.settle(entry, run.context.outputs)
            yield from self._meanwhile(settled.addBoth(self._settled, entry, outcome))
        else:
            yield from self._end(entry, outcome)

    def _tried(self, entry: JobEntry, outcome: Outcome) -> Outcome:
        """What a transient failure comes to: another try, or the end of the job."""
        retry = entry.retry
        if retry is None or entry.attempts >= retry.maximum_attempts:
            return replace(outcome, ending=Ending.FAILURE)
        delay_s = retry.delay_s(entry.attempts, self._random())
        _log.info(
            "Job {job_id} is tried again in {delay_s:.1f} s, after try {attempts}: {details}",
            job_id=entry.job_id,
            delay_s=delay_s,
            attempts=entry.attempts,
            details=outcome.error_details,
        )
        return replace(outcome, ending=Ending.POSTPONED, delay_s=delay_s)

    def _settled(
        self, stored: dict[str, StoredOutput] | Failure, entry: JobEntry, outcome: Outcome
    ) -> Deferred[None]:
        if isinstance(stored, Failure):
            _log.failure("The outputs of {job_id} are bad", stored, job_id=entry.job_id)
            outcome = Outcome(Ending.FAILURE, int(ErrorCode.CANNOT_WRITE_FILE))
        else:
            entry.outputs = stored
        return self._conclude(entry, outcome)

    def _capture(self, entry: JobEntry, run: Run) -> None:
        """Copy what the job object says of itself to the entry."""
        entry.progress = max(0.0, min(1.0, run.job.progress()))
        entry.cursor = run.job.cursor()
        entry.content = run.job.content()
        entry.failed_instances = run.context.failed_instances

    def _after_step(self, entry: JobEntry, checkpoint: bool) -> Deferred[None] | None:
        now = self._clock.seconds()
        run = entry.run
        if run is None or not (checkpoint or now - entry.saved_s >= self._save_interval_s):
            return None
        entry.saved_s = now
        self._changed(entry)
        if not entry.durable:
            return None
        self._capture(entry, run)
        row = replace(to_row(entry), runtime_s=entry.runtime_s + run.runtime_s)
        if checkpoint:
            return self._ledger.save(entry, row)
        self._ledger.save_later(entry, row)
        return None

    def _stopped(self, entry: JobEntry) -> None:
        """The server stops: the row goes on at this cursor when it starts again."""
        entry.attempts -= 1
        saved = self._ledger.save_as(entry, JobState.PENDING)
        saved.addErrback(
            lambda failure: _log.failure(
                "Job {job_id} could not be saved", failure, job_id=entry.job_id
            )
        )

    def _interrupted(self, entry: JobEntry, outcome: Outcome) -> Steps:
        if outcome.ending is Ending.PAUSED:
            entry.attempts -= 1
            entry.events.pause()
        else:
            entry.events.postponed()
            entry.retry_at_s = self._now_s() + outcome.delay_s
            entry.error_code = outcome.error_code
            entry.error_details = outcome.error_details
            entry.retry_call = self._clock.callLater(outcome.delay_s, self._delay_over, entry)
        self._changed(entry)
        results: list[object] = []
        yield boxed(self._ledger.save(entry), results)
        if isinstance(results[0], Failure):
            _log.failure("Job {job_id} could not be saved", results[0], job_id=entry.job_id)

    def _delay_over(self, entry: JobEntry) -> None:
        _end_delay(entry)
        if accepts(entry.events.delay_over):
            self._enqueue(entry)

    def _end(self, entry: JobEntry, outcome: Outcome) -> Steps:
        yield from self._meanwhile(self._conclude(entry, outcome))

    def _meanwhile(self, concluded: Deferred[None]) -> Steps:
        """The slot goes on, or each fsync and each commit would serve one job a slot."""
        self._concluding += 1

        def ended(result: None) -> None:
            self._concluding -= 1

        concluded.addErrback(_conclusion_failed).addCallback(ended)
        yield concluded if self._concluding > _MAXIMUM_CONCLUDING else None

    def _conclude(self, entry: JobEntry, outcome: Outcome) -> Deferred[None]:
        succeeded = outcome.ending is Ending.SUCCESS
        entry.error_code = outcome.error_code
        entry.error_details = outcome.error_details
        entry.completed_s = self._now_s()
        entry.cursor = None
        if succeeded:
            entry.progress = 1.0
        else:
            entry.outputs = {}
        state = JobState.SUCCESS if succeeded else JobState.FAILURE
        return self._ledger.conclude(entry, state).addBoth(self._concluded, entry, outcome)

    def _concluded(self, saved: object, entry: JobEntry, outcome: Outcome) -> None:
        """The final row is durable, or cannot be: now the job has ended."""
        succeeded = outcome.ending is Ending.SUCCESS
        if isinstance(saved, Failure):
            _log.failure("Job {job_id} could not be saved", saved, job_id=entry.job_id)
            if succeeded:
                # Its success would be forgotten by a restart, so it is none.
                succeeded = False
                entry.outputs = {}
                entry.error_code = int(ErrorCode.DATABASE)
                entry.error_details = "The end of the job could not be saved"
        if succeeded:
            entry.events.done()
        elif outcome.ending is Ending.CANCELLED:
            entry.events.cancel()
        else:
            entry.events.failed()
        result = entry.result()
        if not entry.outputs:
            self._ledger.remove_folder_later(entry)
        self.record_end(entry)
        fire(entry.waiters, result)

    def forget_delay(self, entry: JobEntry) -> None:
        """A job leaves the state Retry otherwise than by the end of its delay."""
        if entry.retry_call is not None:
            entry.retry_call.cancel()
            _end_delay(entry)

    def abandon(self, entry: JobEntry) -> None:
        """Release the job object that was made for a run that will never be."""
        prepared, entry.prepared = entry.prepared, None
        if prepared is None:
            return
        prepared.context.cancelled = True
        try:
            prepared.job.abandon()
        except Exception:
            _log.failure("Job {job_id} failed while it was cleaned up", job_id=entry.job_id)

    def record_end(self, entry: JobEntry) -> None:
        """A job has come to its final state, whose row is saved or on its way: history."""
        entry.attachment = None
        self.totals[entry.state] += 1
        self._job_ended(entry.kind, _outcome_name(entry), entry.runtime_s, entry.waited_s)
        if entry.outputs:
            for other in self._registry.outputs.keep(entry):
                self._ledger.drop_outputs(other, list(other.outputs)).addErrback(_clean_up_failed)
        dropped = self._registry.ended(entry)
        if dropped:
            self._ledger.discard(dropped).addErrback(_clean_up_failed)
        for other in (entry, *dropped):
            self._changed(other)


def _end_delay(entry: JobEntry) -> None:
    entry.retry_call = None
    entry.retry_at_s = None
    entry.error_code = 0
    entry.error_details = ""


def _outcome_name(entry: JobEntry) -> str:
    if entry.state is JobState.SUCCESS:
        return "success"
    return "cancelled" if entry.error_code == ErrorCode.CANCELED_JOB else "failure"


def _conclusion_failed(failure: Failure) -> None:
    _log.failure("The end of a job was not recorded", failure)


def _clean_up_failed(failure: Failure) -> None:
    _log.failure("What a job left could not be removed", failure)
