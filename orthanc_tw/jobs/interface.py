"""What a job kind is, and what the engine offers to it.

A kind is a factory registered by its type name; a running job is an object with a
generator of steps. The engine drives ``steps()`` with a Cooperator: each yielded
Deferred is one step. After a step the engine looks at the pause and cancel flags, and
saves ``progress``, ``cursor`` and ``content`` if the last save was long enough ago; a step
whose Deferred fires with `CHECKPOINT` has them saved durably before the next one begins.
A step is over when its Deferred fires: what it changes of cursor and progress is best
changed in a callback of that, since what follows the ``yield`` runs with the next step.
After a pause, a restart of the server or a retry the job is created again from its
parameters and its last saved cursor: the steps done since then are done twice, which must
leave the same result.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from orthanc_tw.index.gateway import WriteTransaction
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject

if TYPE_CHECKING:
    from orthanc_tw.jobs.query import JobPage, JobQuery


class StepResult(enum.Enum):
    """What a step's Deferred may fire with to ask something of the engine."""

    CHECKPOINT = "checkpoint"


CHECKPOINT: Final = StepResult.CHECKPOINT


class RetryLater(Exception):
    """Raised (or failed with) by a step that is to be tried again after ``delay_s`` seconds."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.reason = reason


class TransientFailure(OrthancError):
    """Raised (or failed with) by a step for what may pass: a peer that does not answer.

    With a `orthanc_tw.jobs.retry.RetryPolicy` for its job the engine makes a new run at the
    last cursor, after the delay of the policy; without one, or after its last attempt, the
    job fails with this code and these details. `RetryLater` is for a kind that knows the
    delay by itself.
    """


@dataclass(slots=True)
class Output:
    """A file a finished job leaves: kept in the job's folder until the job or it is dropped."""

    path: str
    mime: str
    filename: str


@dataclass(slots=True)
class JobContext:
    """What the engine hands to one run of one job.

    :ivar folder: the job's own folder in the storage directory (made on demand by
        ``make_folder``, removed with the job)
    :ivar outputs: filled in by the kind; saved when the job succeeds
    :ivar failed_instances: public id -> reason, filled in by kinds with ``Permissive``
    :ivar in_thread: run a blocking function in a thread, Deferred of its result
    :ivar cancelled: true once cancel or pause was asked for (a long step may look at it)
    :ivar is_final: true once the job will not go on: it was cancelled, and the server does not stop
    :ivar pause_interrupts: set by a kind whose step under way may be cancelled by a pause too
        and done again later (one that waits on the network); otherwise a pause waits for it
    """

    job_id: str
    folder: str
    make_folder: Callable[[], None]
    in_thread: Callable[..., Deferred[Any]]
    outputs: dict[str, Output] = field(default_factory=dict)
    failed_instances: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    is_final: bool = False
    pause_interrupts: bool = False


class Job(Protocol):
    """One run of one job. All methods are called in the reactor thread."""

    def steps(self) -> Iterator[Deferred[Any]]:
        """The steps that remain, from the cursor this run was created with."""
        ...

    def progress(self) -> float:
        """Between 0 and 1."""
        ...

    def cursor(self) -> JsonObject | None:
        """Where a new run would go on; None: from the start."""
        ...

    def content(self) -> JsonObject:
        """The public ``Content`` of the job, as far as it is known."""
        ...

    def abandon(self) -> None:
        """This run ends before its last step (pause, cancel, failure, shutdown): release what
        it holds. What it wrote for its cursor stays; the engine removes the folder itself
        when the job is over.
        """
        ...


class JobKind(Protocol):
    """A type of job."""

    @property
    def type_name(self) -> str:
        """``Type`` in the REST API, such as ``Archive``."""
        ...

    @property
    def is_durable(self) -> bool:
        """Whether its jobs are saved (one that writes to an open HTTP request is not)."""
        ...

    def create(
        self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> Job: ...


@runtime_checkable
class RefusesResubmission(Protocol):
    """A `JobKind` whose failed jobs cannot start over, with the ``Details`` that say so."""

    @property
    def resubmit_refusal(self) -> str: ...


@runtime_checkable
class TouchesResources(Protocol):
    """A `JobKind` whose jobs are about resources: ``GET /jobs?label=`` looks at their labels."""

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """Public ids of the resources a job with these parameters is about."""
        ...


@runtime_checkable
class StoresProvisionally(Protocol):
    """A `JobKind` whose jobs store what goes again unless they succeed."""

    def keeping(self, job_id: str) -> Callable[[WriteTransaction], None]:
        """What makes it stay: goes into the transaction of the row that says ``Success``."""
        ...

    def take_back(self, job_id: str) -> Deferred[None]:
        """The job has failed or was cancelled, whether it ran then or not. Fires when all is
        gone; harmless if there is nothing.
        """
        ...

    def sweep(self) -> Deferred[None]:
        """Take back what is left of jobs that have failed, or are not there any more. Once,
        when the saved jobs are loaded and none runs yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A submission.

    :ivar retry: what to do about a `TransientFailure`; None: as configured for the kind
    :ivar attachment: anything of this process that the job needs (a response to stream to);
        reaches the kind as ``parameters["__attachment__"]``. A job that has one is never
        saved, whatever its kind
    """

    kind: str
    parameters: JsonObject
    priority: int = 0
    user_data: object = None
    has_user_data: bool = False
    attachment: object = None
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended, as `JobsEngine.wait` tells it."""

    job_id: str
    succeeded: bool
    error_code: int
    error_details: str
    content: Mapping[str, Any]


class JobsEngine(Protocol):
    """What the routes see of the engine (reactor thread)."""

    @property
    def is_ready(self) -> bool:
        """Whether the saved jobs are loaded."""
        ...

    def when_ready(self) -> Deferred[None]:
        """Fires when they are; fails if they cannot be."""
        ...

    def submit(self, request: JobRequest) -> Deferred[str]:
        """Queue a job; fires with its id once its row is durable."""
        ...

    def wait(self, job_id: str) -> Deferred[JobResult]:
        """Fires when the job has ended. Cancelling this Deferred does not cancel the job."""
        ...

    def describe(self, job_id: str) -> JsonObject | None:
        """The public JSON of a job, or None."""
        ...

    def list_ids(self) -> list[str]:
        """Sorted, as all lists of jobs are."""
        ...

    def find(self, query: JobQuery) -> Deferred[JobPage]:
        """A page of the list; fails with ValueError if ``after`` is none of its order."""
        ...

    def failed_instances(self, job_id: str) -> Mapping[str, str] | None:
        """Public id to reason, of the instances that failed in a job; None: there is no job."""
        ...

    def describe_all(self) -> list[JsonObject]: ...
    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call ``observer`` with the id of every job that changes or is forgotten; returns
        what ends that.
        """
        ...

    def pause(self, job_id: str) -> Deferred[bool]:
        """False if there is no such job or its state forbids it."""
        ...

    def resume(self, job_id: str) -> Deferred[bool]: ...
    def cancel(self, job_id: str) -> Deferred[bool]: ...
    def resubmit(self, job_id: str) -> Deferred[bool]: ...
    def output(self, job_id: str, key: str) -> Output | None: ...
    def delete_output(self, job_id: str, key: str) -> Deferred[bool]: ...
    def delete(self, job_id: str) -> Deferred[bool]:
        """Remove a finished job and its outputs; False if there is none such or it runs."""
        ...

    def counts(self) -> Mapping[str, int]:
        """``pending``, ``running``, ``success``, ``failed`` now, and ``total_*`` since start."""
        ...
