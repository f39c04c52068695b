"""The job state machine as text for the documentation, made from the machine's own table."""

from __future__ import annotations

from orthanc_tw.jobs.machine import TRANSITIONS, JobEvents
from orthanc_tw.model.jobs import JobState


def _events() -> list[str]:
    return [name for name in vars(JobEvents) if not name.startswith("_")]


def state_diagram() -> str:
    """Graphviz source (``.. graphviz::``): one edge a pair of states, labelled by events."""
    edges: dict[tuple[JobState, JobState], list[str]] = {}
    for line in TRANSITIONS:
        edges.setdefault((line.source, line.target), []).append(line.event_name)
    drawn = [
        f'  {source.value} -> {target.value} [label="{", ".join(names)}"];'
        for (source, target), names in edges.items()
    ]
    shapes = [
        f"  {state.value} [shape={'doubleoctagon' if state.is_final else 'box'}];"
        for state in JobState
    ]
    start = ["  submitted [shape=point];", f"  submitted -> {JobState.PENDING.value};"]
    return "\n".join(["digraph job {", "  rankdir=LR;", *shapes, *start, *drawn, "}"]) + "\n"


def state_table() -> str:
    """A reStructuredText table: a row a state, a column an event; empty where it is refused."""
    targets = {(line.source, line.event_name): line.target.value for line in TRANSITIONS}
    header = ["State", *(f"``{name}``" for name in _events())]
    rows = [
        [state.value, *(targets.get((state, name), "") for name in _events())] for state in JobState
    ]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
