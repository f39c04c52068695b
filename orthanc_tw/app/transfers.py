"""Wires the transfers accelerator: transactions, kinds of jobs, routes, metrics."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from orthanc_tw.app.base import Base
from orthanc_tw.app.settings import MB, folders
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.core.transfers.commit import TransferCommitter
from orthanc_tw.core.transfers.concatenation import InflatedFiles
from orthanc_tw.core.transfers.figures import transfer_values
from orthanc_tw.core.transfers.idle import IdleTransactions
from orthanc_tw.core.transfers.lookup import TransferLookup
from orthanc_tw.core.transfers.transactions import PushTransactions
from orthanc_tw.jobs.interface import JobKind, JobsEngine
from orthanc_tw.jobs.kinds.pull_transfer import PullTransferKind
from orthanc_tw.jobs.kinds.push_transfer import PushTransferKind
from orthanc_tw.jobs.kinds.transfer_network import TransferJobSettings, TransferNetwork
from orthanc_tw.peers.client import PeerClient
from orthanc_tw.peers.registry import PeerRegistry
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.routes.push_transactions import PushTransactionRoutes
from orthanc_tw.rest.routes.transfers import TransferRoutes
from orthanc_tw.rest.store_request import ExportLogger

FOLDER = "transfers"
_KB = 1024


class TransferService(Service):
    """Loads the push transactions when the server starts, drops those that nobody asks for,
    interrupts commits when it stops.
    """

    def __init__(
        self, transactions: PushTransactions, idle: IdleTransactions, files: InflatedFiles
    ) -> None:
        self._transactions = transactions
        self._idle = idle
        self._files = files

    def startService(self) -> None:
        """See `Service`."""
        super().startService()  # type: ignore[no-untyped-call]
        self._transactions.start()
        self._idle.start()

    def stopService(self) -> Deferred[Any]:
        """See `Service`."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._idle.stop()
        return self._transactions.stop().addCallback(lambda _: self._files.close())


@dataclass(frozen=True, slots=True)
class Transfers:
    """What `make_parts` takes up.

    :ivar service: a child of the main service
    :ivar kinds: types of jobs
    """

    service: TransferService
    kinds: Sequence[JobKind]
    transactions: PushTransactions
    lookup: TransferLookup
    files: InflatedFiles
    client: PeerClient
    peers: PeerRegistry
    connectivity_timeout_s: float


def make_transfers(
    base: Base, store: InstanceStore, client: PeerClient, peers: PeerRegistry
) -> Transfers:
    """Wire it; nothing runs yet."""
    options = base.configuration.mapping("Transfers")
    index, storage, in_thread = base.index, base.storage, base.in_thread
    committer = TransferCommitter(
        index,
        store,
        in_thread,
        options["CommitThreadsCount"],
    )
    transactions = PushTransactions(
        os.path.join(str(folders(base.configuration).storage), FOLDER),
        committer,
        in_thread,
        options["MaxPushTransactions"],
        lambda: str(uuid.uuid4()),
        time.time,
    )
    idle = IdleTransactions(
        transactions, base.reactor, time.time, options["PushTransactionTimeout"]
    )
    files = InflatedFiles(storage, options["CacheSize"] * MB)
    lookup = TransferLookup(index, storage, in_thread)
    network = TransferNetwork(
        client,
        peers.require,
        base.reactor,
        Random().random,
        TransferJobSettings(
            threads=options["Threads"],
            bucket_bytes=options["BucketSize"] * _KB,
            retries=options["MaxHttpRetries"],
            commit_timeout_s=options["PeerCommitTimeout"],
        ),
    )
    base.metrics.add_source(
        transfer_values(transactions.figures, lambda: transactions.available, files)
    )
    return Transfers(
        TransferService(transactions, idle, files),
        (
            PullTransferKind(network, committer, storage, base.is_read_only),
            PushTransferKind(network, lookup, files, storage),
        ),
        transactions,
        lookup,
        files,
        client,
        peers,
        options["PeerConnectivityTimeout"],
    )


def transfer_routes(
    base: Base, transfers: Transfers, engine: JobsEngine, *, exports: ExportLogger | None
) -> Sequence[RouteProvider]:
    """The routes; a server that is read-only takes no pushes."""
    routes: list[RouteProvider] = [
        TransferRoutes(
            engine,
            transfers.lookup,
            transfers.files,
            transfers.client,
            lambda: list(transfers.peers),
            transfers.peers.require,
            base.in_thread,
            originator=str(uuid.uuid4()),
            connectivity_timeout_s=transfers.connectivity_timeout_s,
            read_only=base.is_read_only,
            exports=exports,
        )
    ]
    if not base.is_read_only:
        routes.append(PushTransactionRoutes(transfers.transactions, base.in_thread))
    return routes
