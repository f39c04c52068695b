"""One run of one job: its steps, one after another, until there is an outcome.

Owns the generator of steps, the flags looked at between them, the threads they use and the
time they take. Knows nothing of states, rows or queues. All of it is called in the reactor
thread, by one loop of the scheduler.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, RetryLater, TransientFailure
from orthanc_tw.jobs.threads import ThreadGroup
from orthanc_tw.model.errors import ErrorCode, OrthancError

Steps = Iterator["Deferred[None] | None"]

_log = Logger()


class Ending(enum.Enum):
    """How a run ended."""

    SUCCESS = enum.auto()
    FAILURE = enum.auto()
    TRANSIENT_FAILURE = enum.auto()
    POSTPONED = enum.auto()
    PAUSED = enum.auto()
    CANCELLED = enum.auto()
    STOPPED = enum.auto()


_RESUMABLE = (Ending.PAUSED, Ending.POSTPONED, Ending.TRANSIENT_FAILURE, Ending.STOPPED)

# What was asked last does not always count: a job paused while the server stops stays paused.
_WEIGHT = {Ending.STOPPED: 1, Ending.PAUSED: 2, Ending.CANCELLED: 3}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and why. ``delay_s`` is that of a step to be tried again."""

    ending: Ending
    error_code: int = 0
    error_details: str = ""
    delay_s: float = 0.0


def boxed(deferred: Deferred[Any], results: list[object]) -> Deferred[None]:
    """A Deferred that never fails and fires after ``deferred``, whose result goes to ``results``.

    What a loop of a Cooperator yields must not fail: the failure would end the loop.
    """
    gate: Deferred[None] = Deferred()

    def put(result: object) -> None:
        results.append(result)
        gate.callback(None)

    deferred.addBoth(put)
    return gate


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job object that was created for one run, and what was handed to it."""

    job: Job
    context: JobContext
    threads: ThreadGroup


class Run:
    """One run of one job. `advance` makes it; ``outcome`` is there when that is exhausted.

    :param after_step: called after each step with whether it was a checkpoint; what it
        returns, if anything, is waited for
    """

    def __init__(
        self,
        prepared: Prepared,
        clock: IReactorTime,
        after_step: Callable[[bool], Deferred[Any] | None],
    ) -> None:
        self.job = prepared.job
        self.context = prepared.context
        self.outcome: Outcome | None = None
        self._threads = prepared.threads
        self._clock = clock
        self._after_step = after_step
        self._began_s = clock.seconds()
        self._ended_s: float | None = None
        self._asked: Ending | None = None
        self._waiting: Deferred[Any] | None = None
        self._interrupted = False

    @property
    def runtime_s(self) -> float:
        """Seconds since this run began, or that it took."""
        until = self._clock.seconds() if self._ended_s is None else self._ended_s
        return until - self._began_s

    def ask_pause(self) -> None:
        """End after the step under way, or amid it if its kind allows that, at its cursor."""
        self._ask(Ending.PAUSED)
        if self.context.pause_interrupts:
            self.interrupt()

    def ask_cancel(self) -> None:
        """End now: the step under way is cancelled."""
        self.context.is_final = True
        self._ask(Ending.CANCELLED)
        self.interrupt()

    def ask_stop(self) -> None:
        """End after the step under way, for the server stops."""
        self._ask(Ending.STOPPED)

    def interrupt(self) -> None:
        """Cancel the step under way; the run must have been asked to end."""
        if self._waiting is not None:
            self._interrupted = True
            self._waiting.cancel()

    def _ask(self, ending: Ending) -> None:
        self.context.cancelled = True
        if self._asked is None or _WEIGHT[ending] > _WEIGHT[self._asked]:
            self._asked = ending

    def advance(self) -> Steps:
        """The steps and then the cleaning up, for a Cooperator; yields nothing that fails."""
        steps: Iterator[Deferred[Any]] | None = None
        outcome = self._as_asked()
        while outcome is None:
            results: list[object] = []
            try:
                if steps is None:
                    steps = self.job.steps()
                step = next(steps)
                gate = boxed(step, results)
            except StopIteration:
                outcome = Outcome(Ending.SUCCESS)
                break
            except Exception:
                outcome = self._failed_with(Failure())
                continue
            self._waiting = step
            yield None if results else gate
            self._waiting = None
            outcome = self._failed_with(results[0])
            if outcome is None:
                saved = maybeDeferred(self._after_step, results[0] is CHECKPOINT)
                results = []
                gate = boxed(saved, results)
                if not results:
                    yield gate
                outcome = self._failed_with(results[0]) or self._as_asked()
        self._ended_s = self._clock.seconds()
        drained = self._threads.drained()
        if drained is not None:
            yield drained
        self._release(steps, outcome)
        if outcome.ending in _RESUMABLE:
            # A cancel that came while the threads ran out counts.
            outcome = self._as_asked() or outcome
        self.outcome = outcome

    def _as_asked(self) -> Outcome | None:
        if self._asked is Ending.CANCELLED:
            return Outcome(Ending.CANCELLED, int(ErrorCode.CANCELED_JOB))
        return None if self._asked is None else Outcome(self._asked)

    def _failed_with(self, result: object) -> Outcome | None:
        """What a step's result means for the run; None: it goes on."""
        if not isinstance(result, Failure):
            return None
        error = result.value
        if self._interrupted:
            # The error is that of the wait that was cut short, whatever it calls itself.
            interrupted = self._as_asked()
            if interrupted is not None:
                return interrupted
        if isinstance(error, RetryLater):
            return self._as_asked() or Outcome(
                Ending.POSTPONED, error_details=error.reason, delay_s=max(0.0, error.delay_s)
            )
        if isinstance(error, TransientFailure):
            return self._as_asked() or Outcome(
                Ending.TRANSIENT_FAILURE, int(error.code), error.details or ""
            )
        return failure_outcome(result, self.context.job_id)

    def _release(self, steps: Iterator[Deferred[Any]] | None, outcome: Outcome) -> None:
        close = getattr(steps, "close", None)
        for clean_up in (close, None if outcome.ending is Ending.SUCCESS else self.job.abandon):
            if clean_up is None:
                continue
            try:
                clean_up()
            except Exception:
                _log.failure(
                    "Job {job_id} failed while it was cleaned up", job_id=self.context.job_id
                )


def failure_outcome(failure: Failure, job_id: str) -> Outcome:
    """The outcome of a job that failed: an `OrthancError` says why, anything else is logged."""
    error = failure.value
    if isinstance(error, OrthancError):
        return Outcome(Ending.FAILURE, int(error.code), error.details or "")
    _log.failure("Job {job_id} has failed", failure, job_id=job_id)
    return Outcome(Ending.FAILURE, int(ErrorCode.INTERNAL_ERROR))


def fire(deferreds: list[Deferred[Any]], result: Any) -> None:
    """Fire (or fail) all of them, leaving out those that were cancelled; empties the list."""
    waiting, deferreds[:] = deferreds[:], []
    for deferred in waiting:
        if not deferred.called:
            deferred.callback(result)
