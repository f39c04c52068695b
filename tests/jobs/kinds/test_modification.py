"""Jobs that modify instances: on a real storage area, with the work of workers done at once."""

from __future__ import annotations

import io
import os
from typing import Any

import pydicom
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from orthanc_tw.dicom.modification.request import parse_modify
from orthanc_tw.index.gateway import ExpandParts
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from tests.jobs.kinds.modifying import SEED, SETTINGS, STUDY, ModificationCase


class ModificationTests(ModificationCase):
    def test_anonymized(self) -> None:
        """Each instance has a result with the metadata of its source; the sources stay."""
        sources = self.ids()
        job = self.job(self.submit(self.anonymization(), is_single=True))
        self.assertEqual(job["State"], "Success")
        self.assertEqual(job["Content"]["InstancesCount"], self.count)
        results = sorted(set(self.ids()) - set(sources))
        self.assertEqual(len(results), self.count)
        origins = [self.composition.metadata(one) for one in results]
        self.assertEqual(sorted(one["AnonymizedFrom"] for one in origins), sources)
        self.assertEqual({one["RemoteIP"] for one in origins}, {"1.2.3.4"})
        self.assertIn(job["Content"]["ID"], self.ids(STUDY))
        self.assertEqual(self.spooled(), [])

    def test_same_after_every_interruption(self) -> None:
        """Killed after any number of instances, a job goes on to the undisturbed result."""
        self.submit(self.anonymization(KeepSource=False))
        undisturbed = {one: self.file(one) for one in self.ids()}
        self.assertEqual(len(undisturbed), self.count)
        for stop_after in range(self.count + 1):
            ModificationCase.setUp(self)
            self.workers.limit = stop_after
            job_id = self.submit(self.anonymization(KeepSource=False))
            rows = self.bench.store
            self.workers.waiting.clear()
            self.workers.limit = 1_000_000
            self.bench = self.new_bench(rows)
            self.assertEqual(self.job(job_id)["State"], "Success")
            self.assertEqual({one: self.file(one) for one in self.ids()}, undisturbed)

    def test_paused_and_resumed(self) -> None:
        """A pause waits for what is under way; the job goes on where it was."""
        sources = self.ids()
        self.workers.limit = 4
        job_id = self.submit(self.anonymization(KeepSource=False))
        self.bench.engine.pause(job_id)
        self.assertEqual(self.job(job_id)["State"], "Running")
        self.workers.limit = 7
        self.workers.go()
        self.bench.pump.run()
        self.assertEqual(self.job(job_id)["State"], "Paused")
        self.assertEqual(self.workers.waiting, [])
        self.assertEqual(set(sources) - set(self.ids()), set())
        self.workers.limit = 1_000_000
        self.bench.engine.resume(job_id)
        self.bench.pump.run()
        self.assertEqual(self.job(job_id)["State"], "Success")
        self.assertEqual(self.workers.done, self.count)
        self.assertEqual((len(self.ids()), set(sources) & set(self.ids())), (self.count, set()))

    def test_cancelled(self) -> None:
        """A cancelled job ends at once, leaves the sources whole, and no file of a worker."""
        sources = set(self.ids())
        self.workers.limit = 4
        job_id = self.submit(self.anonymization(KeepSource=False))
        self.bench.engine.cancel(job_id)
        self.bench.pump.run()
        self.assertEqual(
            (self.job(job_id)["State"], self.job(job_id)["ErrorCode"]), ("Failure", 37)
        )
        self.assertLessEqual(sources, set(self.ids()))
        self.assertEqual(self.spooled(), [])

    def test_failure(self) -> None:
        """An instance that fails fails the job: the sources stay, all of them."""
        sources = set(self.ids())
        self.fail_one(self.ids()[5])
        job_id = self.submit(self.anonymization(KeepSource=False))
        job = self.job(job_id)
        self.assertEqual((job["State"], job["ErrorDetails"]), ("Failure", "no"))
        self.assertLessEqual(sources, set(self.ids()))

    def fail_one(self, public_id: str) -> None:
        uid = pydicom.dcmread(io.BytesIO(self.file(public_id))).SOPInstanceUID
        mark = uid.encode() + b"\0" * (len(uid) % 2)
        self.workers.failures = {mark: OrthancError(ErrorCode.BAD_FILE_FORMAT, "no")}

    def test_permissive(self) -> None:
        """With Permissive the others are done; the source that has no result stays."""
        failing = self.ids()[5]
        self.fail_one(failing)
        job_id = self.submit(self.anonymization(KeepSource=False), permissive=True)
        job = self.job(job_id)
        self.assertEqual((job["State"], job["Content"]["FailedInstancesCount"]), ("Success", 1))
        self.assertIn(failing, self.ids())
        self.assertEqual(len(self.ids()), self.count)
        row = self.bench.store.rows[job_id]
        self.assertEqual(row.failed_instances, {failing: "Bad file format: no"})

    def test_resubmitted(self) -> None:
        """A job that failed and is submitted again meets its results, and doubles nothing."""
        self.fail_one(self.ids()[5])
        job_id = self.submit(self.anonymization(KeepSource=False))
        self.workers.failures = {}
        self.bench.engine.resubmit(job_id)
        self.bench.pump.run()
        self.assertEqual(self.job(job_id)["State"], "Success")
        self.assertEqual(len(self.ids()), self.count)

    def test_two_become_one(self) -> None:
        """Two instances that would get the same identifier: refused, nothing is lost."""
        sources = set(self.ids())
        body = {
            "Replace": {"SOPInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2"},
            "Force": True,
            "KeepSource": False,
        }
        modification = parse_modify(body, STUDY, SETTINGS, seed=SEED)
        job = self.job(self.submit(modification))
        self.assertEqual(
            (job["State"], job["ErrorCode"]), ("Failure", ErrorCode.DUPLICATE_RESOURCE)
        )
        self.assertLessEqual(sources, set(self.ids()))

    def test_in_place(self) -> None:
        """Results that take the place of their sources are not removed with them."""
        sources = self.ids()
        body = {
            "Replace": {"StudyDescription": "in place"},
            "Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
            "Force": True,
            "KeepSource": False,
        }
        job_id = self.submit(parse_modify(body, STUDY, SETTINGS, seed=SEED))
        self.assertEqual(self.job(job_id)["State"], "Success")
        self.assertEqual(self.ids(), sources)
        for one in sources:
            self.assertIn(b"in place", self.file(one))
        (study,) = self.index.read_now(lambda tx: tx.expand(tx.page(STUDY), ExpandParts()))
        self.assertEqual(study.tags["0008,1030"], "in place")

    def test_in_place_twice(self) -> None:
        """An instance that an earlier run has replaced already is not modified again."""
        body = {
            "Keep": ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
            "Force": True,
        }
        self.submit(self.anonymization(**body))
        undisturbed = {one: self.file(one) for one in self.ids()}
        ModificationCase.setUp(self)
        self.workers.limit = 6
        job_id = self.submit(self.anonymization(**body))
        rows = self.bench.store
        # As if the journal had not reached the disk
        with open(os.path.join(self.folder, job_id, "journal.jsonl"), "wb"):
            pass
        self.workers.waiting.clear()
        self.workers.limit = 1_000_000
        self.bench = self.new_bench(rows)
        self.assertEqual(self.job(job_id)["State"], "Success")
        self.assertEqual({one: self.file(one) for one in self.ids()}, undisturbed)
        self.assertEqual(self.workers.done, self.count)

    def test_received_meanwhile(self) -> None:
        """What arrives in the study while the job runs is neither modified nor removed."""
        self.workers.limit = 4
        job_id = self.submit(self.anonymization(KeepSource=False))
        late = self.upload(100)
        self.workers.limit = 1_000_000
        self.workers.go()
        self.bench.pump.run()
        self.assertEqual(self.job(job_id)["State"], "Success")
        self.assertIn(late, self.ids())
        self.assertEqual(len(self.ids()), self.count + 1)

    def test_labels(self) -> None:
        """With KeepLabels the results have the labels of their sources at every level."""
        source = {level: self.ids(level)[0] for level in ResourceType}

        def label(tx: Any) -> None:
            for level, public_id in source.items():
                tx.add_label(tx.lookup(public_id, level).internal_id, level.label.lower())

        self.successResultOf(self.index.write(label))
        self.submit(self.anonymization(KeepLabels=True, KeepSource=False))

        def labels(tx: Any) -> dict[str, list[str]]:
            return {
                level.label: [name for row in tx.page(level) for name in tx.labels(row.internal_id)]
                for level in ResourceType
            }

        self.assertEqual(
            self.index.read_now(labels),
            {level.label: [level.label.lower()] for level in ResourceType},
        )

    def test_resource_gone(self) -> None:
        """A resource that was deleted before the job began fails the job."""
        job = self.job(self.submit(self.anonymization(), Resource(STUDY, "x")))
        self.assertEqual((job["State"], job["ErrorCode"]), ("Failure", ErrorCode.UNKNOWN_RESOURCE))

    def test_defect_in_a_worker(self) -> None:
        """An error that is none of Orthanc's is in the log, and an internal error of the job."""
        self.workers.run = lambda *args, **more: _fail()  # type: ignore[method-assign]
        self.bench = self.new_bench()
        job = self.job(self.submit(self.anonymization()))
        self.assertEqual((job["State"], job["ErrorCode"]), ("Failure", ErrorCode.INTERNAL_ERROR))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


def _fail() -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    deferred.errback(Failure(ZeroDivisionError()))
    return deferred
