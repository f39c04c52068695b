"""Connections, limits, early refusals and authentication of the HTTP server."""

import base64
import json
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from orthanc_tw.rest.auth import AuthSettings, is_loopback, user_name
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.http import Route, read_body, text_body
from orthanc_tw.rest.site import LINGER_S, SiteSettings
from orthanc_tw.testing.requests import InMemorySite, Routes

RECORDING = Path(__file__).parents[1] / "reference" / "recordings" / "50-authentication.json"


@implementer(ITCPTransport)
class TcpTransport(StringTransport):
    no_delay = False
    is_half_closed = False

    def loseWriteConnection(self):
        """Remember."""
        self.is_half_closed = True

    def setTcpNoDelay(self, enabled):
        """Remember."""
        self.no_delay = enabled


def echo(request):
    return text_body(request, read_body(request).decode())


def make(**options):
    return InMemorySite(
        Routes(Route("POST", "/echo", echo), Route("GET", "/echo", echo)), **options
    )


class BodyTests(SynchronousTestCase):
    def test_content_length(self):
        """A body with a length arrives, in however many pieces."""
        connection = make().connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab")
        connection.send(b"cd")
        self.assertEqual(connection.received(), b"")
        connection.send(b"ef")
        self.assertEqual(connection.answer().body, b"abcdef")

    def test_chunked(self):
        """A chunked body arrives."""
        connection = make().connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
        self.assertEqual(connection.answer().body, b"abcdef")

    def test_absolute_form(self):
        """A target may be a whole URL (RFC 9112, 3.2.2)."""
        connection = make().connect()
        connection.send(b"GET http://x:1/echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(connection.answer().status, 200)
        connection.send(b"GET HTTP://x HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(connection.answer().status, 404)

    def test_form(self):
        """A body is not parsed as a form, whatever its type says (curl -d always says so)."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(make().ask("POST", "/echo", b"a=1&b=2", headers).body, b"a=1&b=2")

    def test_pipelining(self):
        """Several requests on a connection are answered in order."""
        connection = make().connect()
        one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
        connection.send(one + b"1" + one + b"2" + one + b"3")
        self.assertEqual([connection.answer().body for _ in range(3)], [b"1", b"2", b"3"])

    def test_expect(self):
        """A client that waits for 100 gets it, then its answer."""
        connection = make().connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertEqual(connection.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(b"ab")
        self.assertEqual(connection.answer().body, b"ab")

    def test_spool_discarded(self):
        """The spool of a body is gone after the answer, and after its client hung up."""
        site = make()
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
        self.site = make(in_thread=self._later)
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


class LimitTests(SynchronousTestCase):
    settings = SiteSettings(maximum_body_bytes=10)

    def test_within(self):
        """A body of just the limit is taken."""
        answer = make(settings=self.settings).ask("POST", "/echo", b"x" * 10)
        self.assertEqual(answer.status, 200)

    def _check(self, connection, site):
        answer = connection.answer()
        self.assertEqual(answer.status, 413)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.json()["HttpStatus"], 413)
        self.assertIn("MaximumRequestBodySizeMB", answer.json()["Details"])
        self.assertEqual(site.storage.spools, set())
        # What the client still sends is thrown away; then the connection is closed.
        connection.send(b"x" * 1000)
        self.assertFalse(connection.transport.disconnecting)
        self.assertEqual(connection.received(), b"")
        site.clock.advance(LINGER_S)
        self.assertTrue(connection.transport.disconnecting)

    def test_declared(self):
        """A length over the limit is refused before any of the body is there."""
        site = make(settings=self.settings)
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        self._check(connection, site)

    def test_declared_with_expect(self):
        """A refused client that waits for 100 does not get it."""
        site = make(settings=self.settings)
        connection = site.connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertNotIn(b"100 Continue", connection.received())
        self._check(connection, site)

    def test_chunked(self):
        """A chunked body is refused where it passes the limit."""
        site = make(settings=self.settings)
        connection = site.connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n"
        )
        self.assertEqual(connection.received(), b"")
        connection.send(b"6\r\nghijkl\r\n0\r\n\r\n")
        self._check(connection, site)

    def test_body_in_the_same_segment(self):
        """A refused body that came along with its headers is no second request."""
        site = make(settings=self.settings)
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 11)
        self._check(connection, site)

    def test_long_line(self):
        """A request line or a header that is too long is answered, then the client may read."""
        for lines, status in (
            (b"GET /" + b"a" * 20_000, 414),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        ):
            site = make()
            connection = site.connect()
            connection.send(lines)
            self.assertEqual(connection.answer().status, status)
            self.assertFalse(connection.transport.disconnecting)
            site.clock.advance(LINGER_S)
            self.assertTrue(connection.transport.disconnecting)

    def test_half_closed(self):
        """A refused client sees the end of the answer at once, one of TLS with the close."""
        for tls in (False, True):
            site = make(settings=self.settings)
            transport = TcpTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 50000))
            channel = site.site.buildProtocol(transport.getPeer())
            if tls:
                alsoProvides(transport, ISSLTransport)
            channel.makeConnection(transport)
            channel.dataReceived(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
            self.assertIn(b" 413 ", transport.value())
            self.assertEqual(transport.is_half_closed, not tls)
            self.assertFalse(transport.disconnecting)
            site.clock.advance(LINGER_S)
            self.assertTrue(transport.disconnecting)

    def test_client_closes(self):
        """A refused client that closes leaves no timer behind."""
        site = make(settings=self.settings)
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 11)
        connection.hang_up(clean=True)
        self.assertEqual(site.clock.getDelayedCalls(), [])

    def test_full_disk(self):
        """A disk that is full while a body arrives is a 507."""
        site = make()
        site.storage.capacity_bytes = 5
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 6)
        self.assertEqual(connection.answer().status, 507)
        self.assertEqual(site.storage.spools, set())


class TimeoutTests(SynchronousTestCase):
    def test_silent_client(self):
        """A client that stops amid its request is cut off after HttpRequestTimeout."""
        site = make(settings=SiteSettings(request_timeout_s=30))
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab")
        site.clock.advance(29)
        connection.send(b"c")
        site.clock.advance(29)
        self.assertFalse(connection.transport.disconnecting)
        site.clock.advance(2)
        self.assertTrue(connection.transport.disconnecting)

    def test_idle_connection(self):
        """An idle connection is closed after KeepAliveTimeout, a used one is not."""
        site = make(settings=SiteSettings(keep_alive_timeout_s=5))
        connection = site.connect()
        for _ in range(3):
            connection.request("GET", "/echo")
            self.assertEqual(connection.answer().status, 200)
            site.clock.advance(4)
            self.assertFalse(connection.transport.disconnecting)
        site.clock.advance(1)
        self.assertTrue(connection.transport.disconnecting)

    def test_second_request_has_its_own_time(self):
        """The short time of an idle connection is not that of a request that has begun."""
        site = make(settings=SiteSettings(keep_alive_timeout_s=1, request_timeout_s=30))
        connection = site.connect()
        connection.request("GET", "/echo")
        connection.answer()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\n")
        site.clock.advance(20)
        self.assertFalse(connection.transport.disconnecting)

    def test_slow_handler(self):
        """A handler may take its time."""
        running = Deferred()
        site = InMemorySite(Routes(Route("GET", "/slow", lambda request: running)))
        connection = site.connect()
        connection.request("GET", "/slow")
        site.clock.advance(3600)
        self.assertFalse(connection.transport.disconnecting)
        running.callback(b"done")
        self.assertEqual(connection.answer().body, b"done")

    def test_no_keep_alive(self):
        """Without KeepAlive a connection serves one request."""
        connection = make(settings=SiteSettings(keep_alive=False)).connect()
        connection.request("GET", "/echo")
        self.assertEqual(connection.answer().headers["connection"], "close")
        self.assertTrue(connection.transport.disconnecting)

    def test_tcp_no_delay(self):
        """TcpNoDelay is on unless it is switched off."""
        for settings, expected in (
            (SiteSettings(), True),
            (SiteSettings(tcp_no_delay=False), False),
        ):
            transport = TcpTransport()
            make(settings=settings).site.buildProtocol(None).makeConnection(transport)
            self.assertEqual(transport.no_delay, expected)


class EndTests(SynchronousTestCase):
    """The server stops: `OrthancSite.end`, `OrthancSite.ended_all`."""

    def test_idle(self):
        """A connection without a request is closed; then all are gone."""
        site = make()
        connection = site.connect()
        site.site.end()
        self.assertTrue(connection.transport.disconnecting)
        ended = site.site.ended_all(2)
        self.assertNoResult(ended)
        connection.hang_up(clean=True)
        self.successResultOf(ended)
        self.assertEqual(site.clock.getDelayedCalls(), [])
        self.successResultOf(site.site.ended_all(2))

    def test_receiving(self):
        """A request that is still on its way is cut off, and its spool discarded."""
        site = make()
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab")
        site.site.end()
        self.assertEqual(site.site.connections, set())
        self.assertEqual(site.storage.spools, set())

    def test_answering(self):
        """A request that is being answered is answered, and its connection closed after it."""
        waiting = Deferred()
        site = InMemorySite(Routes(Route("GET", "/slow", lambda request: waiting)))
        connection = site.connect()
        connection.request("GET", "/slow")
        site.site.end()
        ended = site.site.ended_all(2)
        self.assertFalse(connection.transport.disconnecting)
        waiting.callback(b"late")
        self.assertEqual(connection.answer().body, b"late")
        self.assertTrue(connection.transport.disconnecting)
        connection.hang_up(clean=True)
        self.successResultOf(ended)

    def test_too_slow(self):
        """What is not answered in time is cut off."""
        site = InMemorySite(Routes(Route("GET", "/slow", lambda request: Deferred())))
        connection = site.connect()
        connection.request("GET", "/slow")
        site.site.end()
        ended = site.site.ended_all(2)
        site.clock.advance(1.9)
        self.assertNoResult(ended)
        site.clock.advance(0.1)
        self.successResultOf(ended)
        self.assertEqual(site.site.connections, set())


class AuthenticationTests(SynchronousTestCase):
    users = AuthSettings(enabled=True, users={"alice": "wonder", "bob": "p:w"})

    def test_as_recorded(self):
        """Every recorded exchange is let through or refused as by Orthanc."""
        site = make(auth=self.users)
        refused = 0
        for exchange in json.loads(RECORDING.read_text())["exchanges"]:
            headers = dict(exchange.get("headers", {}))
            if exchange.get("auth"):
                token = base64.b64encode(":".join(exchange["auth"]).encode()).decode()
                headers["Authorization"] = f"Basic {token}"
            body = exchange["body_text"].encode() if "body_text" in exchange else None
            answer = site.ask(exchange["method"], exchange["path"], body, headers)
            recorded = exchange["response"]
            self.assertEqual(answer.status == 401, recorded["status"] == 401, exchange)
            if answer.status == 401:
                refused += 1
                self.assertEqual(answer.body, b"")
                self.assertEqual(
                    answer.headers["www-authenticate"], recorded["headers"]["www-authenticate"]
                )
        self.assertGreater(refused, 40)

    def test_refused_before_the_body(self):
        """A client without credentials is refused before its body is received."""
        site = make(auth=self.users)
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        self.assertEqual(connection.answer().status, 401)
        self.assertEqual(site.storage.spools, set())

    def test_refused_without_body(self):
        """A refused request without body leaves the connection open for another try."""
        site = make(auth=self.users)
        connection = site.connect()
        connection.request("GET", "/echo")
        self.assertEqual(connection.answer().status, 401)
        token = base64.b64encode(b"alice:wonder").decode()
        connection.request("GET", "/echo", headers={"Authorization": f"Basic {token}"})
        self.assertEqual(connection.answer().status, 200)

    def test_remote_access(self):
        """Without RemoteAccessAllowed only this machine is served."""
        site = make(auth=AuthSettings(remote_access_allowed=False))
        self.assertEqual(site.ask("GET", "/echo").status, 200)
        self.assertEqual(site.ask("GET", "/echo", client_ip="10.0.0.1").status, 401)

    def test_loopback(self):
        """What counts as this machine."""
        for address in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", ""):
            self.assertTrue(is_loopback(address), address)
        for address in ("10.0.0.1", "::2", "::ffff:10.0.0.1", "fe80::1%eth0", "x"):
            self.assertFalse(is_loopback(address), address)

    def test_user_name(self):
        """The name in the credentials, '' for whatever is none."""
        self.assertEqual(user_name(b"Basic " + base64.b64encode(b"bob:p:w")), "bob")
        for wrong in (None, b"", b"Basic", b"Basic !!!", b"Bearer abc"):
            self.assertEqual(user_name(wrong), "")

    def test_http_username(self):
        """The request tells who its client is."""

        def handler(request):
            return text_body(request, request.http_username)

        site = InMemorySite(Routes(Route("GET", "/me", handler)), auth=self.users)
        token = base64.b64encode(b"alice:wonder").decode()
        answer = site.ask("GET", "/me", headers={"Authorization": f"Basic {token}"})
        self.assertEqual(answer.body, b"alice")
