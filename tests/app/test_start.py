"""The two stages of a start."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from orthanc_tw.app import make_service
from orthanc_tw.app.server import Server
from orthanc_tw.config import load
from orthanc_tw.log_levels import LogLevels


class StartTests(TestCase):
    timeout = 60

    def _server(self, storage: Path | None = None) -> Server:
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        storage = storage or Path(self.mktemp()).absolute()
        configuration = Path(self.mktemp())
        configuration.write_text(
            json.dumps({"HttpPort": 0, "DicomPort": 0, "StorageDirectory": str(storage)})
        )
        return make_service(
            load([configuration], {}), reactor, jobs_enabled=True, log_levels=LogLevels()
        )

    def test_privileged(self) -> Deferred[None]:
        """With privileges nothing is made but the ports: files belong to the user of ``--uid``."""
        storage = Path(self.mktemp()).absolute()
        server = self._server(storage)
        server.privilegedStartService()
        made_by_privileged = storage.exists()
        server.startService()
        started = server.when_started()

        def stop(_: object) -> Deferred[None]:
            self.assertFalse(made_by_privileged)
            self.assertTrue((storage / "spool").is_dir())
            return server.stopService()

        return started.addCallback(stop)

    def test_garbage(self) -> Deferred[None]:
        """What is there once it has started is not looked at by the garbage collector."""
        server = self._server()
        server.privilegedStartService()
        server.startService()
        frozen = gc.get_freeze_count()

        def stop(_: object) -> Deferred[None]:
            self.assertGreater(frozen, 10_000)
            stopping = server.stopService()
            return stopping.addCallback(lambda _: self.assertEqual(gc.get_freeze_count(), 0))

        return server.when_started().addCallback(stop)
