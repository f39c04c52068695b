"""Where the log goes, and what of it is written: twistd's own outputs behind `LogLevels`.

twistd makes its observer itself unless the application brings one; one that filters has to
be brought, and has to go where twistd's ``--logfile``, ``--syslog`` and ``--nodaemon`` say.
Main thread, before the reactor runs. Source: ``twistd --help``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from typing import Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

from orthanc_tw.log_levels import LogLevels

DEFAULT_FILE = "twistd.log"


class LogOutput:
    """Installs the filtering observer in the application that twistd runs.

    :param options: of twistd: ``logfile``, ``syslog``, ``prefix``, ``nodaemon``, ``logger``
    :param levels: what is written
    :param reactor: an `IReactorFromThreads`; rotates the file on SIGUSR1, as twistd does
    """

    def __init__(self, options: Mapping[str, Any], levels: LogLevels, reactor: Any) -> None:
        self._options = options
        self._levels = levels
        self._reactor = reactor

    def install(self, application: object) -> None:
        """Bring the observer; nothing if it has no components, or ``--logger`` brings another."""
        set_component = getattr(application, "setComponent", None)
        if set_component is not None and not self._options.get("logger"):
            set_component(ILogObserver, self.observer())

    def observer(self) -> ILogObserver:
        """The output that was asked for, behind the filter.

        :raises SystemExit: for a daemon that should log to stdout, which it does not have
        :raises OSError: if the file cannot be opened
        """
        observer: ILogObserver = FilteringLogObserver(self._output(), [self._levels])
        return observer

    def _output(self) -> ILogObserver:
        options = self._options
        if options.get("syslog"):
            from twisted.python.syslog import SyslogObserver

            syslog = SyslogObserver(options.get("prefix") or "")
            legacy: ILogObserver = LegacyLogObserverWrapper(cast(Any, syslog.emit))
            return legacy
        path = options.get("logfile")
        nodaemon = bool(options.get("nodaemon"))
        if path == "-" and not nodaemon:
            sys.exit("Daemons cannot log to stdout, exiting!")
        if nodaemon and path in (None, "", "-"):
            stdout: ILogObserver = textFileLogObserver(sys.stdout)
            return stdout
        file: Any = LogFile.fromFullPath(path or DEFAULT_FILE)
        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(file.rotate))
        opened: ILogObserver = textFileLogObserver(file)
        return opened
