"""Threads of the server, and how they reach the reactor thread."""

import threading

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.threads import Mailbox, Threads


class MailboxTests(SynchronousTestCase):
    def setUp(self):
        self.calls = []
        self.seen = []
        self.mailbox = Mailbox(self.calls.append)

    def test_one_call_for_many(self):
        """What is told before the reactor gets to it costs one call, and keeps its order."""
        for number in range(5):
            self.mailbox.tell(self.seen.append, number)
        (call,) = self.calls
        call()
        self.assertEqual(self.seen, [0, 1, 2, 3, 4])

    def test_told_afterwards(self):
        """What is told later calls again; what is told meanwhile is delivered."""
        self.mailbox.tell(lambda: self.mailbox.tell(self.seen.append, "meanwhile"))
        self.calls[0]()
        self.assertEqual(self.seen, ["meanwhile"])
        before = len(self.calls)
        for call in self.calls[1:]:
            call()
        self.mailbox.tell(self.seen.append, "later")
        self.assertEqual(len(self.calls), before + 1)
        self.calls[-1]()
        self.assertEqual(self.seen, ["meanwhile", "later"])

    def test_error(self):
        """A call that raises is logged, and the others are made."""
        self.mailbox.tell(lambda: 1 / 0)
        self.mailbox.tell(self.seen.append, 1)
        self.calls[0]()
        self.assertEqual(self.seen, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ThreadsTests(SynchronousTestCase):
    def setUp(self):
        self.told = []
        self.threads = Threads(2, lambda function, *args: self.told.append((function, args)))

    def _deliver(self):
        self.threads.stop()
        for function, args in self.told:
            function(*args)

    def test_run(self):
        """The result is told by a Deferred, which fires where it is delivered."""
        running = self.threads.run(lambda a, b: (threading.current_thread(), a, b), 1, b=2)
        failing = self.threads.run(lambda: 1 / 0)
        self.threads.stop()
        self.assertNoResult(running)
        self._deliver()
        thread, *arguments = self.successResultOf(running)
        self.assertIsNot(thread, threading.current_thread())
        self.assertEqual(arguments, [1, 2])
        self.failureResultOf(failing, ZeroDivisionError)

    def test_spawn(self):
        """Only a failure is told of."""
        done, failures = [], []
        self.threads.spawn(lambda: done.append(1), failures.append)
        self.threads.spawn(lambda: 1 / 0, failures.append)
        self._deliver()
        self.assertEqual(done, [1])
        (failure,) = failures
        self.assertIsInstance(failure, Failure)
        failure.trap(ZeroDivisionError)

    def test_stop(self):
        """What was given before is done."""
        done = []
        for number in range(50):
            self.threads.spawn(lambda number=number: done.append(number), self.fail)
        self.threads.stop()
        self.assertEqual(sorted(done), list(range(50)))

    def test_stopped(self):
        """What comes too late is told so, and is not run."""
        failures = []
        self.threads.stop()
        self.failureResultOf(self.threads.run(self.fail), CancelledError)
        self.threads.spawn(self.fail, failures.append)
        self.assertIs(failures[0].type, CancelledError)
