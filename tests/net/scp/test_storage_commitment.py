"""Storage commitment, from the N-ACTION to the report, over index and storage in memory."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset as PydicomDataset
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.storage_commitment import (
    FailedReference,
    FailureReason,
    Reference,
    StorageCommitmentReports,
    verify,
)
from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.jobs.interface import JobContext, TransientFailure
from orthanc_tw.jobs.kinds.storage_commitment import (
    StorageCommitmentJob,
    StorageCommitmentKind,
    commitment_request,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.datasets import decode
from orthanc_tw.net.errors import ConnectionRefused
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.scp.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from orthanc_tw.net.scp.storage_commitment import CommitmentReportHandler, CommitmentRequestHandler
from orthanc_tw.net.scu.commitment import CommitmentReporter
from orthanc_tw.net.storage_commitment import (
    CommitmentResult,
    read_report,
    read_request,
    report_information,
    request_information,
)
from orthanc_tw.net.values import AssociationInfo, Command, Dataset, Reply, Status
from tests.net.scp.fakes import EXPLICIT, FakeResponder, dataset, request
from tests.rest.browsing import Server, in_thread

CT_FILE, MR_FILE = "test_files/CT_small.dcm", "test_files/MR_small.dcm"
CT = Reference("1.2.840.10008.5.1.4.1.1.2", "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322")
MR = Reference("1.2.840.10008.5.1.4.1.1.4", "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457")
KNOWN = AssociationInfo(
    "CALLER", "ORTHANC", "10.0.0.7", "caller", RemoteModality("CALLER", "10.0.0.7", 104)
)


class DatasetTests(SynchronousTestCase):
    """Requests and reports on the wire."""

    def test_request(self) -> None:
        """What is written is read again, and is what the standard says."""
        content = request_information("1.2.3", [CT, MR])(EXPLICIT)
        found = read_request(parse_attributes(content, EXPLICIT, Encoding.ASCII))
        self.assertEqual(found, ("1.2.3", [CT, MR]))
        shown = decode(Dataset(EXPLICIT, content))
        self.assertEqual(shown.TransactionUID, "1.2.3")
        item = shown.ReferencedSOPSequence[1]
        self.assertEqual((item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID), MR)

    def test_report(self) -> None:
        """A report of success has no failed sequence, one of failures has their reasons."""
        good = CommitmentResult("1.2", [CT])
        bad = CommitmentResult("1.2", [CT], [FailedReference(*MR, 0x0112)])
        for result, event in ((good, 1), (bad, 2)):
            content = report_information(result)(EXPLICIT)
            read = read_report(parse_attributes(content, EXPLICIT, Encoding.ASCII))
            self.assertEqual(list(read.success), list(result.success))
            self.assertEqual(list(read.failures), list(result.failures))
            self.assertEqual(result.event_type_id, event)
            self.assertEqual("FailedSOPSequence" in decode(Dataset(EXPLICIT, content)), event == 2)

    def test_missing(self) -> None:
        """What lacks a UID is refused, and the error says which."""
        for broken, name in (
            (dataset(), "TransactionUID"),
            (dataset(TransactionUID="1.2", ReferencedSOPSequence=[dataset()]), "SOPClassUID"),
        ):
            asked = request(broken, Command.N_ACTION)
            assert asked.dataset is not None
            attributes = parse_attributes(asked.dataset.content, EXPLICIT, Encoding.ASCII)
            error = self.assertRaises(OrthancError, read_request, attributes)
            self.assertIn(name, str(error.details))


class Stored(SynchronousTestCase):
    """A server with two instances."""

    def setUp(self) -> None:
        """Store them."""
        self.server = Server()
        self.ids = {name: self.server.upload(name)["ID"] for name in (CT_FILE, MR_FILE)}

    def damage(self, name: str) -> None:
        """Change a byte of a stored file."""
        info = self.server.ask("GET", f"/instances/{self.ids[name]}/attachments/dicom/info").json()
        storage: Any = self.server.storage
        files = storage.files
        content = bytearray(files[info["Uuid"]])
        content[-1] ^= 1
        files[info["Uuid"]] = bytes(content)

    def verify(self, reference: Reference) -> FailureReason | None:
        """Look at one."""
        return verify(reference, self.server.index.read_now, self.server.storage)


class VerifyTests(Stored):
    """`verify`."""

    def test_good(self) -> None:
        """An instance whose bytes are those of its reception is committed."""
        self.assertIsNone(self.verify(CT))

    def test_unknown(self) -> None:
        """One that is not there is not."""
        self.assertEqual(self.verify(Reference(CT[0], "1.2.3")), 0x0112)

    def test_class(self) -> None:
        """One of another SOP class is not."""
        self.assertEqual(self.verify(Reference(MR[0], CT[1])), 0x0119)

    def test_damaged(self) -> None:
        """One whose bytes are others is not."""
        self.damage(CT_FILE)
        self.assertEqual(self.verify(CT), 0x0110)
        self.assertIsNone(self.verify(MR))

    def test_lost(self) -> None:
        """One whose file is lost is not."""
        self.server.storage.delete(list(self.server.storage.uuids()))
        self.assertEqual(self.verify(CT), 0x0110)


class JobTests(Stored):
    """`StorageCommitmentKind`, its steps driven by hand."""

    def setUp(self) -> None:
        """A kind whose reports are kept."""
        super().setUp()
        self.reports: list[tuple[str, str, CommitmentResult]] = []
        self.error: Exception | None = None

        async def report(name: str, aet: str, result: CommitmentResult) -> None:
            if self.error is not None:
                raise self.error
            self.reports.append((name, aet, result))

        self.kind = StorageCommitmentKind(self.server.index, self.server.storage, report)

    def job(
        self, *references: Reference, cursor: Any = None, job_id: str = "job", uid: str = "1.2.3"
    ) -> StorageCommitmentJob:
        """A run."""
        parameters = commitment_request(KNOWN, uid, references).parameters
        context = JobContext(job_id, "", lambda: None, in_thread)
        return self.kind.create(parameters, cursor, context)

    def run_all(self, job: StorageCommitmentJob) -> None:
        """All steps."""
        for step in job.steps():
            self.successResultOf(step)

    def test_report(self) -> None:
        """What is there is reported as committed, what is not with its reason."""
        missing = Reference(CT[0], "1.2.3")
        job = self.job(CT, missing, MR)
        self.run_all(job)
        failed = FailedReference(*missing, 0x0112)
        self.assertEqual(
            self.reports, [("caller", "ORTHANC", CommitmentResult("1.2.3", [CT, MR], [failed]))]
        )
        self.assertEqual(job.progress(), 1.0)
        self.assertEqual(
            job.content(),
            {
                "CalledAet": "ORTHANC",
                "Description": "",
                "RemoteAet": "CALLER",
                "RemoteIp": "10.0.0.7",
                "TransactionUid": "1.2.3",
            },
        )

    def test_empty(self) -> None:
        """Nothing to be committed is committed."""
        self.run_all(self.job())
        self.assertEqual(self.reports[0][2], CommitmentResult("1.2.3", [], []))

    def test_continued(self) -> None:
        """A run goes on at the cursor, and reports what the run before found too."""
        missing = [Reference(CT[0], f"1.2.{n}") for n in range(30)]
        first = self.job(*missing, CT)
        step = next(first.steps())
        self.successResultOf(step)
        cursor = first.cursor()
        first.abandon()
        assert cursor is not None
        self.assertEqual(cursor["Next"], 20)
        self.run_all(self.job(*missing, CT, cursor=cursor))
        self.assertEqual(len(self.reports[0][2].failures), 30)
        self.assertEqual(self.reports[0][2].success, [CT])

    def test_duplicate(self) -> None:
        """While a transaction is open, another one with its UID fails altogether."""
        first, second = self.job(CT, MR), self.job(CT, job_id="other")
        steps = first.steps()
        self.successResultOf(next(steps))
        self.run_all(second)
        self.assertEqual(self.reports[0][2].failures, [FailedReference(*CT, FailureReason(0x0131))])
        for step in steps:
            self.successResultOf(step)
        self.assertEqual(self.reports[1][2].success, [CT, MR])
        self.run_all(self.job(CT, job_id="third"))
        self.assertEqual(self.reports[2][2].success, [CT])

    def test_nobody_there(self) -> None:
        """A modality that cannot be reached may be there later."""
        self.error = ConnectionRefused("nobody")
        *_, last = self.job(CT).steps()
        self.failureResultOf(last, TransientFailure)


class ReportsTests(SynchronousTestCase):
    """`StorageCommitmentReports`."""

    def test_bounded(self) -> None:
        """The oldest report makes room; one that was looked at is not the oldest."""
        reports = StorageCommitmentReports(2)
        reports.expect("1", "A")
        reports.expect("2", "A")
        reports.get("1")
        reports.expect("3", "A")
        self.assertIsNone(reports.get("2"))
        self.assertIsNotNone(reports.get("1"))
        reports.forget("1")
        self.assertIsNone(reports.get("1"))

    def test_json(self) -> None:
        """Pending, then what the other side has said."""
        reports = StorageCommitmentReports(2)
        report = reports.expect("1", "A")
        self.assertEqual(report.to_json(), {"RemoteAET": "A", "Status": "Pending"})
        self.assertTrue(reports.complete("1", "a", [CT], [FailedReference(*MR, 0x9999)]))
        shown: Any = report.to_json()
        self.assertEqual(shown["Status"], "Failure")
        self.assertEqual(shown["Failures"][0]["Description"], "Unknown failure reason: 0x9999")
        self.assertEqual(shown["Success"][0]["SOPInstanceUID"], CT[1])

    def test_others(self) -> None:
        """A report of another server than was asked changes nothing."""
        reports = StorageCommitmentReports(2)
        report = reports.expect("1", "A")
        self.assertFalse(reports.complete("1", "B", [CT], []))
        self.assertFalse(reports.complete("2", "A", [CT], []))
        self.assertEqual(report.status, "Pending")


class HandlerTests(Stored):
    """The handlers of N-ACTION and N-EVENT-REPORT."""

    def setUp(self) -> None:
        """Handlers."""
        super().setUp()
        self.submitted: list[tuple[AssociationInfo, str, list[Reference]]] = []
        identifiers = Identifiers(self.server.runtime)

        def submit(info: AssociationInfo, uid: str, references: Any) -> Deferred[str]:
            self.submitted.append((info, uid, list(references)))
            return succeed("job")

        self.reports = StorageCommitmentReports(10)
        self.requests = CommitmentRequestHandler(identifiers, submit)
        self.receiver = CommitmentReportHandler(identifiers, self.reports)

    def ask(self, handler: Any, content: PydicomDataset | Dataset, **fields: Any) -> Reply:
        """Send an N-ACTION or N-EVENT-REPORT."""
        fields.setdefault("sop_instance", STORAGE_COMMITMENT_INSTANCE)
        fields.setdefault("association", KNOWN)
        fields.setdefault("action_type_id", 1)
        identifier = decode(content) if isinstance(content, Dataset) else content
        asked = request(identifier, Command.N_ACTION, sop_class=STORAGE_COMMITMENT, **fields)
        return self.successResultOf(Deferred.fromCoroutine(handler.handle(asked, FakeResponder())))

    def action(self, **fields: Any) -> Reply:
        """Ask for two instances to be committed."""
        content = Dataset(EXPLICIT, request_information("1.2.3", [CT, MR])(EXPLICIT))
        return self.ask(self.requests, content, **fields)

    def test_request(self) -> None:
        """Success is answered once the job is submitted."""
        self.assertEqual(self.action(), Reply(Status.SUCCESS))
        self.assertEqual(self.submitted, [(KNOWN, "1.2.3", [CT, MR])])

    def test_refused(self) -> None:
        """Other instances and actions, and those who could not be told the result."""
        self.assertEqual(self.action(sop_instance="1.2.3").status, 0x0112)
        self.assertEqual(self.action(action_type_id=2).status, 0x0123)
        stranger = AssociationInfo("STRANGER", "ORTHANC", "10.0.0.8")
        self.assertEqual(self.action(association=stranger).status, 0x0110)
        self.assertEqual(self.submitted, [])

    def test_report(self) -> None:
        """A report that was waited for is kept; any other one is refused."""
        result = CommitmentResult("1.2.3", [CT], [FailedReference(*MR, 0x0112)])
        content = Dataset(EXPLICIT, report_information(result)(EXPLICIT))
        self.assertEqual(self.ask(self.receiver, content, action_type_id=2).status, 0x0110)
        report = self.reports.expect("1.2.3", "CALLER")
        self.assertEqual(self.ask(self.receiver, content, action_type_id=2).status, 0)
        self.assertEqual(report.status, "Failure")
        self.assertEqual(self.ask(self.receiver, content, action_type_id=3).status, 0x0113)
        self.assertEqual(self.ask(self.receiver, content, sop_instance="1").status, 0x0112)


class FakePool:
    """One association for N-EVENT-REPORT."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.acquired: list[tuple[Any, Any]] = []
        self.sent: list[tuple[Any, ...]] = []
        self.given_back = 0

    def acquire(self, modality: Any, proposals: Any, *, timeout_s: Any = None) -> Deferred[Any]:
        """Itself."""
        self.acquired.append((modality, proposals))
        return succeed(self)

    def give_back(self, association: Any) -> None:
        """Count."""
        self.given_back += 1

    def event_report(self, *arguments: Any) -> Deferred[Reply]:
        """Keep it."""
        self.sent.append(arguments)
        return succeed(Reply(self.status))


class ReporterTests(SynchronousTestCase):
    """`CommitmentReporter`."""

    def report(self, pool: Any, name: str = "caller") -> Deferred[None]:
        """Send a report."""
        assert KNOWN.modality is not None
        modality = KNOWN.modality
        reporter = CommitmentReporter(lambda: {"caller": modality}, pool)
        result = CommitmentResult("1.2.3", [CT])
        return Deferred.fromCoroutine(reporter.report(name, "CALLED", result))

    def test_sent(self) -> None:
        """It goes to the modality, from the title it has called, in the role of the provider."""
        pool = FakePool()
        self.successResultOf(self.report(pool))
        ((modality, (proposal,)),) = pool.acquired
        self.assertEqual((modality.aet, modality.local_aet), ("CALLER", "CALLED"))
        self.assertTrue(proposal.scp_role)
        ((sop_class, instance, event, _),) = pool.sent
        self.assertEqual(
            (sop_class, instance, event), (STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1)
        )
        self.assertEqual(pool.given_back, 1)

    def test_refused(self) -> None:
        """A refused report is an error with its status."""
        pool = FakePool(0x0110)
        failure = self.failureResultOf(self.report(pool), OrthancError)
        self.assertIn("0x0110", str(failure.value.details))
        self.assertEqual(pool.given_back, 1)

    def test_forgotten(self) -> None:
        """A modality that was removed meanwhile cannot be told."""
        failure = self.failureResultOf(self.report(FakePool(), "gone"), OrthancError)
        self.assertIs(failure.value.code, ErrorCode.INEXISTENT_ITEM)
