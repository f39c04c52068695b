"""Real twistd processes: output, exit status, what is left behind."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parents[1]

TAC = """
from twisted.application import service, strports
from twisted.internet import defer, protocol, reactor
from orthanc_tw.guard import StartupGuard
from orthanc_tw.startup import StartupError

class Server(service.MultiService):
    mode = {mode!r}
    def startService(self):
        super().startService()
        if self.mode == "now":
            raise StartupError("/data is not writable")
        self.started = defer.Deferred()
        if self.mode == "late":
            reactor.callLater(0, self.started.errback, StartupError("database of version 99"))
        if self.mode == "fine":
            reactor.callLater(0, self.started.callback, None)
            reactor.callLater(0, reactor.stop)
    def when_started(self):
        return self.started

application = service.Application("test")
guard = StartupGuard(reactor)
server = Server()
strports.service({port!r}, protocol.Factory(), reactor=reactor).setServiceParent(server)
server.setServiceParent(guard)
guard.setServiceParent(application)
"""


class Case(TestCase):
    timeout = 60

    def setUp(self) -> None:
        """A folder to run in."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    async def twistd(self, *arguments: str) -> tuple[str, str, int]:
        """Run twistd until it ends: stdout, stderr, status."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("ORTHANC_")}
        result: tuple[bytes, bytes, int] = await getProcessOutputAndValue(
            sys.executable,
            ["-c", "from twisted.scripts.twistd import run; run()", *arguments],
            env={**env, "PYTHONPATH": str(ROOT)},
            path=str(self.folder),
        )
        out, err, status = result
        return out.decode(), err.decode(), status

    def tac(self, mode: str, port: str = "tcp:0:interface=127.0.0.1") -> str:
        """An application whose server fails in a certain way."""
        path = self.folder / "test.tac"
        path.write_text(TAC.format(mode=mode, port=port))
        return str(path)


class StartTests(Case):
    def test_wrong_configuration(self) -> Deferred[Any]:
        """One line on stderr, nothing on stdout, status 1, no files."""

        async def check() -> None:
            (self.folder / "o.json").write_text('{"HttpPort": "8042"}')
            out, err, status = await self.twistd("--nodaemon", "orthanc", "o.json")
            self.assertEqual(
                err,
                "twistd orthanc: o.json: HttpPort: expected an integer, 0 to 65535, "
                'found "8042" (a string)\n',
            )
            self.assertEqual((out, status), ("", 1))
            self.assertEqual(os.listdir(self.folder), ["o.json"])

        return Deferred.fromCoroutine(check())

    def test_subcommand(self) -> Deferred[Any]:
        """The plugin is found, and its own help is shown."""

        async def check() -> None:
            out, err, status = await self.twistd("orthanc", "--help")
            self.assertIn("CONFIGURATION", out)
            self.assertIn("--sample-config=", out)
            self.assertEqual((err, status), ("", 0))

        return Deferred.fromCoroutine(check())

    def test_fails_at_once(self) -> Deferred[Any]:
        """A service that does not start: one line on stderr, status 1, no PID file left."""

        async def check() -> None:
            out, err, status = await self.twistd("-n", "-y", self.tac("now"))
            self.assertEqual(err, "twistd orthanc: /data is not writable\n")
            self.assertNotIn("Traceback", out)
            self.assertEqual(status, 1)
            self.assertFalse((self.folder / "twistd.pid").exists())

        return Deferred.fromCoroutine(check())

    def test_port_in_use(self) -> Deferred[Any]:
        """A port that is taken: one line on stderr that names it, status 1."""

        async def check() -> None:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                endpoint = f"tcp:{port}:interface=127.0.0.1"
                out, err, status = await self.twistd("-n", "-y", self.tac("fine", endpoint))
            self.assertEqual(err.count("\n"), 1, err)
            self.assertIn(f"twistd orthanc: cannot listen on 127.0.0.1:{port}: ", err)
            self.assertNotIn("Traceback", out)
            self.assertEqual(status, 1)

        return Deferred.fromCoroutine(check())

    def test_fails_late(self) -> Deferred[Any]:
        """A server that gives up while the reactor runs: the same, after an orderly stop."""

        async def check() -> None:
            out, err, status = await self.twistd("-n", "-y", self.tac("late"))
            self.assertEqual(err, "twistd orthanc: database of version 99\n")
            self.assertIn("Server Shut Down", out)
            self.assertNotIn("Traceback", out)
            self.assertEqual(status, 1)
            self.assertFalse((self.folder / "twistd.pid").exists())

        return Deferred.fromCoroutine(check())

    def test_daemon(self) -> Deferred[Any]:
        """As a daemon, the process that was started tells the reason and ends with 1."""

        async def check() -> None:
            _, err, status = await self.twistd("-y", self.tac("now"))
            self.assertIn("/data is not writable", err)
            self.assertEqual(status, 1)

        return Deferred.fromCoroutine(check())

    def test_succeeds(self) -> Deferred[Any]:
        """A server that starts and is stopped ends with status 0 and says nothing on stderr."""

        async def check() -> None:
            _, err, status = await self.twistd("-n", "-y", self.tac("fine"))
            self.assertEqual((err, status), ("", 0))

        return Deferred.fromCoroutine(check())
