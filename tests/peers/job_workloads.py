"""The jobs of the fault-injection run: one `Workload` a kind of job.

To add one is to add a line to `WORKLOADS`: a name, and what to ask of the server about a study.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.data import make_instance

INSTANCES = 24
SIZE = 192


@dataclass(frozen=True)
class Workload:
    """A kind of job.

    :ivar request: path and body of the POST that submits it, of the public id of a study
    :ivar changes: whether it changes what is stored: each such job gets a study of its own
    """

    name: str
    request: Callable[[str], tuple[str, dict[str, Any]]]
    changes: bool = False


WORKLOADS = [
    Workload("archive", lambda study: (f"/studies/{study}/archive", {})),
    Workload("media", lambda study: (f"/studies/{study}/media", {"Extended": True})),
    Workload("archives of tools", lambda study: ("/tools/create-archive", {"Resources": [study]})),
]


def study_content(number: int) -> list[bytes]:
    """The files of a study, the same for the same number."""
    return [make_instance(number, 1 + n % 2, n, SIZE).content for n in range(INSTANCES)]
