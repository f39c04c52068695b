"""What a real process writes into its log."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import Application
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

from orthanc_tw.log_levels import LogLevels
from orthanc_tw.log_output import LogOutput
from tests.peers.process import OrthancProcess


class LogOutputTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A foreground process, its stdout here."""
        self.stdout = io.StringIO()
        self.patch(sys, "stdout", self.stdout)
        self.levels = LogLevels()

    def observer(self, **options: Any) -> ILogObserver | None:
        """What twistd finds in an application."""
        application = Application("test")
        LogOutput(options, self.levels, None).install(application)
        found: ILogObserver | None = application.getComponent(ILogObserver, None)
        return found

    def test_stdout(self) -> None:
        """In the foreground the log is stdout, filtered by level."""
        observer = self.observer(nodaemon=True)
        assert observer is not None
        logger = Logger("orthanc_tw.rest.site", observer=observer)
        logger.info("not told")
        self.levels.set("verbose", "http")
        logger.info("told")
        self.assertNotIn("not told", self.stdout.getvalue())
        self.assertIn("told", self.stdout.getvalue())

    def test_file(self) -> None:
        """``--logfile`` is written, in the foreground too; SIGUSR1 has a handler as in twistd."""
        before = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        path = os.path.abspath(self.mktemp())
        observer = self.observer(nodaemon=True, logfile=path)
        assert observer is not None
        Logger("orthanc_tw.jobs", observer=observer).warn("a warning")
        self.assertIn("a warning", Path(path).read_text())
        self.assertTrue(callable(signal.getsignal(signal.SIGUSR1)))

    def test_logger_option(self) -> None:
        """``--logger`` of twistd brings another observer: it is left alone."""
        self.assertIsNone(self.observer(nodaemon=True, logger=lambda: None))

    def test_daemon_to_stdout(self) -> None:
        """A daemon has no stdout to log to: it ends with one line."""
        self.assertRaises(SystemExit, self.observer, nodaemon=False, logfile="-")

    def test_no_application(self) -> None:
        """A parent without components (another service) is left as it is."""
        LogOutput({"nodaemon": True}, self.levels, None).install(object())


class ProcessTests(TestCase):
    timeout = 60

    def test_levels(self) -> Deferred[None] | None:
        """Requests and jobs are logged once the REST API has raised the level, then no more."""
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        server.request("GET", "/patients")
        self.assertNotIn("/patients: 200", server.log())
        self.assertEqual(server.request("PUT", "/tools/log-level", b"verbose")[0], 200)
        server.request("GET", "/series?since=0&limit=1")
        self.assertIn("GET /series: 200", server.log())
        body = json.dumps({"Resources": [], "Asynchronous": True}).encode()
        status, _, answer = server.request("POST", "/tools/create-archive", body)
        self.assertEqual(status, 200, answer)
        server.wait_for_job(json.loads(answer)["ID"])
        self.assertIn(f"Job {json.loads(answer)['ID']}: Success", server.log())
        self.assertEqual(server.request("PUT", "/tools/log-level", b"default")[0], 200)
        server.request("GET", "/studies")
        self.assertNotIn("/studies: 200", server.log())
        return None
