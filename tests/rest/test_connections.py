"""Connections of the HTTP server: limits, early refusals, time, and the end."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from orthanc_tw.rest.channel import LINGER_S
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.site import SiteSettings
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.rest.echo import echo_site


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


class LimitTests(SynchronousTestCase):
    settings = SiteSettings(maximum_body_bytes=10)

    def test_within(self):
        """A body of just the limit is taken."""
        answer = echo_site(settings=self.settings).ask("POST", "/echo", b"x" * 10)
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
        site = echo_site(settings=self.settings)
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        self._check(connection, site)

    def test_declared_with_expect(self):
        """A refused client that waits for 100 does not get it."""
        site = echo_site(settings=self.settings)
        connection = site.connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertNotIn(b"100 Continue", connection.received())
        self._check(connection, site)

    def test_chunked(self):
        """A chunked body is refused where it passes the limit."""
        site = echo_site(settings=self.settings)
        connection = site.connect()
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n"
        )
        self.assertEqual(connection.received(), b"")
        connection.send(b"6\r\nghijkl\r\n0\r\n\r\n")
        self._check(connection, site)

    def test_body_in_the_same_segment(self):
        """A refused body that came along with its headers is no second request."""
        site = echo_site(settings=self.settings)
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 11)
        self._check(connection, site)

    def test_long_line(self):
        """A request line or a header that is too long is answered, then the client may read."""
        for lines, status in (
            (b"GET /" + b"a" * 20_000, 414),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        ):
            site = echo_site()
            connection = site.connect()
            connection.send(lines)
            self.assertEqual(connection.answer().status, status)
            self.assertFalse(connection.transport.disconnecting)
            site.clock.advance(LINGER_S)
            self.assertTrue(connection.transport.disconnecting)

    def test_half_closed(self):
        """A refused client sees the end of the answer at once, one of TLS with the close."""
        for tls in (False, True):
            site = echo_site(settings=self.settings)
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
        site = echo_site(settings=self.settings)
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 11)
        connection.hang_up(clean=True)
        self.assertEqual(site.clock.getDelayedCalls(), [])

    def test_full_disk(self):
        """A disk that is full while a body arrives is a 507."""
        site = echo_site()
        site.storage.capacity_bytes = 5
        connection = site.connect()
        connection.request("POST", "/echo", b"x" * 6)
        self.assertEqual(connection.answer().status, 507)
        self.assertEqual(site.storage.spools, set())


class TimeoutTests(SynchronousTestCase):
    def test_silent_client(self):
        """A client that stops amid its request is cut off after HttpRequestTimeout."""
        site = echo_site(settings=SiteSettings(request_timeout_s=30))
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
        site = echo_site(settings=SiteSettings(keep_alive_timeout_s=5))
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
        site = echo_site(settings=SiteSettings(keep_alive_timeout_s=1, request_timeout_s=30))
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
        connection = echo_site(settings=SiteSettings(keep_alive=False)).connect()
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
            echo_site(settings=settings).site.buildProtocol(None).makeConnection(transport)
            self.assertEqual(transport.no_delay, expected)


class EndTests(SynchronousTestCase):
    """The server stops: `OrthancSite.end`, `OrthancSite.ended_all`."""

    def test_idle(self):
        """A connection without a request is closed; then all are gone."""
        site = echo_site()
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
        site = echo_site()
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
