"""The main service: opens what the server stands on, wires it, listens, and ends in order.

`make_service` does no I/O. ``privilegedStartService`` takes the ports; ``startService``, by
when twistd has given up privileges, locks and opens the database (the last thing that can
fail, since its threads need a running reactor to end), loads the jobs, and sweeps the storage
area while requests are served.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.app import settings
from orthanc_tw.app.base import make_base, new_uuid
from orthanc_tw.app.dicom_listening import DicomListening
from orthanc_tw.app.listening import Listening
from orthanc_tw.app.parts import Parts, make_parts
from orthanc_tw.app.stability import StabilityService
from orthanc_tw.app.sweeping import SweepService
from orthanc_tw.app.threads import Mailbox, Threads
from orthanc_tw.config import Configuration
from orthanc_tw.core.sweep import Sweep
from orthanc_tw.index.connection import IndexSettings
from orthanc_tw.index.sqlite import SqliteIndex, open_index
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.startup import StartupError
from orthanc_tw.storage.filesystem import SPOOL_FOLDER, FilesystemStorage
from orthanc_tw.storage.interface import Spool

#: Threads for files, hashing and deflate.
THREADS = 8
#: Longest time a thread keeps the interpreter lock while another waits for it.
SWITCH_INTERVAL_S = 0.0005


class Server(MultiService):
    """A whole server.

    :param jobs_enabled: false drops the jobs that were saved (``--no-jobs``)
    :param log_levels: what the REST API changes and the log obeys
    """

    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        *,
        jobs_enabled: bool,
        log_levels: LogLevels,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._configuration = configuration
        self._reactor = reactor
        self._jobs_enabled = jobs_enabled
        self._log_levels = log_levels
        self._main_tags = settings.main_tags(configuration)
        self._mailbox = Mailbox(reactor.callFromThread)
        self._threads = Threads(THREADS, self._mailbox.tell)
        self._listening: Listening | None = None
        self._dicom = DicomListening(configuration, reactor)
        self._storage: FilesystemStorage | None = None
        self._index: SqliteIndex | None = None
        self._parts: Parts | None = None
        self._ready: Deferred[None] = succeed(None)

    def privilegedStartService(self) -> None:
        """Take the ports and read the certificate, which may need more rights than the rest.

        :raises StartupError: with one line
        """
        self._listening = Listening(
            self._configuration,
            self._reactor,
            self._new_spool,
            self.in_thread,
            self._log_levels,
        )
        self._listening.listen()
        self._dicom.listen()
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def _new_spool(self) -> Spool:
        assert self._storage is not None  # no request is accepted before that
        return self._storage.new_spool()

    def _open(self) -> Parts:
        """Open the storage area and the database, wire everything.

        Not earlier: what is made here has to belong to the user that ``--uid`` names.

        :raises StartupError: with one line
        """
        assert self._listening is not None
        folders = settings.folders(self._configuration)
        for name, folder in (
            ("StorageDirectory", folders.storage),
            ("StorageDirectory", folders.storage / SPOOL_FOLDER),
            ("IndexDirectory", folders.index),
        ):
            _check_writable(name, str(folder))
        try:
            self._storage = storage = FilesystemStorage(
                str(folders.storage),
                sync=self._configuration.boolean("SyncStorageArea"),
                with_md5=self._configuration.boolean("StoreMD5ForAttachments"),
                uuid_source=new_uuid,
                observe=self._observe_storage,
            )
        except OrthancError as error:
            raise StartupError(f"StorageDirectory: {error}") from None
        try:
            self._index = open_index(
                IndexSettings(directory=str(folders.index)),
                call_from_thread=self._mailbox.tell,
                new_uuid=new_uuid,
            )
        except OrthancError as error:
            raise StartupError(f"IndexDirectory: {error}") from None
        storage.clear_spool()
        base = make_base(
            self._configuration,
            self._reactor,
            self._main_tags,
            self._index,
            storage,
            self.in_thread,
            self._log_levels,
        )
        self._parts = make_parts(
            base,
            self._threads.spawn,
            jobs_enabled=self._jobs_enabled,
            reset=self._reset,
            shutdown=self._shut_down,
        )
        self._listening.serve(self._parts.root, self._parts.metrics)
        self._dicom.serve(self._parts.network.acceptors)
        self._parts.engine.setServiceParent(self)  # type: ignore[no-untyped-call]
        if not self._configuration.boolean("ReadOnly"):
            self._parts.transfers.setServiceParent(self)  # type: ignore[no-untyped-call]
        if not self._configuration.boolean("ReadOnly"):
            stability = StabilityService(
                self._index, settings.stable_age(self._configuration), self._reactor, time.time
            )
            stability.setServiceParent(self)  # type: ignore[no-untyped-call]
            sweeping = SweepService(
                Sweep(storage, self._index), storage.end_sweep, self.in_thread, self._reactor
            )
            sweeping.setServiceParent(self)  # type: ignore[no-untyped-call]
        return self._parts

    def startService(self) -> None:
        """Open what is on disk, and run: jobs, the sweep of files that no row names.

        :raises StartupError: with one line
        """
        parts = self._open()
        assert self._index is not None
        # Each step of SQLite gives up the interpreter lock and has to wait for it again: with
        # the default of 5 ms a busy reactor thread starves the writer (measured: 4 uploads at
        # once are stored three times as fast).
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        super().startService()  # type: ignore[no-untyped-call]
        # Requests about jobs wait for these by themselves.
        self._ready = parts.engine.when_ready()
        if self._listening is not None:
            self._listening.accept()
            self._dicom.accept()
        # What was imported and made until now stays. A full collection would look at all of it
        # each time, and no thread runs meanwhile (measured: 70 ms, once a second beside a client
        # that lists).
        gc.collect()
        gc.freeze()

    def when_started(self) -> Deferred[None]:
        """Fires when the jobs are loaded; fails if they cannot be. Others are answered before."""
        waiting: Deferred[None] = Deferred()
        self._ready.chainDeferred(waiting)
        return waiting

    def stopService(self) -> Deferred[None]:
        """Stop listening, finish what is being stored, save the jobs, close the database."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._listening is not None:
            await self._listening.stop()
        await self._dicom.stop()
        if self._parts is not None:
            self._parts.events.close()
        stopping = super().stopService()  # type: ignore[no-untyped-call]
        if stopping is not None:
            await stopping
        if self._parts is not None:
            await self._parts.workers.stop()
            await self._parts.network.pool.close()
            await self._parts.peers.client.close()
            await self._parts.store.drain()
        if self._listening is not None:
            await self._listening.end()
        if self._index is not None:
            await self._index.close()
        self._threads.stop()
        if self._parts is not None:
            # A thread that wrote for a client that is gone has nobody left to tell.
            self._parts.storage.clear_spool()
        gc.unfreeze()

    def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Run a blocking function in a thread of this server's pool."""
        return self._threads.run(function, *args, **kwargs)

    def _observe_storage(self, name: str, value: float) -> None:
        """Take a figure of the storage area, which is told in threads."""
        if self._parts is not None:
            metrics = self._parts.metrics
            put = metrics.inc if name.endswith("_bytes") else metrics.observe
            put(name, value)

    def _shut_down(self) -> None:
        """End the process in order, as it was asked to."""
        self._log.warn("The server stops, as it was asked to")
        with suppress(ReactorNotRunning):  # asked twice
            self._reactor.stop()

    def _reset(self) -> None:
        """Start again in this process: everything is closed, then opened as at the start."""
        self._log.warn("The server starts again, as it was asked to")
        restarting = Deferred.fromCoroutine(self._restart())
        restarting.addErrback(self._cannot_restart)

    async def _restart(self) -> None:
        await self.stopService()
        for service in list(self):
            await DeferredList([_detached(service)])
        self._threads = Threads(THREADS, self._mailbox.tell)
        self.privilegedStartService()
        self.startService()

    def _cannot_restart(self, failure: Failure) -> None:
        self._log.failure("Cannot start again", failure)
        self._reactor.stop()


def make_service(
    configuration: Configuration, reactor: Any, *, jobs_enabled: bool, log_levels: LogLevels
) -> Server:
    """Make the whole server, not started.

    :raises StartupError: if the configuration asks for what cannot be
    """
    return Server(configuration, reactor, jobs_enabled=jobs_enabled, log_levels=log_levels)


def _detached(service: Any) -> Deferred[Any]:
    stopped = service.disownServiceParent()
    return stopped if isinstance(stopped, Deferred) else succeed(None)


def _check_writable(option: str, folder: str) -> None:
    """Make the folder if it is not there; try to write into it.

    :raises StartupError: naming the option and the folder
    """
    try:
        os.makedirs(folder, exist_ok=True)
        probe = os.path.join(folder, f".writable-{os.getpid()}")
        with open(probe, "wb"):
            pass
        os.unlink(probe)
    except OSError as error:
        raise StartupError(f"{option}: cannot write to {folder}: {error.strerror}") from None
