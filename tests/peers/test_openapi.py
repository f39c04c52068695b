"""The description of the REST API: of a server, and without one."""

from __future__ import annotations

import json
import subprocess
import sys

from openapi_spec_validator import validate
from twisted.trial.unittest import TestCase

from tests.peers.process import ROOT, OrthancProcess


class OpenApiTests(TestCase):
    timeout = 60

    def test_same(self) -> None:
        """``--openapi`` writes what ``/openapi.json`` answers, and it is valid OpenAPI 3.0."""
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        script = "from twisted.scripts.twistd import run; run()"
        written = subprocess.run(
            [sys.executable, "-c", script, "orthanc", "--openapi=-"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        document = json.loads(written.stdout)
        self.assertEqual(document, server.json("GET", "/openapi.json"))
        validate(document)
