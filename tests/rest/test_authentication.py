"""Who may talk to the HTTP server."""

import base64
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.auth import AuthSettings, is_loopback, user_name
from orthanc_tw.rest.http import Route, text_body
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.rest.echo import echo_site

RECORDING = Path(__file__).parents[1] / "reference" / "recordings" / "50-authentication.json"


class AuthenticationTests(SynchronousTestCase):
    users = AuthSettings(enabled=True, users={"alice": "wonder", "bob": "p:w"})

    def test_as_recorded(self):
        """Every recorded exchange is let through or refused as by Orthanc."""
        site = echo_site(auth=self.users)
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
        site = echo_site(auth=self.users)
        connection = site.connect()
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        self.assertEqual(connection.answer().status, 401)
        self.assertEqual(site.storage.spools, set())

    def test_refused_without_body(self):
        """A refused request without body leaves the connection open for another try."""
        site = echo_site(auth=self.users)
        connection = site.connect()
        connection.request("GET", "/echo")
        self.assertEqual(connection.answer().status, 401)
        token = base64.b64encode(b"alice:wonder").decode()
        connection.request("GET", "/echo", headers={"Authorization": f"Basic {token}"})
        self.assertEqual(connection.answer().status, 200)

    def test_remote_access(self):
        """Without RemoteAccessAllowed only this machine is served."""
        site = echo_site(auth=AuthSettings(remote_access_allowed=False))
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
