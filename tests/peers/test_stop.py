"""The end of a real process, in good order."""

from __future__ import annotations

import socket

from twisted.trial.unittest import TestCase

from tests.peers.process import OrthancProcess


class StopTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        """A running server."""
        self.server = OrthancProcess()
        self.addCleanup(self.server.destroy)

    def test_status(self) -> None:
        """SIGTERM ends the server with status 0 and without a traceback in the log."""
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.log())
        self.assertIn("Server Shut Down", self.server.log())

    def test_amid_an_upload(self) -> None:
        """A client that is in the middle of its upload does not hold up the end."""
        with socket.create_connection(("127.0.0.1", self.server.port)) as client:
            head = b"POST /instances HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
            client.sendall(head + bytes(3_000_000))
            self.server.request("GET", "/system")
            self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.log())
        self.assertEqual(list((self.server.storage / "spool").iterdir()), [])
