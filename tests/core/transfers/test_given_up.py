"""A pull that was killed amid its commit, and is given up before it has ended: nothing stays.

A killed server is one whose reactor does not turn any more: what is under way is never
answered.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.jobs.store import IndexJobStore
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.core.transfers.support import FILES, announced, query, two_sides
from tests.jobs.support import Bench

PULL = "PullTransfer"


class GivenUpTests(SynchronousTestCase):
    """Three instances, of which two are stored when the server is killed."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self)
        self.ids = self.source.instances()
        self.folder = f"{self.target.folder}/jobs"
        self.settings: dict[str, Any] = {}
        self.store: Any = self.target.store.store
        self.job = ""
        self.held: list[Any] = []

    def start(self, *, run: bool = True, **settings: Any) -> Bench:
        """A server over what the last one has left.

        :param run: False: no slot has turned yet, a job that goes on is pending
        """
        target: Any = self.target
        target.store.store = self.store
        target.committer = target.new_committer()
        target.use(target.pull.network.settings)
        store: Any = IndexJobStore(target.index)
        settings = {**self.settings, **settings, "concurrent_jobs": 1}
        bench = Bench(self.folder, target.pull, store=store, start=False, **settings)
        bench.engine.startService()
        if run:
            bench.pump.run()
        return bench

    def kill_amid_commit(self, stored: int = 2) -> None:
        """A server that dies when so many instances are stored, but not the job's last step."""
        bench, count = self.start(), 0

        def store(*args: Any) -> Any:
            nonlocal count
            count += 1
            storing = self.store(*args) if count <= stored else None
            return storing if count < len(self.ids) else self.never()

        self.target.store.store = store  # type: ignore[method-assign]
        self.job = bench.submit(PULL, **query(self.source))
        self.assertEqual("Running", bench.state(self.job))

    def never(self) -> Deferred[Any]:
        """What waits for it is not collected either: a coroutine would notice that."""
        never: Deferred[Any] = Deferred()
        self.held.append(never)
        return never

    def killed(self) -> Bench:
        """The start after that, whose slot has not turned yet."""
        self.kill_amid_commit()
        self.assertEqual(2, len(self.target.instances()))
        bench = self.start(run=False)
        self.assertEqual("Pending", bench.state(self.job))
        return bench

    def nothing_stays(self, *others: str) -> None:
        """But what others have stored; no later start changes it, and no file is left."""
        for _ in range(2):
            self.assertEqual(sorted(others), self.target.instances())
            self.start()
        self.assertEqual([], self.target.index.read_now(lambda tx: list(tx.transfers())))
        self.assertEqual(len(others), len(self.files()))

    def files(self) -> list[str]:
        """Of the storage area."""
        root = f"{self.target.folder}/storage"
        found = []
        for folder, _, names in os.walk(root):
            if os.path.relpath(folder, root).count(os.sep) == 1:
                found += names
        return found

    def spoil_data(self) -> None:
        """What was received is not what it was."""
        with open(f"{self.folder}/{self.job}/data", "r+b") as file:
            file.write(b"spoiled")

    def test_goes_on(self) -> None:
        """If nobody gives it up, all is there at the end, and stays."""
        self.kill_amid_commit()
        bench = self.start()
        self.assertEqual("Success", bench.state(self.job))
        self.assertEqual(self.ids, self.target.instances())
        self.successResultOf(bench.engine.delete(self.job))
        for reload_jobs in (True, False):
            self.start(reload_jobs=reload_jobs)
            self.assertEqual(self.ids, self.target.instances())

    def test_paused(self) -> None:
        """Paused before it could go on, then cancelled."""
        self.successResultOf(self.killed().engine.pause(self.job))
        bench = self.start()
        self.assertEqual("Paused", bench.state(self.job))
        self.assertEqual(2, len(self.target.instances()))
        self.successResultOf(bench.engine.cancel(self.job))
        self.assertEqual("Failure", bench.state(self.job))
        self.nothing_stays()

    def test_pending(self) -> None:
        """Cancelled while it waits for a slot after the restart."""
        bench = self.killed()
        self.successResultOf(bench.engine.cancel(self.job))
        bench.pump.run()
        self.assertEqual("Failure", bench.state(self.job))
        self.nothing_stays()

    def test_retried(self) -> None:
        """Cancelled while it waits for its next try."""
        self.settings = {"retries": {PULL: RetryPolicy()}}
        bench = self.killed()
        self.spoil_data()
        self.target.client.is_down = lambda: True
        bench.pump.run()
        for _ in range(20):
            self.target.clock.advance(1)
            bench.pump.run()
        self.assertEqual("Retry", bench.state(self.job))
        self.assertEqual(2, len(self.target.instances()))
        self.successResultOf(bench.engine.cancel(self.job))
        self.nothing_stays()

    def test_failure(self) -> None:
        """It fails for good before it gets to its commit again."""
        bench = self.killed()
        self.spoil_data()
        self.target.client.spoil = lambda body: b"x" * len(body)
        bench.pump.run()
        for _ in range(20):
            self.target.clock.advance(1)
            bench.pump.run()
        self.assertEqual("Failure", bench.state(self.job))
        self.nothing_stays()

    def test_failure_of_the_commit(self) -> None:
        """It fails in the commit that goes on; then it is submitted anew, and succeeds."""
        bench = self.killed()

        def full(*_: Any, **__: Any) -> Any:
            raise OrthancError(ErrorCode.FULL_STORAGE)

        self.target.store.store = full  # type: ignore[method-assign]
        bench.pump.run()
        self.assertEqual("Failure", bench.state(self.job))
        self.assertEqual([], self.target.instances())
        self.target.store.store = self.store  # type: ignore[method-assign]
        self.successResultOf(bench.engine.resubmit(self.job))
        bench.pump.run()
        self.assertEqual("Success", bench.state(self.job))
        self.start()
        self.assertEqual(self.ids, self.target.instances())

    def test_paused_after_commit(self) -> None:
        """All is stored when a pause takes effect: a cancel takes back all of it."""
        bench, held = self.start(), Deferred[None]()

        async def store(*args: Any) -> Any:
            await held
            return await self.store(*args)

        self.target.store.store = lambda *args: Deferred.fromCoroutine(store(*args))  # type: ignore
        self.job = bench.submit(PULL, **query(self.source))
        self.successResultOf(bench.engine.pause(self.job))
        held.callback(None)
        bench.pump.run()
        self.assertEqual("Paused", bench.state(self.job))
        self.assertEqual(self.ids, self.target.instances())
        self.successResultOf(bench.engine.cancel(self.job))
        self.nothing_stays()

    def test_dropped(self) -> None:
        """The jobs are dropped (``--no-jobs``), or were not saved at all."""
        for settings in ({"reload_jobs": False}, {"save_jobs": False}):
            self.settings = settings if "save_jobs" in settings else {}
            self.kill_amid_commit()
            bench = self.start(**settings)
            self.assertEqual("gone", bench.state(self.job))
            self.nothing_stays()

    def test_row_is_gone(self) -> None:
        """A job was deleted, and its server killed before what it had stored was gone."""
        self.kill_amid_commit()
        self.successResultOf(self.target.index.write(lambda tx: tx.delete_jobs([self.job])))
        self.start()
        self.nothing_stays()

    def test_not_saved(self) -> None:
        """Without ``SaveJobs`` what has succeeded stays."""
        bench = self.start(save_jobs=False)
        self.job = bench.submit(PULL, **query(self.source))
        self.assertEqual("Success", bench.state(self.job))
        self.start()
        self.assertEqual(self.ids, self.target.instances())

    def test_killed_amid_taking_back(self) -> None:
        """A server that is killed when the row says Failure, and nothing is gone yet."""
        bench = self.killed()
        write = self.target.index.write

        def dying(work: Any) -> Any:
            return self.never() if "take_back" in work.__code__.co_names else write(work)

        self.patch(self.target.index, "write", dying)
        self.assertNoResult(bench.engine.cancel(self.job))
        self.assertEqual(2, len(self.target.instances()))
        self.patch(self.target.index, "write", write)
        self.assertEqual("Failure", self.start().state(self.job))
        self.nothing_stays()

    def test_resubmitted_amid_taking_back(self) -> None:
        """A job that is submitted anew while it is taken back does not lose what it stores then."""
        bench = self.killed()
        write, held = self.target.index.write, Deferred[None]()

        def slowly(work: Any) -> Any:
            if "take_back" in work.__code__.co_names:
                return held.addCallback(lambda _: write(work))
            return write(work)

        self.patch(self.target.index, "write", slowly)
        cancelled = bench.engine.cancel(self.job)
        self.successResultOf(bench.engine.resubmit(self.job))
        bench.pump.run()
        self.assertEqual("Running", bench.state(self.job))
        held.callback(None)
        bench.pump.run()
        self.successResultOf(cancelled)
        self.assertEqual("Success", bench.state(self.job))
        self.start()
        self.assertEqual(self.ids, self.target.instances())

    def test_of_others(self) -> None:
        """What was there before stays, and so does what others have stored meanwhile."""
        self.target.server.upload(FILES[0])
        before = self.target.instances()
        self.kill_amid_commit(stored=3)
        bench = self.start(run=False)
        self.target.server.upload(FILES[1])
        self.successResultOf(bench.engine.cancel(self.job))
        self.assertEqual(2, len(self.target.instances()))
        self.nothing_stays(*before, *[one for one in self.target.instances() if one not in before])

    def test_of_a_push(self) -> None:
        """A push of the same instances that was committed meanwhile loses none."""
        bench = self.killed()
        path = announced(self.source, self.target).json()["Path"]
        resources = query(self.source)["Resources"]
        for number, resource in enumerate(resources):
            content = self.source.server.ask("GET", f"/instances/{resource['ID']}/file").body
            self.assertEqual(200, self.target.site.ask("PUT", f"{path}/{number}", content).status)
        self.assertEqual(200, self.target.site.ask("POST", f"{path}/commit", b"{}").status)
        self.successResultOf(bench.engine.cancel(self.job))
        self.nothing_stays(*self.ids)

    def kill_amid_push(self) -> str:
        """The folder of a push transaction, two instances of which are stored."""
        path = announced(self.source, self.target).json()["Path"]
        transaction = path.rpartition("/")[2]
        for number, one in enumerate(query(self.source)["Resources"]):
            content = self.source.server.ask("GET", f"/instances/{one['ID']}/file").body
            self.target.site.ask("PUT", f"{path}/{number}", content)
        count = 0

        def store(*args: Any) -> Any:
            nonlocal count
            count += 1
            return self.store(*args) if count < 3 else self.never()

        self.target.store.store = store  # type: ignore[method-assign]
        self.held.append(Deferred.fromCoroutine(self.target.transactions.commit(transaction)))
        self.assertNoResult(self.held[-1])
        self.assertEqual(2, len(self.target.instances()))
        self.target.store.store = self.store  # type: ignore[method-assign]
        return f"{self.target.folder}/transfers/{transaction}"

    def restart_transactions(self) -> None:
        self.held.append(self.target.transactions)
        self.target.transactions = self.target.new_transactions()
        self.successResultOf(self.target.transactions.start())

    def test_push(self) -> None:
        """A push whose folder is lost amid its commit leaves nothing."""
        os.unlink(f"{self.kill_amid_push()}/plan.json")
        self.restart_transactions()
        self.nothing_stays()

    def test_push_fails(self) -> None:
        """Nor does one whose commit goes on, and fails; it is open again then."""
        with open(f"{self.kill_amid_push()}/data", "r+b") as file:
            file.write(b"spoiled")
        self.restart_transactions()
        self.assertEqual(1, self.target.transactions.available)
        self.nothing_stays()

    def test_push_goes_on(self) -> None:
        """One that goes on stays."""
        self.kill_amid_push()
        self.restart_transactions()
        self.assertEqual(0, self.target.transactions.available)
        self.restart_transactions()
        self.nothing_stays(*self.ids)

    def test_deleted_by_its_user(self) -> None:
        """An instance that was deleted amid the commit, and stored by another, stays."""
        self.kill_amid_commit(stored=3)
        bench = self.start(run=False)
        lost = self.ids[0]
        self.assertEqual(200, self.target.server.ask("DELETE", f"/instances/{lost}").status)
        for name in FILES:
            self.target.server.upload(name)
        self.successResultOf(bench.engine.cancel(self.job))
        row = self.target.index.read_now(lambda tx: tx.lookup(lost, ResourceType.INSTANCE))
        self.assertIsNotNone(row)
        self.nothing_stays(*self.ids)
