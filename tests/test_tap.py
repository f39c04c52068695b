"""The command line of ``twistd orthanc``."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw import tap
from orthanc_tw.config.sample import sample
from orthanc_tw.model.errors import ErrorCode


class OptionsTests(SynchronousTestCase):
    def output(self, *arguments: str) -> str:
        """What is written to stdout by options that exit with 0."""
        stdout = StringIO()
        self.patch(sys, "stdout", stdout)
        exit_ = self.assertRaises(SystemExit, tap.Options().parseOptions, arguments)
        self.assertEqual(exit_.code, 0)
        return stdout.getvalue()

    def test_paths(self) -> None:
        """Any number of configurations, and the jobs are taken up unless told otherwise."""
        options = tap.Options()
        options.parseOptions(["a.json", "conf.d"])
        self.assertEqual(options.paths, (Path("a.json"), Path("conf.d")))
        self.assertFalse(options["no-jobs"])
        options = tap.Options()
        options.parseOptions(["--no-jobs"])
        self.assertEqual(options.paths, ())
        self.assertTrue(options["no-jobs"])

    def test_unknown_option(self) -> None:
        """An option that does not exist is a usage error."""
        self.assertRaises(UsageError, tap.Options().parseOptions, ["--nope"])

    def test_sample_config(self) -> None:
        """The sample goes to stdout, or to a file."""
        self.assertEqual(self.output("--sample-config=-"), sample())
        path = self.mktemp()
        self.assertEqual(self.output(f"--sample-config={path}"), "")
        self.assertEqual(Path(path).read_text(encoding="utf-8"), sample())

    def test_sample_config_to_nowhere(self) -> None:
        """A file that cannot be written ends with one line and a status that is not 0."""
        exit_ = self.assertRaises(
            SystemExit, tap.Options().parseOptions, ["--sample-config=/nonexistent/x"]
        )
        self.assertEqual(exit_.code, "twistd orthanc: /nonexistent/x: No such file or directory")

    def test_errors(self) -> None:
        """All error codes, with what goes over the wire."""
        codes = json.loads(self.output("--errors"))
        self.assertEqual(len(codes), len(ErrorCode))
        self.assertIn(
            {
                "Code": 17,
                "Name": "UNKNOWN_RESOURCE",
                "Description": "Unknown resource",
                "HttpStatus": 404,
            },
            codes,
        )

    def test_version(self) -> None:
        """The version is ours, not that of Twisted."""
        self.assertTrue(self.output("--version").startswith("orthanc-tw "))
