"""Documents that are made from the code, or that code is run from."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.describe import openapi_document

ROOT = Path(__file__).parents[1]


class DocumentationTests(SynchronousTestCase):
    def test_options(self) -> None:
        """The tables of options are up to date (python docs/generate_configuration.py)."""
        generator = runpy.run_path(str(ROOT / "docs" / "generate_configuration.py"))
        self.assertEqual(generator["OUTPUT"].read_text(encoding="utf-8"), generator["render"]())

    def test_routes(self) -> None:
        """Every route of Orthanc is served, or a reason stands beside it; no reason is stale."""
        generator = runpy.run_path(str(ROOT / "docs" / "generate_routes.py"))
        operations = generator["served"](openapi_document())
        absent = generator["reasons"]()
        entries = generator["compare"](operations, absent)
        self.assertEqual([one for one in entries if not one.served and not one.reason], [])
        self.assertEqual(generator["stale"](entries, absent), [])
        text = generator["render"](entries, operations)
        self.assertEqual(generator["OUTPUT"].read_text(encoding="utf-8"), text)

    def test_two_commands(self) -> None:
        """README begins with the two commands, each one line; .ci/run takes the second from it."""
        blocks = re.findall(
            r"^\.\. code-block:: console\n\n((?:    .*\n|\n)+)",
            (ROOT / "README.rst").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        first, second = (block.strip() for block in blocks[:2])
        for command in (first, second):
            self.assertNotIn("\n", command)
            self.assertTrue(command.startswith("python3 -m venv .venv && "))
        self.assertTrue(first.endswith(" twistd --nodaemon orthanc") or "bin/twistd" in first)
        self.assertIn("trial", second)
        self.assertIn("[test]", second)
