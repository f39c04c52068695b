"""A pool of worker processes with a limit of memory, a deadline a task, and a Deferred a result."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.workers.frames import pack
from orthanc_tw.workers.process import SpawnProcess, Task, WorkerProcess
from orthanc_tw.workers.settings import WorkerSettings


class WorkerPool:
    """Calls functions in worker processes. All methods: reactor thread.

    A process is started when a task finds none free, and replaced when it has died. It is
    given the search path and nothing else: no configuration, no socket, no environment.

    :param spawn: ``reactor.spawnProcess``
    :param clock: for the deadlines
    """

    def __init__(self, spawn: SpawnProcess, clock: IReactorTime, settings: WorkerSettings) -> None:
        self._spawn = spawn
        self._clock = clock
        self._settings = settings
        self._waiting: deque[Task] = deque()
        self._workers: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._stopped: Deferred[None] | None = None

    @property
    def size(self) -> int:
        """The most tasks that are worked on at once."""
        return self._settings.workers

    @property
    def pids(self) -> list[int]:
        """The ids of the processes there are."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def run(
        self, function: str, args: Sequence[Any] = (), *, deadline_s: float | None = None
    ) -> Deferred[Any]:
        """Call a function of an importable module in a worker; Deferred of what it returns.

        Cancelling the Deferred drops a task that waits, and kills the worker of one under way.

        :param function: ``"package.module:function"``
        :param args: plain values, as is the result: None, Booleans, numbers, text, bytes,
            lists and dictionaries of these. What is large goes through files
        :param deadline_s: counted from when a worker takes the task, seconds
        :raises TypeError: if the arguments are no plain values
        :raises OrthancError: (as failures) what the function raised; INTERNAL_ERROR for
            anything else, which is logged, and if its process dies; NOT_ENOUGH_MEMORY;
            TIMEOUT. CancelledError after `stop`
        """
        if self._stopped is not None:
            return fail(CancelledError())
        frame = pack([function, list(args)])
        time_s = self._settings.deadline_s if deadline_s is None else deadline_s
        task = Task(function, frame, time_s, self._cancelled)
        self._waiting.append(task)
        self._hand_out()
        return task.deferred

    def stop(self) -> Deferred[None]:
        """End the processes; what waits fails with CancelledError. Fires when none is left."""
        if self._stopped is None:
            self._stopped = Deferred()
            while self._waiting:
                self._waiting.popleft().fire(Failure(CancelledError()))
            for worker in self._workers:
                worker.retire()
            impatience = self._clock.callLater(self._settings.stop_grace_s, self._kill_all)

            def patient(_: None) -> None:
                if impatience.active():
                    impatience.cancel()

            self._stopped.addCallback(patient)
            if not self._workers:
                self._stopped.callback(None)
        stopped: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: stopped.callback(None))
        return stopped

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill(OrthancError(ErrorCode.CANCELED_JOB))

    def _hand_out(self) -> None:
        while self._waiting:
            if not self._idle:
                if len(self._workers) >= self._settings.workers:
                    return
                self._start()
            else:
                self._idle.pop().give(self._waiting.popleft())

    def _start(self) -> None:
        """Start one more process; that it cannot be is the failure of the next task."""
        worker = WorkerProcess(self, self._clock)
        try:
            worker.start(self._spawn, self._settings)
        except OSError as error:
            details = f"No worker process can be started: {error.strerror}"
            failure = Failure(OrthancError(ErrorCode.SYSTEM_COMMAND, details))
            self._waiting.popleft().fire(failure)
        else:
            self._workers.add(worker)
            self._idle.append(worker)

    def _cancelled(self, task: Task) -> None:
        if task.worker is not None:
            task.worker.kill(OrthancError(ErrorCode.CANCELED_JOB))
        elif task in self._waiting:
            self._waiting.remove(task)

    def freed(self, worker: WorkerProcess) -> None:
        """See `process.Owner`."""
        if self._stopped is not None:
            return
        self._idle.append(worker)
        self._hand_out()

    def gone(self, worker: WorkerProcess) -> None:
        """See `process.Owner`."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if self._stopped is not None:
            if not self._workers and not self._stopped.called:
                self._stopped.callback(None)
            return
        self._hand_out()
