"""The command line of ``twistd orthanc``."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO
from pathlib import Path

from twisted.application.service import IService, MultiService
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw import app, tap
from orthanc_tw.config import Configuration
from orthanc_tw.config.sample import sample
from orthanc_tw.guard import StartupGuard
from orthanc_tw.model.errors import ErrorCode
from orthanc_tw.startup import StartupError


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

    def test_openapi(self) -> None:
        """The description of the REST API goes out as JSON."""
        document = json.loads(self.output("--openapi=-"))
        self.assertEqual(document["openapi"], "3.0.3")
        self.assertIn("/jobs/events", document["paths"])
        self.assertIn("/openapi.json", document["paths"])

    def test_version(self) -> None:
        """The version is ours, not that of Twisted."""
        self.assertTrue(self.output("--version").startswith("orthanc-tw "))


class MakeServiceTests(SynchronousTestCase):
    def make(self, content: str, *arguments: str) -> tuple[IService, Configuration, bool]:
        """What is made of a configuration, and what the composition root was given."""
        given: list[tuple[Configuration, bool]] = []

        def make_service(
            configuration: Configuration, reactor: object, *, jobs_enabled: bool, log_levels: object
        ) -> IService:
            given.append((configuration, jobs_enabled))
            if configuration.text("Name") == "full":
                raise StartupError("the disk is full")
            return MultiService()

        self.patch(app, "make_service", make_service)
        self.patch(os, "environ", {"WHO": "me"})
        self.patch(sys, "__stderr__", StringIO())
        path = Path(self.mktemp())
        path.write_text(content)
        options = tap.Options()
        options.parseOptions([*arguments, str(path)])
        service = tap.makeService(options)
        ((configuration, jobs_enabled),) = given
        return service, configuration, jobs_enabled

    def test_handed_over(self) -> None:
        """The composition root gets the configuration, and whether jobs are taken up."""
        service, configuration, jobs_enabled = self.make('{"Name": "${WHO}"}')
        self.assertIsInstance(service, StartupGuard)
        self.assertEqual(len(list(service)), 1)
        self.assertEqual(configuration.text("Name"), "me")
        self.assertTrue(jobs_enabled)
        self.assertFalse(self.make("{}", "--no-jobs")[2])

    def test_warnings_are_logged(self) -> None:
        """What is odd about a configuration is logged, and does not stop the server."""
        with capturedLogs() as logged:
            self.make('{"HttpPrt": 1}')
        (event,) = logged
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertIn("is HttpPort meant?", formatEvent(event))

    def test_refused(self) -> None:
        """A wrong configuration, and a server that cannot be made, are usage errors."""
        for content, line in (
            ("{", ":1: expected JSON"),
            ('{"Name": "full"}', "twistd orthanc: the disk is full\n"),
        ):
            self.assertRaises(UsageError, self.make, content)
            assert isinstance(sys.__stderr__, StringIO)
            self.assertIn(line, sys.__stderr__.getvalue())
