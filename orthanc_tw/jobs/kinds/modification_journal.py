"""The two files in the folder of a modification: what is to be done, and what was done.

The plan is made once and durable before anything is modified. The journal gets a line for each
instance, after its result is durable; a line that is lost is work done twice, which leaves the
same result. Every function blocks, but a line is a write to the cache of the system.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

from orthanc_tw.core.modification.instances import Ids, Modified
from orthanc_tw.core.modification.plan import PlannedInstance
from orthanc_tw.model.errors import ErrorCode, OrthancError

_PLAN = "plan.jsonl"
_JOURNAL = "journal.jsonl"
_MEMBERS = "members.txt"


def members_path(folder: str) -> str:
    """Where the UIDs of a job stand, in its folder."""
    return os.path.join(folder, _MEMBERS)


def write_plan(folder: str, planned: Sequence[PlannedInstance]) -> None:
    """Make a plan durable, and begin with an empty journal."""
    with open(os.path.join(folder, _PLAN), "w", encoding="ascii") as file:
        file.writelines(json.dumps([*one.ids, one.file]) + "\n" for one in planned)
        file.flush()
        os.fsync(file.fileno())
    with open(os.path.join(folder, _JOURNAL), "wb"):
        pass
    _sync_folder(folder)
    _sync_folder(os.path.dirname(folder))


def read_plan(folder: str) -> list[PlannedInstance]:
    """The plan.

    :raises OrthancError: INEXISTENT_FILE if it is lost
    """
    try:
        with open(os.path.join(folder, _PLAN), encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
    except FileNotFoundError:
        raise OrthancError(ErrorCode.INEXISTENT_FILE, "The plan of the job is lost") from None
    return [PlannedInstance(cast(Ids, tuple(line[:4])), line[4]) for line in lines]


class Journal:
    """Appends to the journal of a job."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, _JOURNAL)
        self._fd = -1

    def open(self) -> list[tuple[int, Modified | str]]:
        """Open for appending; what it holds: numbers in the plan, and results or failures.

        A last line that is not whole (the process was killed) is cut off.
        """
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(self._path, "rb") as file:
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        os.ftruncate(self._fd, len(whole))
        return list(_entries(whole))

    def add(self, number: int, outcome: Modified | str) -> None:
        """Note what has become of an instance: its result, or why it failed."""
        line: list[Any] = [number]
        if isinstance(outcome, str):
            line.append(outcome)
        else:
            line += [outcome.file, outcome.result, outcome.dropped]
        os.write(self._fd, json.dumps(line).encode("ascii") + b"\n")

    def sync(self) -> None:
        """Make it durable."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close it; harmless if it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _entries(data: bytes) -> Iterator[tuple[int, Modified | str]]:
    for text in data.splitlines():
        line = json.loads(text)
        if len(line) == 2:
            yield line[0], line[1]
        else:
            number, file, result, dropped = line
            ids = None if result is None else cast(Ids, tuple(result))
            yield number, Modified(file, ids, dropped)


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
