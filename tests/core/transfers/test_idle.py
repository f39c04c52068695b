"""Push transactions that nobody asks for any more."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.transfers.idle import IdleTransactions
from tests.core.transfers.support import START_S, announced, drive, held_commit, query, two_sides

AGE_S = 600.0


class IdleTests(SynchronousTestCase):
    """Three instances are pushed to a server that waits for ten minutes."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self)
        self.ids = self.source.instances()
        self.clock = self.target.clock
        self.idle = self.new_idle()

    def new_idle(self, age_s: float = AGE_S) -> IdleTransactions:
        idle = IdleTransactions(
            self.target.transactions, self.clock, lambda: START_S + self.clock.seconds(), age_s
        )
        idle.start()
        self.addCleanup(idle.stop)
        return idle

    def announce(self) -> str:
        return str(announced(self.source, self.target).json()["Path"])

    def wait(self, seconds: float) -> None:
        """As time goes, a second after another."""
        self.clock.pump([1.0] * int(seconds))

    def put(self, path: str, number: int) -> int:
        content = self.source.server.ask("GET", f"/instances/{self.ids[number]}/file").body
        return int(self.target.site.ask("PUT", f"{path}/{number}", content).status)

    def folders(self) -> list[str]:
        return os.listdir(f"{self.target.folder}/transfers")

    def test_dropped(self) -> None:
        """It is gone with its files, is counted as aborted, and asking for it is a 404."""
        path = self.announce()
        self.assertEqual(200, self.put(path, 0))
        self.wait(AGE_S + 120)
        self.assertEqual(0, self.target.transactions.available)
        self.assertEqual(([], 1), (self.folders(), self.target.transactions.figures.aborted))
        self.assertEqual(404, self.put(path, 1))
        self.assertEqual(404, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.assertEqual([], self.target.instances())

    def test_asked_for(self) -> None:
        """A bucket, and a commit that fails, begin the time anew."""
        path = self.announce()
        for number in range(2):
            self.wait(AGE_S - 60)
            self.assertEqual(200, self.put(path, number))
        self.wait(AGE_S - 60)
        self.assertEqual(400, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.wait(AGE_S - 60)
        self.assertEqual(200, self.put(path, 2))
        self.assertEqual(200, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.assertEqual(self.ids, self.target.instances())

    def test_commit_under_way(self) -> None:
        """A commit takes as long as it takes."""
        path = self.announce()
        for number in range(3):
            self.put(path, number)
        held, committing = held_commit(self, self.target, path)
        self.wait(3 * AGE_S)
        self.assertNoResult(committing)
        held.callback(None)
        self.successResultOf(committing)
        self.assertEqual(self.ids, self.target.instances())

    def test_bucket_under_way(self) -> None:
        """So does a bucket that is being written."""
        path, held = self.announce(), Deferred[None]()
        transactions: Any = self.target.transactions
        transactions._in_thread = lambda work, *args, **more: held.addCallback(
            lambda _: work(*args, **more)
        )
        with open(os.devnull, "rb") as body:
            writing = transactions.write(path.rpartition("/")[2], 0, body)
            self.held = Deferred.fromCoroutine(writing)
            self.wait(3 * AGE_S)
            self.assertEqual(1, transactions.available)
            held.callback(None)
            self.failureResultOf(self.held)

    def test_restart(self) -> None:
        """It counts from the last write, also while the server is down; a start is no request."""
        path = self.announce()
        self.put(path, 0)
        self.set_back(AGE_S - 60)
        for _ in range(2):
            self.restart()
            self.assertEqual(1, self.target.transactions.available)
        self.wait(200)
        self.assertEqual(([], 0), (self.folders(), self.target.transactions.available))
        self.announce()
        self.set_back(AGE_S + 1)
        self.restart()
        self.assertEqual(([], 0), (self.folders(), self.target.transactions.available))

    def set_back(self, seconds: float) -> None:
        """Nobody has written to the folder for so long."""
        (name,) = self.folders()
        folder = f"{self.target.folder}/transfers/{name}"
        then_s = START_S + self.clock.seconds() - seconds
        for one in [os.curdir, *os.listdir(folder)]:
            os.utime(f"{folder}/{one}", (then_s, then_s))

    def restart(self) -> None:
        self.idle.stop()
        self.target.transactions = self.target.new_transactions()
        self.successResultOf(self.target.transactions.start())
        self.idle = self.new_idle()

    def test_sender(self) -> None:
        """The job of a sender that comes back begins anew."""
        context = self.source.context()
        job = self.source.push.create(query(self.source), None, context)
        drive(self, job, self.source, steps=3)
        self.wait(AGE_S + 120)
        again = self.source.push.create(query(self.source), job.cursor(), context)
        drive(self, again, self.source)
        self.assertEqual(self.ids, self.target.instances())

    def test_for_ever(self) -> None:
        """Without an age nothing is dropped, and nobody looks."""
        self.idle.stop()
        self.new_idle(0)
        self.announce()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.wait(100 * AGE_S)
        self.assertEqual(1, self.target.transactions.available)
