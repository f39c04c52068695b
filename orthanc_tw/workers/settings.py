"""Options of the pool of workers."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Limits of the pool and of its processes.

    :ivar workers: most processes; each is started when it is first needed
    :ivar memory_bytes: what a process may allocate (RLIMIT_DATA); 0 for no limit
    :ivar deadline_s: time for a task that names none
    :ivar niceness: how much a worker stands back behind the server for the CPU (nice(2))
    :ivar tasks_per_worker: a process is replaced after so many, whatever it has leaked
    :ivar stop_grace_s: what a worker has to end by itself when the pool stops
    """

    workers: int = 2
    memory_bytes: int = 2048 * MB
    deadline_s: float = 300.0
    niceness: int = 5
    tasks_per_worker: int = 20_000
    stop_grace_s: float = 5.0
