"""``twistd orthanc``: the command line, and the service that twistd runs.

Runs before logging and before the reactor, in the main thread: reads the configuration and
hands over to `orthanc_tw.app`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python import usage

from orthanc_tw import __version__, guard
from orthanc_tw.config import Configuration, ConfigurationError, load
from orthanc_tw.config.sample import sample
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.log_output import LogOutput
from orthanc_tw.model.errors import ErrorCode
from orthanc_tw.startup import StartupError

_log = Logger()


class Options(usage.Options):
    """Options of the subcommand; what stands behind them are files and folders to read.

    :ivar paths: the configuration files and folders
    """

    synopsis = "[options] [CONFIGURATION ...]"
    longdesc = (
        "An Orthanc-compatible DICOM server. CONFIGURATION is a JSON file, or a folder whose "
        "*.json files are merged; without one, all options have their defaults."
    )
    optFlags = [
        ["no-jobs", None, "Do not take up the jobs that were saved when the server stopped."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paths: tuple[Path, ...] = ()

    def parseArgs(self, *paths: str) -> None:
        """Keep the paths; they are read when the service is made."""
        self.paths = tuple(Path(path) for path in paths)

    def opt_sample_config(self, file: str) -> NoReturn:
        """Write a commented configuration with all defaults to a file ("-": stdout), and exit."""
        _write(file, sample())
        raise SystemExit(0)

    def opt_openapi(self, file: str) -> NoReturn:
        """Write the OpenAPI description of the REST API to a file ("-": stdout), and exit."""
        from orthanc_tw.app.describe import openapi_document

        _write(file, json.dumps(openapi_document(), indent=2, sort_keys=True) + "\n")
        raise SystemExit(0)

    def opt_errors(self) -> NoReturn:
        """Write the error codes as JSON to stdout, and exit."""
        _write("-", json.dumps(error_codes(), indent=2) + "\n")
        raise SystemExit(0)

    def opt_version(self) -> NoReturn:
        """Write the version to stdout, and exit."""
        _write("-", f"orthanc-tw {__version__}\n")
        raise SystemExit(0)


def error_codes() -> list[dict[str, Any]]:
    """Every error code: number, name, description, HTTP status."""
    return [
        {
            "Code": int(code),
            "Name": code.name,
            "Description": code.description,
            "HttpStatus": code.http_status,
        }
        for code in ErrorCode
    ]


def makeService(options: Options) -> IService:
    """The server, not started.

    :raises usage.UsageError: it cannot start with this configuration; one line was written to
        stderr, and twistd ends with status 1
    """
    from twisted.internet import reactor

    _end_once_running(reactor)

    from orthanc_tw.app import make_service

    levels = LogLevels()
    output = LogOutput(options.parent or {}, levels, reactor)

    try:
        configuration: Configuration = load(options.paths, os.environ)
        for warning in configuration.warnings:
            # Kept by twisted.logger until twistd has opened the log. The key must not be
            # "warning": observers take that for one of the warnings module.
            _log.warn("{line}", line=warning)
        server = make_service(
            configuration, reactor, jobs_enabled=not options["no-jobs"], log_levels=levels
        )
    except (ConfigurationError, StartupError) as error:
        raise guard.refuse(error) from None
    service = guard.StartupGuard(reactor, on_application=output.install)
    server.setServiceParent(service)  # type: ignore[no-untyped-call]
    reactor.callWhenRunning(_end_in_order, reactor)
    return service


def _end_once_running(reactor: Any) -> None:
    """Keep a SIGTERM of the time before the reactor runs: the start ends, then all stops.

    Not where somebody else takes care of it, or from another thread than the main one.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, lambda *_: reactor.callWhenRunning(_stop, reactor))


def _end_in_order(reactor: Any) -> None:
    """Make SIGTERM an orderly end with status 0, as it is of Orthanc.

    twistd would stop in order too, and then kill itself with the same signal: supervisors of
    containers take its status, 143, for a failure.
    """
    signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(_stop, reactor))


def _stop(reactor: Any) -> None:
    if reactor.running:  # else it is on its way: the second signal of an impatient user
        with contextlib.suppress(ReactorNotRunning):
            reactor.stop()


def _write(file: str, text: str) -> None:
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        # No usage error: twistd would show its whole help, and the command line was right.
        sys.exit(f"twistd orthanc: {file}: {error.strerror}")
