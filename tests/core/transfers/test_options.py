"""The section ``Transfers`` of the configuration, and what the metrics say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.transfers import make_transfers
from orthanc_tw.config.loading import check
from orthanc_tw.config.settings import Settings, Source
from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.transfers.buckets import Bucket, Chunk, TransferInstance
from orthanc_tw.core.transfers.commit import TransferCommitter
from orthanc_tw.core.transfers.concatenation import InflatedFiles
from orthanc_tw.core.transfers.figures import transfer_values
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.jobs.kinds.transfer_network import TransferJobSettings, TransferNetwork
from orthanc_tw.metrics import Metrics
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.peers.registry import PeerRegistry
from tests.core.transfers.support import Side, announced, drive, query, two_sides


class OptionTests(SynchronousTestCase):
    """Three instances."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self, StorageCompression=True)
        self.ids = self.source.instances()

    def pull(self) -> Any:
        return self.target.pull.create(query(self.source), None, self.target.context())

    def push(self) -> Any:
        return self.source.push.create(query(self.source), None, self.source.context())

    def test_wiring(self) -> None:
        """Each option gets to where it acts."""
        options = {
            "Threads": 3,
            "BucketSize": 5,
            "CacheSize": 0,
            "MaxPushTransactions": 1,
            "PushTransactionTimeout": 0,
            "MaxHttpRetries": 6,
            "PeerConnectivityTimeout": 8,
            "PeerCommitTimeout": 9,
            "CommitThreadsCount": 1,
        }
        settings = Settings()
        folder = Path(self.source.folder)
        location = {"StorageDirectory": str(folder)}
        settings.add({"Transfers": options, **location}, Source("test", folder))
        side: Any = self.source
        base: Any = SimpleNamespace(
            configuration=check(settings, folder),
            reactor=side.clock,
            index=side.index,
            storage=side.storage,
            in_thread=maybeDeferred,
            is_read_only=False,
            metrics=Metrics(side.clock),
        )
        transfers = make_transfers(base, side.store, side.client, PeerRegistry({}))
        for kind in transfers.kinds:
            network: TransferNetwork = kind.network  # type: ignore[attr-defined]
            expected = TransferJobSettings(3, 5 * 1024, 6, commit_timeout_s=9)
            self.assertEqual(expected, network.settings)
        self.assertEqual(8, transfers.connectivity_timeout_s)
        transfers.service.startService()
        self.assertEqual([], side.clock.getDelayedCalls())
        side.transactions = transfers.transactions
        for _ in range(2):
            announced(side, side)
        self.assertEqual(1, transfers.transactions.available)
        (file,) = self.successResultOf(Deferred.fromCoroutine(side.lookup.files(self.ids[:1])))
        transfers.files.give_back(file, transfers.files.open(file))
        self.assertEqual((1, 0), (transfers.files.misses, transfers.files.used_bytes))

    def test_threads(self) -> None:
        """``Threads``: so many requests of one job are under way, never more."""
        for threads in (1, 3):
            for side in (self.source, self.target):
                side.use(TransferJobSettings(threads=threads, bucket_bytes=5000))
            for job, side in ((self.pull(), self.target), (self.push(), self.source)):
                self.assertEqual(threads, self.most_at_once(job, side))

    def most_at_once(self, job: Any, side: Side) -> int:
        """Most requests that were waiting at a time; answers the oldest of them, one by one."""
        held: list[Deferred[None]] = []
        side.client.waiting = held
        most = 0
        for step in job.steps():
            ended: list[Any] = []
            step.addBoth(ended.append)
            while not ended:
                most = max(most, len(held))
                held.pop(0).callback(None)
        side.client.waiting = None
        return most

    def test_bucket_size(self) -> None:
        """``BucketSize``: bytes of one request."""
        size = sum(self.size(one) for one in self.ids)
        for bucket_bytes, requests in ((10**6, 1), (30_000, -(-size // 30_000))):
            self.target.use(TransferJobSettings(bucket_bytes=bucket_bytes))
            job = self.pull()
            drive(self, job, self.target)
            queries = job.content()["CompletedHttpQueries"]
            self.assertTrue(requests <= queries <= requests + 2, queries)

    def size(self, instance: str) -> int:
        return len(self.source.server.ask("GET", f"/instances/{instance}/file").body)

    def test_cache_size(self) -> None:
        """``CacheSize``: what is kept inflated is not larger; the oldest goes first."""
        files = self.successResultOf(Deferred.fromCoroutine(self.source.lookup.files(self.ids)))
        largest = max(file.size_bytes for file in files)
        cache = InflatedFiles(self.source.storage, largest)
        self.addCleanup(cache.close)
        for file in files:
            cache.give_back(file, cache.open(file))
            self.assertLessEqual(cache.used_bytes, largest)
        cache.open(files[-1]).close()
        self.assertEqual((3, 1, 0), (cache.misses, cache.hits, cache.used_bytes))
        none = InflatedFiles(self.source.storage, 0)
        none.give_back(files[0], none.open(files[0]))
        self.assertEqual(0, none.used_bytes)

    def test_push_transactions(self) -> None:
        """``MaxPushTransactions``: the oldest makes room."""
        for maximum in (1, 3):
            self.target.transactions = self.target.new_transactions(maximum)
            for _ in range(5):
                self.assertEqual(200, announced(self.source, self.target).status)
            self.assertEqual(maximum, self.target.transactions.available)

    def test_timeouts(self) -> None:
        """``PeerConnectivityTimeout`` is for that question, ``PeerCommitTimeout`` for commits."""
        self.source.use(TransferJobSettings(commit_timeout_s=77))
        drive(self, self.push(), self.source)
        self.source.site.ask("GET", "/transfers/peers")
        found = self.source.client.timeouts_s
        self.assertEqual((77, None, 2), (found["commit"], found["0"], found["plugins"]))

    def test_commit_threads(self) -> None:
        """``CommitThreadsCount``: so many instances are being stored at a time."""
        instances = [TransferInstance(f"i{number}", 0, "") for number in range(5)]
        buckets = [Bucket(tuple(Chunk(number, 0, 0) for number in range(5)))]
        for at_once in (1, 4):
            folder = f"{self.target.folder}/reception{at_once}"
            reception = Reception.create(folder, instances, buckets, sync=False)
            self.addCleanup(reception.close)
            copies: list[Deferred[None]] = []

            def in_thread(
                work: Any, *args: Any, copies: list[Deferred[None]] = copies, copy: Any = reception
            ) -> Deferred[Any]:
                if work != copy.copy:
                    return maybeDeferred(work, *args)
                copies.append(Deferred())
                return copies[-1]

            target: Any = self.target
            committer = TransferCommitter(target.index, target.store, in_thread, at_once)
            origin = StoreOrigin(RequestOrigin.PLUGINS)
            committing = Deferred.fromCoroutine(committer.commit(reception, origin))
            self.assertEqual(at_once, len(copies))
            self.assertNoResult(committing)
            for one in copies:
                one.errback(OSError())
            self.failureResultOf(committing, OSError)

    def test_metrics(self) -> None:
        """All of them move."""
        values = transfer_values(
            self.target.transactions.figures,
            lambda: self.target.transactions.available,
            self.source.files,
        )
        prefix = "orthanc_transfers_"
        self.assertEqual({0}, set(values().values()))
        self.source.use(TransferJobSettings(bucket_bytes=9000))
        drive(self, self.push(), self.source)
        for _ in range(3):
            announced(self.source, self.target)
        path = announced(self.source, self.target).json()["Path"]
        self.target.site.ask("DELETE", path)
        found = {name.removeprefix(prefix): value for name, value in values().items()}
        self.assertEqual(
            {
                "created_push_count": 5,
                "committed_push_count": 1,
                "available_push_count": 1,
                "aborted_push_count": 3,
                "push_total_received_bytes_count": sum(self.size(one) for one in self.ids),
            },
            {
                name: value
                for name, value in found.items()
                if "push_count" in name or "bytes" in name
            },
        )
        self.assertEqual((3, 5), (found["cache_miss_count"], found["cache_hit_count"]))
        # The clock of the transactions goes on a second whenever it is looked at.
        self.assertEqual(8000, found["push_total_time_spent_in_reception_ms"])
        self.assertEqual(1000, found["push_total_time_spent_in_commit_ms"])
        self.assertGreater(found["used_cache_size"], 0)
