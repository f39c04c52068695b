"""Random sequences of everything that may happen, against what must always hold."""

from __future__ import annotations

import os
import random
import uuid
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import CHECKPOINT, JobRequest, RetryLater
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.support import Bench, Held, HeldJob

SEQUENCES = 60
OPERATIONS = 80


class Chaos:
    """One sequence: an engine, and who uses it."""

    def __init__(self, case: RandomTests, seed: int) -> None:
        self.case = case
        self.random = random.Random(seed)
        self.slots = self.random.choice((1, 2, 3))
        self.limit = self.random.choice((0, 2, 4))
        self.history = self.random.choice((0, 2, 100))
        self.kind = Held(count=3)
        self.folder = case.mktemp()
        self.store: Any = None
        self.waits: dict[str, list[Deferred[Any]]] = {}
        self.submissions: list[Deferred[str]] = []
        self.start()

    def start(self) -> None:
        self.bench = Bench(
            self.folder,
            self.kind,
            store=self.store,
            make_id=lambda: str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            concurrent_jobs=self.slots,
            limit_jobs=self.limit,
            history_size=self.history,
        )
        self.store = self.bench.store
        self.engine = self.bench.engine

    def running(self) -> list[HeldJob]:
        return [job for job in self.kind.runs if job.waiting and not job.waiting[-1].called]

    def any_job(self) -> str:
        return self.random.choice([*self.engine.list_ids(), "nope"])

    def step(self) -> None:
        operations = [self.submit] * 3 + [self.go] * 6 + [self.steer] * 6
        operations += [self.fail, self.retry, self.time, self.wait, self.delete, self.hold]
        self.random.choice(operations)()
        if self.random.random() < 0.8:
            self.bench.pump.run()
        else:
            self.bench.pump.turn()

    def submit(self) -> None:
        request = JobRequest("Held", {"name": "x"}, self.random.choice((0, 0, 5)))
        self.submissions.append(self.engine.submit(request))
        if self.random.random() < 0.2:
            self.submissions[-1].addErrback(lambda failure: None).cancel()

    def go(self) -> None:
        for job in self.running()[:1]:
            job.go(self.random.choice((None, CHECKPOINT)))

    def fail(self) -> None:
        for job in self.running()[:1]:
            job.waiting[-1].errback(OrthancError(ErrorCode.NETWORK_PROTOCOL))

    def retry(self) -> None:
        for job in self.running()[:1]:
            job.waiting[-1].errback(RetryLater(3, "busy"))

    def time(self) -> None:
        self.bench.clock.advance(self.random.choice((0.1, 1, 5)))

    def steer(self) -> None:
        name = self.random.choice(("pause", "resume", "cancel", "resubmit"))
        getattr(self.engine, name)(self.any_job())

    def wait(self) -> None:
        job_id = self.any_job()
        if job_id != "nope":
            self.waits.setdefault(job_id, []).append(self.engine.wait(job_id))

    def delete(self) -> None:
        self.engine.delete(self.any_job())

    def hold(self) -> None:
        if self.store.held:
            self.store.release()
        else:
            self.store.held = True

    def settle(self) -> None:
        if self.store.held:
            self.store.release()
        self.bench.pump.run()

    def restart(self) -> None:
        self.settle()
        stopped = self.engine.stopService()
        self.bench.clock.advance(10)
        self.settle()
        self.case.successResultOf(stopped)
        for waiting in (wait for waits in self.waits.values() for wait in waits):
            self.case.assertTrue(waiting.called)
            waiting.addErrback(lambda failure: failure.trap(OrthancError))
        for submission in self.submissions:
            self.case.assertTrue(submission.called)
            submission.addErrback(lambda failure: failure.trap(OrthancError))
        self.case.assertEqual(self.bench.clock.getDelayedCalls(), [])
        self.case.assertEqual(self.running(), [])
        self.waits, self.submissions = {}, []
        self.start()

    def check(self) -> None:
        """What holds when nothing is on its way to the disk."""
        case, engine = self.case, self.engine
        self.settle()
        jobs = {str(job["ID"]): job for job in engine.describe_all()}
        states = [str(job["State"]) for job in jobs.values()]
        case.assertLessEqual(states.count("Running"), self.slots)
        case.assertEqual(len(self.running()), states.count("Running"))
        if states.count("Pending"):
            case.assertEqual(states.count("Running"), self.slots)
        case.assertLessEqual(states.count("Success") + states.count("Failure"), self.history)
        case.assertEqual(set(self.store.rows), set(jobs))
        for job_id, job in jobs.items():
            saved = self.store.rows[job_id].state
            if job["State"] == "Running":
                case.assertIn(saved, ("Pending", "Running", "Retry"))
            elif job["State"] == "Pending":
                case.assertIn(saved, ("Pending", "Retry"))
            else:
                case.assertEqual(saved, job["State"])
            case.assertEqual("CompletionTime" in job, job["State"] in ("Success", "Failure"), job)
        for job_id, waits in self.waits.items():
            if job_id in jobs and jobs[job_id]["State"] not in ("Success", "Failure"):
                # A job that was resubmitted has told those who waited before.
                continue
            case.assertTrue(all(wait.called for wait in waits))
        if os.path.exists(self.folder):
            case.assertEqual(os.listdir(self.folder), [])

    def drain(self) -> None:
        """In the end every job can be brought to its end."""
        for _ in range(1000):
            self.settle()
            jobs = self.bench.find(states=["Pending", "Running", "Paused", "Retry"])
            if not jobs:
                break
            for job_id in jobs:
                self.engine.resume(job_id)
            self.bench.clock.advance(5)
            for job in self.running():
                job.go()
        self.case.assertEqual(jobs, [])
        self.case.assertTrue(all(submission.called for submission in self.submissions))


class RandomTests(SynchronousTestCase):
    def test_anything(self) -> None:
        """Whatever happens in whatever order: limits hold, rows agree, nobody waits in vain."""
        for seed in range(SEQUENCES):
            chaos = Chaos(self, seed)
            try:
                for number in range(OPERATIONS):
                    chaos.step()
                    if number % 10 == 9:
                        chaos.check()
                    if chaos.random.random() < 0.02:
                        chaos.restart()
                chaos.check()
                chaos.drain()
                chaos.check()
                chaos.restart()
            except BaseException:
                print(f"seed {seed}")
                raise
