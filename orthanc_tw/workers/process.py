"""One worker process, as the pool sees it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.workers.child import ANSWERS_FD, BOOT
from orthanc_tw.workers.frames import BadFrame, FrameReader
from orthanc_tw.workers.settings import WorkerSettings

SpawnProcess = Callable[..., IProcessTransport]

_log = Logger()


class Task:
    """One call: what goes to the worker, and who waits for its result."""

    __slots__ = ("deadline_s", "deferred", "frame", "name", "worker")

    def __init__(
        self,
        name: str,
        frame: bytes,
        deadline_s: float,
        cancelled: Callable[[Task], None],
    ) -> None:
        self.name = name
        self.frame = frame
        self.deadline_s = deadline_s
        self.worker: WorkerProcess | None = None
        self.deferred: Deferred[Any] = Deferred(lambda _: cancelled(self))

    def fire(self, result: Any) -> None:
        """Tell who waits, unless that was cancelled."""
        if not self.deferred.called:
            self.deferred.callback(result)


class Owner(Protocol):
    """What a worker tells."""

    def freed(self, worker: WorkerProcess) -> None:
        """It has answered, and can take another task."""

    def gone(self, worker: WorkerProcess) -> None:
        """Its process has ended."""


class WorkerProcess(ProcessProtocol):
    """A process that has one task at a time. All methods: reactor thread."""

    def __init__(self, owner: Owner, clock: IReactorTime) -> None:
        self._owner = owner
        self._clock = clock
        self._reader = FrameReader()
        self._task: Task | None = None
        self._deadline: IDelayedCall | None = None
        self._reason: OrthancError | None = None
        self._is_retiring = False

    def start(self, spawn: SpawnProcess, settings: WorkerSettings) -> None:
        """Start the process, with three pipes and nothing else of the server.

        :raises OSError: if there can be no process
        """
        limits = (settings.memory_bytes, settings.niceness, settings.tasks_per_worker)
        spawn(
            self,
            sys.executable,
            [sys.executable, "-I", "-c", BOOT, json.dumps(_search_path()), *map(str, limits)],
            env={name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ},
            childFDs={0: "w", 1: "r", 2: "r", ANSWERS_FD: "r"},
        )

    @property
    def pid(self) -> int | None:
        """The id of the process, None if there is none."""
        pid: int | None = getattr(self.transport, "pid", None)
        return pid

    def give(self, task: Task) -> None:
        """Hand over a task; the time that it has begins."""
        assert self._task is None and self.transport is not None
        self._task = task
        task.worker = self
        self._deadline = self._clock.callLater(task.deadline_s, self._late, task)
        self.transport.writeToChild(0, task.frame)

    def retire(self) -> None:
        """Close the pipe, at which the process ends; a task under way is cut short."""
        self._is_retiring = True
        self._reason = OrthancError(ErrorCode.CANCELED_JOB)
        if self.transport is not None:
            self.transport.closeChildFD(0)

    def kill(self, reason: OrthancError) -> None:
        """End the process now; a task under way fails with ``reason``."""
        self._reason = self._reason or reason
        self._is_retiring = True
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def _late(self, task: Task) -> None:
        self._deadline = None
        self.kill(
            OrthancError(ErrorCode.TIMEOUT, f"A task took more than {task.deadline_s:g} seconds")
        )

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """An answer, or what a library prints."""
        if childFD != ANSWERS_FD:
            text = data.decode("utf-8", "replace").rstrip()
            _log.warn("Worker {pid} prints: {text}", pid=self.pid, text=text[:4000])
            return
        try:
            for answer in self._reader.feed(data):
                self._answered(answer)
        except (BadFrame, TypeError, ValueError, LookupError) as error:
            _log.error("Worker {pid} answers nonsense: {error}", pid=self.pid, error=error)
            self.kill(_died())

    def _answered(self, answer: Sequence[Any]) -> None:
        is_last, is_good, *rest = answer
        task = self._take()
        if task is None:
            raise ValueError("nobody has asked")
        self._is_retiring = self._is_retiring or bool(is_last)
        result = rest[0] if is_good else Failure(_error(task.name, rest))
        if not self._is_retiring:
            self._owner.freed(self)
        task.fire(result)

    def _take(self) -> Task | None:
        task, self._task = self._task, None
        if task is not None:
            task.worker = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return task

    def processEnded(self, reason: Failure) -> None:
        """The process is gone, and all it has written was read."""
        task = self._take()
        if task is not None:
            if self._reason is None:
                _log.error(
                    "Worker ended amid {task}: {reason}", task=task.name, reason=reason.value
                )
            task.fire(Failure(self._reason or _died()))
        self._owner.gone(self)


def _search_path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path]


def _died() -> OrthancError:
    return OrthancError(ErrorCode.INTERNAL_ERROR, "The process that worked on this has died")


def _error(name: str, rest: Sequence[Any]) -> OrthancError:
    code, details, http_status, trace = rest
    if trace:
        _log.error("The task {task} failed: {trace}", task=name, trace=trace)
    return OrthancError(ErrorCode(code), details, http_status=http_status)
