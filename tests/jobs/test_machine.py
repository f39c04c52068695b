import os
from dataclasses import dataclass

from automat import NoTransition
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.diagram import state_diagram, state_table
from orthanc_tw.jobs.machine import JobEvents, accepts, events_of
from orthanc_tw.model.jobs import JobState

# Written out by hand, on purpose: the other source of what the machine's own table says.
ALLOWED = {
    ("Pending", "picked"): "Running",
    ("Pending", "pause"): "Paused",
    ("Pending", "cancel"): "Failure",
    ("Running", "done"): "Success",
    ("Running", "failed"): "Failure",
    ("Running", "postponed"): "Retry",
    ("Running", "pause"): "Paused",
    ("Running", "cancel"): "Failure",
    ("Retry", "delay_over"): "Pending",
    ("Retry", "pause"): "Paused",
    ("Retry", "cancel"): "Failure",
    ("Paused", "resume"): "Pending",
    ("Paused", "cancel"): "Failure",
    ("Failure", "resubmit"): "Pending",
}
EVENTS = [name for name in vars(JobEvents) if not name.startswith("_")]


@dataclass
class Lifecycle:
    """Where a job stands."""

    state: JobState


class MachineTests(SynchronousTestCase):
    def test_every_state_and_event(self) -> None:
        """In each state, an event of the table leads on; any other is refused, nothing changes."""
        self.assertEqual(len(EVENTS), 9)
        for state in JobState:
            for event in EVENTS:
                events = events_of(lifecycle := Lifecycle(state))
                target = ALLOWED.get((state.value, event))
                with self.subTest(state=state, event=event):
                    if target is None:
                        self.assertRaises(NoTransition, getattr(events, event))
                        self.assertIs(lifecycle.state, state)
                        self.assertFalse(accepts(getattr(events, event)))
                    else:
                        getattr(events, event)()
                        self.assertEqual(lifecycle.state.value, target)

    def test_goes_on_after_a_refusal(self) -> None:
        """A refused event leaves the machine where it was, not only what it shows."""
        events = events_of(lifecycle := Lifecycle(JobState.PENDING))
        self.assertFalse(accepts(events.resume))
        self.assertTrue(accepts(events.picked))
        self.assertFalse(accepts(events.resubmit))
        self.assertTrue(accepts(events.done))
        self.assertIs(lifecycle.state, JobState.SUCCESS)

    def test_machines_are_separate(self) -> None:
        """Each job has its own."""
        first, second = Lifecycle(JobState.PENDING), Lifecycle(JobState.PENDING)
        events_of(second)
        events_of(first).picked()
        self.assertIs(first.state, JobState.RUNNING)
        self.assertIs(second.state, JobState.PENDING)

    def test_diagram(self) -> None:
        """The diagram has an arrow for each allowed event, and no other."""
        drawn = set()
        for line in state_diagram().splitlines():
            if " -> " in line and "[label=" in line:
                source, _, rest = line.strip().partition(" -> ")
                target, _, label = rest.partition(" [label=")
                for event in label.strip('"];').split(", "):
                    drawn.add(((source, event), target))
        self.assertEqual(drawn, set(ALLOWED.items()))

    def test_table(self) -> None:
        """The table has a row a state and a cell an event."""
        lines = state_table().splitlines()
        rows = [line for line in lines if line.startswith("   * - ")]
        self.assertEqual([row[7:] for row in rows], ["State", *(s.value for s in JobState)])
        self.assertEqual(len([li for li in lines if li.startswith("     -")]), 7 * 9)

    def test_documentation(self) -> None:
        """The page about jobs shows the machine as it is."""
        page = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "jobs.rst")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(state_table(), text)
        self.assertIn("".join(f"    {line}\n" for line in state_diagram().splitlines()), text)
