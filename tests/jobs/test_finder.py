from __future__ import annotations

import random
from collections.abc import Sequence
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs import finder
from orthanc_tw.jobs.query import JobOrder, JobQuery
from orthanc_tw.model.json_types import JsonObject
from tests.jobs.support import Bench, Held, Scripted, found_now


class About(Held):
    """Jobs about the resources named in their parameters."""

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        return [str(parameters["about"])]


class FinderTests(SynchronousTestCase):
    """Thirty jobs of several states, kinds and priorities, looked at four by four."""

    def setUp(self) -> None:
        self.patch(finder, "_SLICE", 4)
        chance = random.Random(7)
        self.bench = Bench(
            self.mktemp(), About(), Held("Other"), Scripted(), concurrent_jobs=2, history_size=99
        )
        for number in range(30):
            kind = chance.choice(["Held", "Other", "Scripted"])
            self.bench.submit(kind, priority=chance.randrange(3), about=f"study {number % 5}")
            self.bench.clock.advance(chance.randrange(2))
        for job_id in chance.sample(self.bench.find(states=["Pending"]), 5):
            self.successResultOf(self.bench.engine.cancel(job_id))
            self.bench.clock.advance(1)
        self.jobs = self.bench.engine.describe_all()

    def test_orders(self) -> None:
        """Each order is that of its field, then of the ids; descending is the reverse."""
        fields = {
            JobOrder.ID: "ID",
            JobOrder.SUBMISSION: "CreationTime",
            JobOrder.COMPLETION: "CompletionTime",
            JobOrder.PRIORITY: "Priority",
            JobOrder.STATE: "State",
            JobOrder.TYPE: "Type",
            JobOrder.PROGRESS: "Progress",
        }
        for order, field in fields.items():
            with self.subTest(order=order):
                expected = sorted(
                    self.jobs, key=lambda job, field=field: (job.get(field, "9"), job["ID"])
                )
                ids = [str(job["ID"]) for job in expected]
                self.assertEqual(self.bench.find(order=order), ids)
                self.assertEqual(self.bench.find(order=order, descending=True), ids[::-1])

    def test_pages(self) -> None:
        """Pages of any order and size, put together, are the whole list."""
        for order in JobOrder:
            for descending in (False, True):
                for limit in (1, 4, 7, 30):
                    with self.subTest(order=order, descending=descending, limit=limit):
                        whole = self.bench.find(order=order, descending=descending)
                        found: list[str] = []
                        after: str | None = ""
                        while after is not None:
                            query = JobQuery(
                                order=order, descending=descending, after=after, limit=limit
                            )
                            page = found_now(self.bench.engine.find(query), self.bench.clock)
                            self.assertLessEqual(len(page.job_ids), limit)
                            found += page.job_ids
                            after = page.next_after
                        self.assertEqual(found, whole)

    def test_filters(self) -> None:
        """State and type let through what has them, in every order."""
        for order in JobOrder:
            found = self.bench.find(order=order, states=["Pending"], kinds=["Held", "Other"])
            expected = [
                job["ID"]
                for job in self.jobs
                if job["State"] == "Pending" and job["Type"] in ("Held", "Other")
            ]
            self.assertEqual(sorted(found), expected)
            self.assertTrue(found)

    def test_labels(self) -> None:
        """Jobs about a resource with one of the labels; other kinds are about none."""
        self.bench.labels = {"study 1": {"urgent"}, "study 3": {"late", "big"}, "study 4": {"x"}}
        for order in JobOrder:
            found = self.bench.find(order=order, labels=["urgent", "late"])
            expected = {
                entry.job_id
                for entry in self.bench.engine._registry
                if entry.kind == "Held" and entry.parameters["about"] in ("study 1", "study 3")
            }
            self.assertEqual(set(found), expected)
            self.assertTrue(found)
        self.assertEqual(self.bench.find(labels=["none"]), [])

    def test_labels_are_asked_for_by_the_slice(self) -> None:
        """The index is asked for no more than the jobs of a slice, until the page is full."""
        asked: list[int] = []
        having = self.bench.having

        def count(public_ids: Sequence[str], labels: Sequence[str]) -> object:
            asked.append(len(public_ids))
            return having(public_ids, labels)

        self.bench.labels = {f"study {n}": {"all"} for n in range(5)}
        with mock.patch.object(self.bench, "having", count):
            self.assertEqual(len(self.bench.find(labels=["all"], limit=1)), 1)
            early = len(asked)
            self.bench.find(labels=["all"])
        self.assertLess(early, len(asked) - early)
        self.assertLessEqual(max(asked), 4)

    def test_wrong_position(self) -> None:
        """The end of a page of another order is refused."""
        for order, after in (
            (JobOrder.PRIORITY, "abc"),
            (JobOrder.PRIORITY, "x,abc"),
            (JobOrder.PRIORITY, "nan,abc"),
            (JobOrder.STATE, "abc"),
        ):
            finding = self.bench.engine.find(JobQuery(order=order, after=after))
            self.failureResultOf(finding, ValueError)

    def test_jobs_that_come_and_go(self) -> None:
        """A list that is made while jobs come and go has each that was there all the time once."""
        before = self.bench.find()
        gone = [job["ID"] for job in self.jobs if job["State"] == "Failure"]
        finding = self.bench.engine.find(JobQuery())
        for job_id in gone:
            self.bench.engine.delete(str(job_id))
        for _ in range(10):
            self.bench.submit("Other")
        found = found_now(finding, self.bench.clock).job_ids
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(set(before) - set(gone), set(found))
