"""A disk that is full amid a commit: no row can be written until what was received is gone."""

from __future__ import annotations

import glob
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.store import IndexJobStore
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.core.transfers.support import announced, query, two_sides
from tests.jobs.support import Bench


class FullDiskTests(SynchronousTestCase):
    """Three instances, of which two can be stored."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self)
        self.ids = self.source.instances()
        self.stored = 0
        self.write: Any = self.target.index.write
        self.store: Any = self.target.store.store
        self.patch(self.target.index, "write", self.write_rows)
        self.patch(self.target.store, "store", self.store_instance)

    def is_full(self) -> bool:
        """What was received takes all the space there is."""
        return self.stored >= 2 and bool(glob.glob(f"{self.target.folder}/**/data", recursive=True))

    def write_rows(self, work: Any) -> Deferred[Any]:
        return fail(OrthancError(ErrorCode.FULL_STORAGE)) if self.is_full() else self.write(work)

    def store_instance(self, spool: Any, *args: Any) -> Deferred[Any]:
        if self.is_full():
            spool.discard()
            return fail(OrthancError(ErrorCode.FULL_STORAGE))
        self.stored += 1
        storing: Deferred[Any] = self.store(spool, *args)
        return storing

    def nothing_stays(self) -> None:
        self.assertEqual(2, self.stored)
        self.assertEqual([], self.target.instances())
        self.assertEqual([], self.target.index.read_now(lambda tx: list(tx.transfers())))

    def test_pull(self) -> None:
        """The job fails, its row says so, and nothing stays."""
        index: Any = self.target.index
        folder = f"{self.target.folder}/jobs"
        bench = Bench(folder, self.target.pull, store=IndexJobStore(index))  # type: ignore[arg-type]
        job = bench.submit("PullTransfer", **query(self.source))
        self.assertEqual("Failure", bench.state(job))
        self.assertEqual(19, bench.field(job, "ErrorCode"))
        self.assertIn("Peer other: this server", bench.field(job, "ErrorDetails"))
        self.nothing_stays()
        row = self.target.index.read_now(lambda tx: tx.job(job))
        assert row is not None
        self.assertEqual("Failure", row.state)

    def test_push(self) -> None:
        """The transaction is discarded with what was received, and nothing stays."""
        path = announced(self.source, self.target).json()["Path"]
        for number, one in enumerate(self.ids):
            content = self.source.server.ask("GET", f"/instances/{one}/file").body
            self.assertEqual(200, self.target.site.ask("PUT", f"{path}/{number}", content).status)
        self.assertEqual(507, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.nothing_stays()
        self.assertEqual(0, self.target.transactions.available)
        self.assertEqual(404, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.assertEqual([], glob.glob(f"{self.target.folder}/transfers/*"))
