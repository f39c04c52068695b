"""The two stages of a start."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from orthanc_tw.app import make_service
from orthanc_tw.config import load
from orthanc_tw.log_levels import LogLevels


class StartTests(TestCase):
    timeout = 60

    def test_privileged(self) -> Deferred[None]:
        """With privileges nothing is made but the ports: files belong to the user of ``--uid``."""
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        storage = Path(self.mktemp()).absolute()
        configuration = Path(self.mktemp())
        configuration.write_text(
            json.dumps({"HttpPort": 0, "DicomPort": 0, "StorageDirectory": str(storage)})
        )
        server = make_service(
            load([configuration], {}), reactor, jobs_enabled=True, log_levels=LogLevels()
        )
        server.privilegedStartService()
        made_by_privileged = storage.exists()
        server.startService()
        started = server.when_started()

        def stop(_: object) -> Deferred[None]:
            self.assertFalse(made_by_privileged)
            self.assertTrue((storage / "spool").is_dir())
            return server.stopService()

        return started.addCallback(stop)
