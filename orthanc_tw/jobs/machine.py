"""The states of a job and what leads from one to another, and nothing else.

A transition has one effect: the state recorded in what has it (`HasState`). Rows, queues and runs
belong to the engine, which asks here first. An event that the table does not list for the
current state raises ``automat.NoTransition`` and changes nothing. A job begins as
``Pending`` when it is submitted, or in the state it was saved with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from automat import NoTransition, TypeMachineBuilder

from orthanc_tw.model.jobs import JobState


class JobEvents(Protocol):
    """What may happen to a job."""

    def picked(self) -> None:
        """A slot of the scheduler begins a run of it."""

    def done(self) -> None:
        """Its last step has succeeded and its final row is durable."""

    def failed(self) -> None:
        """A step has failed for good."""

    def postponed(self) -> None:
        """A step asked to be tried again after a delay."""

    def delay_over(self) -> None:
        """The delay of a postponed step has passed."""

    def pause(self) -> None:
        """Somebody wants it to wait (a running job: between two steps)."""

    def resume(self) -> None:
        """Somebody wants a paused job to go on."""

    def resubmit(self) -> None:
        """Somebody wants a failed job to start over."""

    def cancel(self) -> None:
        """Somebody wants it to end (a running job: between two steps)."""


class HasState(Protocol):
    """What a machine keeps its state in."""

    state: JobState


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table."""

    source: JobState
    event: Callable[[JobEvents], None]
    target: JobState

    @property
    def event_name(self) -> str:
        """Name of the method of `JobEvents`."""
        return self.event.__name__


_P, _R, _S = JobState.PENDING, JobState.RUNNING, JobState.SUCCESS
_F, _H, _T = JobState.FAILURE, JobState.PAUSED, JobState.RETRY

TRANSITIONS: tuple[Transition, ...] = (
    Transition(_P, JobEvents.picked, _R),
    Transition(_R, JobEvents.done, _S),
    Transition(_R, JobEvents.failed, _F),
    Transition(_R, JobEvents.postponed, _T),
    Transition(_T, JobEvents.delay_over, _P),
    Transition(_P, JobEvents.pause, _H),
    Transition(_R, JobEvents.pause, _H),
    Transition(_T, JobEvents.pause, _H),
    Transition(_H, JobEvents.resume, _P),
    Transition(_F, JobEvents.resubmit, _P),
    Transition(_P, JobEvents.cancel, _F),
    Transition(_R, JobEvents.cancel, _F),
    Transition(_T, JobEvents.cancel, _F),
    Transition(_H, JobEvents.cancel, _F),
)


def _effect(target: JobState) -> Callable[[JobEvents, HasState], None]:
    def enter(events: JobEvents, lifecycle: HasState) -> None:
        lifecycle.state = target

    return enter


def _machine(initial: JobState) -> Callable[[HasState], JobEvents]:
    """Build the machine that starts in ``initial`` (Automat takes the first state for it)."""
    builder = TypeMachineBuilder(JobEvents, HasState)  # type: ignore[type-abstract]
    order = [initial, *(state for state in JobState if state is not initial)]
    states = {state: builder.state(state.value) for state in order}
    for line in TRANSITIONS:
        states[line.source].upon(line.event).to(states[line.target])(_effect(line.target))
    return builder.build()


_MACHINES = {state: _machine(state) for state in JobState}


def events_of(job: HasState) -> JobEvents:
    """The machine of a job in the state it has now: made when it is needed, a job has none."""
    return _MACHINES[job.state](job)


def accepts(event: Callable[[], None]) -> bool:
    """Send an event (``entry.events.pause``); False if the state does not allow it."""
    try:
        event()
    except NoTransition:
        return False
    return True
