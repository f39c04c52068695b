"""The jobs of the fault-injection run: one `Workload` a kind of job.

To add one is to add a line to `WORKLOADS`: a name, and what to ask of the server about a study.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.data import make_instance

#: Symbolic name of the modality that takes what is sent.
MODALITY = "peer"
INSTANCES = 24
SIZE = 192


class Other(enum.Enum):
    """What a request names beside its study."""

    NOTHING = enum.auto()
    SERIES = enum.auto()
    STUDY = enum.auto()


@dataclass(frozen=True)
class Workload:
    """A kind of job.

    :ivar request: path and body of the POST that submits it, of the public ids of a study and of
        what it names beside ('' for nothing)
    :ivar changes: whether it changes what is stored: each such job gets a study of its own
    :ivar other: a series of the study, or another study of its own
    """

    name: str
    request: Callable[[str, str], tuple[str, dict[str, Any]]]
    changes: bool = False
    other: Other = Other.NOTHING


def _modify(study: str, _: str) -> tuple[str, dict[str, Any]]:
    body = {"Replace": {"StudyDescription": "Changed"}, "KeepSource": False}
    return f"/studies/{study}/modify", body


def _anonymize(study: str, _: str) -> tuple[str, dict[str, Any]]:
    return f"/studies/{study}/anonymize", {"Replace": {"PatientName": "Nobody"}}


def _split(study: str, series: str) -> tuple[str, dict[str, Any]]:
    return f"/studies/{study}/split", {"Series": [series], "Replace": {"PatientName": "Split"}}


WORKLOADS = [
    Workload("archive", lambda study, _: (f"/studies/{study}/archive", {})),
    Workload("modification", _modify, changes=True),
    Workload("sending", lambda study, _: (f"/modalities/{MODALITY}/store", {"Resources": [study]})),
    Workload("split", _split, changes=True, other=Other.SERIES),
    Workload("media", lambda study, _: (f"/studies/{study}/media", {"Extended": True})),
    Workload("anonymization", _anonymize, changes=True),
    Workload(
        "merge",
        lambda study, other: (f"/studies/{study}/merge", {"Resources": [other]}),
        changes=True,
        other=Other.STUDY,
    ),
    Workload(
        "archives of tools", lambda study, _: ("/tools/create-archive", {"Resources": [study]})
    ),
]


def study_content(number: int) -> list[bytes]:
    """The files of a study, the same for the same number."""
    return [make_instance(number, 1 + n % 2, n, SIZE).content for n in range(INSTANCES)]
