"""Turns a failed start into one line on stderr and exit status 1.

twistd would show a traceback for what a service raises while it starts, and exit with 0 if
the reactor is stopped later because of it.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from orthanc_tw.startup import StartupError

LINE = "twistd orthanc: {}"


class Refusal(UsageError, SystemExit):
    """Ends the process with status 1 and without a traceback, the reason already told.

    A SystemExit, so that the interpreter exits quietly; an Exception too, so that twistd
    reports it through its status pipe if it runs as a daemon, and removes its PID file.
    """

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.code = 1


def refuse(error: BaseException, stderr: TextIO | None = None) -> Refusal:
    """Tell why the server does not start; raise what is returned.

    :param stderr: where to; twistd redirects ``sys.stderr`` to its log, so the real one
    """
    reason = LINE.format(describe(error))
    _tell(reason, stderr)
    return Refusal(reason)


def describe(error: BaseException) -> str:
    """One line for the person who started the server."""
    if isinstance(error, CannotListenError):
        where = f"{error.interface or '*'}:{error.port}"
        return f"cannot listen on {where}: {error.socketError}"
    return str(error)


def exit_with_status_1() -> None:
    """The process ends with status 1 once the interpreter has shut down.

    twistd gives no way to choose the status of a reactor that was stopped in order, and it
    logs and drops a SystemExit that is raised from within. By now threads are joined and
    logs are written, so that nothing is lost by leaving here.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(1)


def _tell(line: str, stderr: TextIO | None) -> None:
    stream = sys.__stderr__ if stderr is None else stderr
    if stream is not None:  # there is none under some supervisors
        stream.write(f"{line}\n")
        stream.flush()


class StartupGuard(MultiService):
    """The parent of the main service.

    If the main service has a method ``when_started``, it is called after ``startService`` and
    gives a Deferred that fires with None once the server serves, or fails.

    :param on_application: called with what becomes its parent
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        stderr: TextIO | None = None,
        at_exit: Callable[[Callable[[], None]], object] = atexit.register,
        on_application: Callable[[object], None] = lambda application: None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._on_application = on_application
        self._reactor = reactor
        self._stderr = stderr
        self._at_exit = at_exit

    def setServiceParent(self, parent: Any) -> None:
        """Join the application that twistd runs, and tell of it while its log is not open."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        self._on_application(parent)

    def privilegedStartService(self) -> None:
        """Open what needs privileges, such as ports below 1024."""
        self._attempt(super().privilegedStartService)

    def startService(self) -> None:
        """Start the server, and watch what of it starts later."""
        self._attempt(super().startService)
        for child in self:
            when_started = getattr(child, "when_started", None)
            if when_started is not None:
                started: Deferred[None] = when_started()
                started.addErrback(self._failed_late)

    def _attempt(self, start: Callable[[], None]) -> None:
        try:
            start()
        except (StartupError, CannotListenError) as error:
            self._abandon()
            raise refuse(error, self._stderr) from None

    def _abandon(self) -> None:
        """Stop what did start: a thread that waits for work would keep the process alive."""
        for child in reversed(list(self)):
            self._stop_quietly(IService(child))

    def _stop_quietly(self, service: IService) -> None:
        try:
            service.stopService()
        except Exception:
            # The first error is the one to tell; this one is its consequence.
            self._log.failure("While stopping what had started")

    def _failed_late(self, failure: Failure) -> None:
        error = failure.value or StartupError("no reason is known")
        if not isinstance(error, StartupError | CannotListenError):
            self._log.failure("The server cannot start", failure)
        line = LINE.format(describe(error))
        self._log.critical("{line}", line=line)
        _tell(line, self._stderr)
        self._at_exit(exit_with_status_1)
        if self._reactor.running:
            self._reactor.stop()
        else:
            self._reactor.callWhenRunning(self._reactor.stop)
