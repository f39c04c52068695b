"""What a failed start looks like, in memory; test_twistd.py looks at real processes."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.guard import Refusal, StartupGuard, exit_with_status_1
from orthanc_tw.startup import StartupError


class Reactor:
    """Records what is asked of it."""

    def __init__(self, running: bool) -> None:
        self.running = running
        self.stopped = 0
        self.later: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Count."""
        self.stopped += 1

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        """Keep."""
        self.later.append(function)


class Server(Service):
    """Fails when it is told to."""

    def __init__(self, now: Exception | None = None, privileged: Exception | None = None) -> None:
        self.now = now
        self.privileged = privileged
        self.started: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        """Raise what was given."""
        if self.privileged:
            raise self.privileged

    def startService(self) -> None:
        """Raise what was given."""
        super().startService()
        if self.now:
            raise self.now

    def when_started(self) -> Deferred[None]:
        """What the test fires."""
        return self.started


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A place for what is told, and for what is to be done at exit."""
        self.stderr = StringIO()
        self.at_exit: list[Callable[[], None]] = []

    def guard(self, *servers: Service, running: bool = True) -> StartupGuard:
        """A guard with services in it."""
        self.reactor = Reactor(running)
        guard = StartupGuard(self.reactor, self.stderr, self.at_exit.append)
        for server in servers:
            server.setServiceParent(guard)
        return guard

    def test_startup_error(self) -> None:
        """A StartupError becomes one line, and an exception that ends twistd quietly."""
        guard = self.guard(Server(now=StartupError("/data: not\nwritable")))
        refusal = self.assertRaises(Refusal, guard.startService)
        self.assertEqual(self.stderr.getvalue(), "twistd orthanc: /data: not writable\n")
        self.assertIsInstance(refusal, UsageError)
        self.assertIsInstance(refusal, SystemExit)
        self.assertEqual(refusal.code, 1)

    def test_port_in_use(self) -> None:
        """A port that cannot be opened is named, with the reason."""
        error = CannotListenError("", 8042, OSError(98, "Address already in use"))
        guard = self.guard(Server(privileged=error))
        self.assertRaises(Refusal, guard.privilegedStartService)
        self.assertEqual(
            self.stderr.getvalue(),
            "twistd orthanc: cannot listen on *:8042: [Errno 98] Address already in use\n",
        )

    def test_others_are_stopped(self) -> None:
        """What had started before the failure is stopped, so that no thread lives on."""
        first = Server()
        guard = self.guard(first, Server(now=StartupError("x")))
        self.assertRaises(Refusal, guard.startService)
        self.assertFalse(first.running)

    def test_bugs_stay_visible(self) -> None:
        """Another exception is a mistake of the program: it keeps its traceback."""
        guard = self.guard(Server(now=RuntimeError("x")))
        self.assertRaises(RuntimeError, guard.startService)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_late_failure(self) -> None:
        """A failure after the reactor started stops it, and chooses the status at exit."""
        server = Server()
        self.guard(server).startService()
        server.started.errback(StartupError("database of version 99"))
        self.assertEqual(self.stderr.getvalue(), "twistd orthanc: database of version 99\n")
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(self.at_exit, [exit_with_status_1])

    def test_failure_before_the_reactor_runs(self) -> None:
        """A Deferred that has failed already waits for the reactor before it stops it."""
        server = Server()
        server.started.errback(StartupError("x"))
        self.guard(server, running=False).startService()
        self.assertEqual(self.reactor.stopped, 0)
        (later,) = self.reactor.later
        later()
        self.assertEqual(self.reactor.stopped, 1)

    def test_late_bug(self) -> None:
        """A late failure of another kind stops the server too, and is logged in full."""
        server = Server()
        self.guard(server).startService()
        server.started.errback(RuntimeError("bug"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.reactor.stopped, 1)

    def test_success(self) -> None:
        """A server that starts is left alone."""
        server = Server()
        self.guard(server).startService()
        server.started.callback(None)
        self.assertEqual((self.stderr.getvalue(), self.reactor.stopped), ("", 0))
        self.assertEqual(self.at_exit, [])
