"""Time limits that change often."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.timeouts import LazyTimeout


class Connection(LazyTimeout):
    def __init__(self, clock):
        self.clock = clock
        self.timed_out = []

    def timeout_clock(self):
        """The test's."""
        return self.clock

    def timeoutConnection(self):
        """Count."""
        self.timed_out.append(self.clock.seconds())


class LazyTimeoutTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.connection = Connection(self.clock)

    def _pass(self, seconds):
        self.clock.pump([0.5] * int(seconds * 2))

    def test_times_out(self):
        """After the limit, once."""
        self.assertIsNone(self.connection.setTimeout(3))
        self._pass(2.5)
        self.assertEqual(self.connection.timed_out, [])
        self._pass(10)
        self.assertEqual(self.connection.timed_out, [3])

    def test_reset(self):
        """A reset begins the time again; without a limit it does nothing."""
        self.connection.resetTimeout()
        self.connection.setTimeout(3)
        self._pass(2)
        self.connection.resetTimeout()
        self._pass(2.5)
        self.assertEqual(self.connection.timed_out, [])
        self._pass(5)
        self.assertEqual(self.connection.timed_out, [5])
        self.connection.resetTimeout()
        self._pass(5)
        self.assertEqual(self.connection.timed_out, [5])

    def test_none(self):
        """Without a limit there is none; the one before is returned."""
        self.connection.setTimeout(3)
        self.assertEqual(self.connection.setTimeout(None), 3)
        self._pass(10)
        self.assertEqual(self.connection.timed_out, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shorter_and_longer(self):
        """A limit that is changed counts from then, be it shorter or longer."""
        self.connection.setTimeout(30)
        self._pass(1)
        self.connection.setTimeout(2)
        self._pass(1)
        self.connection.setTimeout(30)
        self._pass(29)
        self.assertEqual(self.connection.timed_out, [])
        self._pass(1)
        self.assertEqual(self.connection.timed_out, [32])

    def test_set_again(self):
        """None in between, as while a request is answered."""
        for _ in range(100):
            self.connection.setTimeout(None)
            self.connection.setTimeout(2)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self._pass(1)
        self._pass(1)
        self.assertEqual(self.connection.timed_out, [101])

    def test_end(self):
        """Nothing is left when the connection is gone."""
        self.connection.setTimeout(2)
        self.connection.end_timeout()
        self.connection.end_timeout()
        self.assertEqual(self.clock.getDelayedCalls(), [])
