"""Bodies of requests: how they arrive, and where they go."""

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.http import Route
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.rest.echo import echo_site


class BodyTests(SynchronousTestCase):
    def test_content_length(self):
        """A body with a length arrives, in however many pieces."""
        connection = echo_site().connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab")
        connection.send(b"cd")
        self.assertEqual(connection.received(), b"")
        connection.send(b"ef")
        self.assertEqual(connection.answer().body, b"abcdef")

    def test_chunked(self):
        """A chunked body arrives."""
        connection = echo_site().connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
        self.assertEqual(connection.answer().body, b"abcdef")

    def test_absolute_form(self):
        """A target may be a whole URL (RFC 9112, 3.2.2)."""
        connection = echo_site().connect()
        connection.send(b"GET http://x:1/echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(connection.answer().status, 200)
        connection.send(b"GET HTTP://x HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(connection.answer().status, 404)

    def test_form(self):
        """A body is not parsed as a form, whatever its type says (curl -d always says so)."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(echo_site().ask("POST", "/echo", b"a=1&b=2", headers).body, b"a=1&b=2")

    def test_pipelining(self):
        """Several requests on a connection are answered in order."""
        connection = echo_site().connect()
        one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
        connection.send(one + b"1" + one + b"2" + one + b"3")
        self.assertEqual([connection.answer().body for _ in range(3)], [b"1", b"2", b"3"])

    def test_expect(self):
        """A client that waits for 100 gets it, then its answer."""
        connection = echo_site().connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertEqual(connection.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(b"ab")
        self.assertEqual(connection.answer().body, b"ab")

    def test_spool_discarded(self):
        """The spool of a body is gone after the answer, and after its client hung up."""
        site = echo_site()
        site.ask("POST", "/echo", b"abc")
        self.assertEqual(site.storage.spools, set())
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab")
        self.assertEqual(len(site.storage.spools), 1)
        connection.hang_up()
        self.assertEqual(site.storage.spools, set())

    def test_spool_taken(self):
        """A spool that a handler took is not discarded, though the client hangs up."""
        taken = []

        def handler(request):
            taken.append(take_spool(request))
            return Deferred()

        site = InMemorySite(Routes(Route("POST", "/take", handler)))
        connection = site.connect()
        connection.request("POST", "/take", b"abc")
        connection.hang_up()
        self.assertEqual(taken[0].reader().read(), b"abc")
        self.assertFalse(taken[0].discarded)


class ThreadedBodyTests(SynchronousTestCase):
    """Large bodies are written in threads."""

    def setUp(self):
        """A site whose threads run when the test says so."""
        self.waiting = []
        self.site = echo_site(in_thread=self._later)
        self.connection = self.site.connect()

    def _later(self, function, *args):
        self.waiting.append((Deferred(), function, args))
        return self.waiting[-1][0]

    def _work(self):
        running, function, args = self.waiting.pop(0)
        try:
            result = function(*args)
        except Exception:
            running.errback(Failure())
        else:
            running.callback(result)

    def _send(self, size):
        self.connection.send(
            f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        self.body = (b"0123456789" * (size // 10 + 1))[:size]
        for start in range(0, size, 65536):
            self.connection.send(self.body[start : start + 65536])

    def test_arrives(self):
        """A large body arrives whole, in order, whatever the disk's pace."""
        self._send(7_000_003)
        while self.waiting:
            self.assertEqual(self.connection.received(), b"")
            self._work()
        self.assertTrue(self.connection.answer().body == self.body)

    def test_back_pressure(self):
        """The client has to wait while the disk does not follow."""
        self._send(5_000_000)
        self.assertEqual(self.connection.transport.producerState, "producing")
        for _ in range(2):
            self._work()
        self.connection.answer()
        self._send(9_000_000)
        self.assertEqual(self.connection.transport.producerState, "paused")
        self._work()
        self.assertEqual(self.connection.transport.producerState, "producing")

    def test_small(self):
        """A small body needs no thread."""
        self._send(100_000)
        self.assertTrue(self.connection.answer().body == self.body)

    def test_hang_up(self):
        """A client that hangs up amid a write leaves the file to the thread until it is done."""
        self._send(5_000_000)
        self.connection.hang_up()
        self.assertEqual(len(self.site.storage.spools), 1)
        self._work()
        self.assertEqual(self.site.storage.spools, set())
        self.assertEqual(self.waiting, [])

    def test_full_disk(self):
        """A disk that fills up is a 507, amid the body or at its end."""
        self.site.storage.capacity_bytes = 1_500_000
        self._send(3_000_000)
        self._work()
        self.assertEqual(self.connection.answer().status, 507)
        self.assertEqual(self.site.storage.spools, set())

    def test_full_disk_amid_body(self):
        """The client is told as soon as it sends more."""
        self.site.storage.capacity_bytes = 1_500_000
        self.connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        self.connection.send(b"x" * 1_000_000)
        self.connection.send(b"x" * 2_000_000)
        self._work()
        self.assertEqual(self.connection.received(), b"")
        self.connection.send(b"x")
        self.assertEqual(self.connection.answer().status, 507)
        self.assertEqual(self.site.storage.spools, set())
