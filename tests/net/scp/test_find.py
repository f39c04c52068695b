"""C-FIND at the four levels, over index and storage in memory."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset as PydicomDataset
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.dicom_query import QuerySettings, ResourceQueries
from orthanc_tw.core.find import FindSettings
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.scp.find import FindHandler
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.values import Reply, Status
from tests.net.scp.fakes import FakeResponder, dataset, request
from tests.rest.browsing import Server

CT, MR = "test_files/CT_small.dcm", "test_files/MR_small.dcm"
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
MR_STUDY = "1.3.6.1.4.1.5962.1.2.4.20040826185059.5457"
PETER = tuple(
    f"test_files/dicomdirtests/98892003/{name}"
    for name in ("MR1/15820", "MR1/4919", "MR1/5641", "MR2/15970", "MR2/4950")
)


class FindTests(SynchronousTestCase):
    """Seven instances of three patients."""

    def setUp(self) -> None:
        """Store the instances."""
        self.server = Server()
        for name in (CT, MR, *PETER):
            self.server.upload(name)
        self.responder = FakeResponder()

    def handler(self, limits: FindSettings | None = None, **settings: Any) -> FindHandler:
        """A handler over the server."""
        queries = ResourceQueries(
            self.server.index,
            self.server.finder,
            self.server.documents,
            self.server.indexed,
            limits or FindSettings(),
            QuerySettings(**settings),
        )
        return FindHandler(queries, Identifiers(self.server.runtime), "ORTHANC")

    def ask(
        self, handler: FindHandler | None = None, syntax: str = "1.2.840.10008.1.2.1", **keys: Any
    ) -> Reply:
        """Send a query; the answers are kept by the responder."""
        self.responder = FakeResponder()
        handler = handler or self.handler()
        asked = request(dataset(**keys), syntax=syntax)
        return self.successResultOf(Deferred.fromCoroutine(handler.handle(asked, self.responder)))

    def found(self, keyword: str, **keys: Any) -> list[str]:
        """Sorted values of one key of all answers to a query that succeeds."""
        keys.setdefault(keyword, "")
        self.assertEqual(self.ask(**keys), Reply(Status.SUCCESS))
        return sorted(str(answer[keyword].value) for answer in self.responder.answers)

    def failed(self, **keys: Any) -> OrthancError:
        """The error of a query."""
        asked = request(dataset(**keys))
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.handler().handle(asked, FakeResponder()))
        )
        self.assertIsInstance(failure.value, OrthancError)
        assert isinstance(failure.value, OrthancError)
        return failure.value

    def test_answer(self) -> None:
        """An answer has the keys of the query, its level, the character set and the title."""
        reply = self.ask(
            QueryRetrieveLevel="STUDY",
            PatientName="CompressedSamples^CT1",
            StudyInstanceUID="",
            AccessionNumber="",
            NumberOfStudyRelatedSeries="",
            NumberOfStudyRelatedInstances="",
            ModalitiesInStudy="",
            NumberOfPatientRelatedStudies="",
        )
        self.assertEqual(reply, Reply(Status.SUCCESS))
        self.assertEqual([reply.status for reply in self.responder.replies], [Status.PENDING])
        (answer,) = self.responder.answers
        expected = dataset(
            SpecificCharacterSet="ISO_IR 100",
            AccessionNumber="",
            QueryRetrieveLevel="STUDY",
            RetrieveAETitle="ORTHANC",
            ModalitiesInStudy="CT",
            PatientName="CompressedSamples^CT1",
            StudyInstanceUID=CT_STUDY,
            NumberOfPatientRelatedStudies=None,
            NumberOfStudyRelatedSeries=1,
            NumberOfStudyRelatedInstances=1,
        )
        self.assertEqual(answer, expected)

    def test_every_syntax(self) -> None:
        """Queries and answers are in the transfer syntax of the presentation context."""
        for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"):
            self.ask(syntax=syntax, QueryRetrieveLevel="PATIENT", PatientID="1CT1")
            (reply,) = self.responder.replies
            assert reply.dataset is not None
            self.assertEqual(reply.dataset.transfer_syntax, syntax)
            self.assertEqual(self.responder.answers[0].PatientID, "1CT1")

    def test_levels(self) -> None:
        """The level says what is counted; IMAGE and INSTANCE are the same, as the case is."""
        for level, count in (("PATIENT", 3), ("STUDY", 5), ("series", 7), ("IMAGE", 7)):
            self.assertEqual(len(self.found("PatientID", QueryRetrieveLevel=level)), count, level)
        self.found("PatientID", QueryRetrieveLevel="INSTANCE")
        self.assertEqual(self.responder.answers[0].QueryRetrieveLevel, "INSTANCE")

    def test_wildcards(self) -> None:
        """Star and question mark match in names, and names without their case."""
        for name in ("Doe^*", "DOE^p?TER", "*peter*"):
            found = self.found("PatientID", QueryRetrieveLevel="PATIENT", PatientName=name)
            self.assertEqual(found, ["98890234"])

    def test_case(self) -> None:
        """Identifiers are compared with their case; names with CaseSensitivePN only."""
        self.assertEqual(self.found("PatientID", QueryRetrieveLevel="STUDY", PatientID="1ct1"), [])
        keys = {"QueryRetrieveLevel": "PATIENT", "PatientName": "doe^peter"}
        self.ask(self.handler(case_sensitive_pn=True), **keys)
        self.assertEqual(self.responder.answers, [])

    def test_lists(self) -> None:
        """Any value of a list matches, with or without spaces around it."""
        found = self.found(
            "PatientID",
            QueryRetrieveLevel="SERIES",
            StudyInstanceUID=[CT_STUDY, MR_STUDY],
        )
        self.assertEqual(found, ["1CT1", "4MR1"])
        found = self.found("PatientID", QueryRetrieveLevel="STUDY", PatientID=["1CT1 ", " 4MR1"])
        self.assertEqual(found, ["1CT1", "4MR1"])

    def test_ranges(self) -> None:
        """Dates and times match from one end to the other, both included, or one open."""
        for dates, expected in (
            ("20040119-20040826", ["20040119", "20040826"]),
            ("-20040119", ["20030505", "20030505", "20030505", "20040119"]),
            ("20040826-", ["20040826"]),
        ):
            found = self.found("StudyDate", QueryRetrieveLevel="STUDY", StudyDate=dates)
            self.assertEqual(found, expected)

    def test_modalities_in_study(self) -> None:
        """Studies with a series of any of the modalities; series themselves too."""
        keys = {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": ["CT", "US"]}
        self.assertEqual(self.found("PatientID", **keys), ["1CT1"])
        keys = {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "C?"}
        self.assertEqual(self.found("PatientID", **keys), ["1CT1"])
        keys = {"QueryRetrieveLevel": "SERIES", "ModalitiesInStudy": "CT"}
        self.assertEqual(self.found("PatientID", **keys), ["1CT1"])

    def test_from_files(self) -> None:
        """What only files hold is answered, and filtered by."""
        found = self.found("SOPInstanceUID", QueryRetrieveLevel="IMAGE", Rows=128)
        self.assertEqual(found, ["1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"])
        self.assertEqual(self.responder.answers[0].Rows, 128)

    def test_counts_match(self) -> None:
        """Computed attributes of the level may be keys; those of other levels are passed over."""
        keys = {"QueryRetrieveLevel": "PATIENT", "NumberOfPatientRelatedStudies": "3"}
        self.assertEqual(self.found("PatientID", **keys), ["98890234"])
        keys = {"QueryRetrieveLevel": "PATIENT", "NumberOfStudyRelatedInstances": "77"}
        self.assertEqual(len(self.found("PatientID", **keys)), 3)

    def test_not_matched(self) -> None:
        """RetrieveAETitle and TimezoneOffsetFromUTC of a query filter nothing."""
        keys = {"RetrieveAETitle": "OTHER", "TimezoneOffsetFromUTC": "+0100"}
        self.assertEqual(len(self.found("PatientID", QueryRetrieveLevel="PATIENT", **keys)), 3)
        self.assertEqual(self.responder.answers[0].RetrieveAETitle, "ORTHANC")

    def test_sequences(self) -> None:
        """Sequences are neither matched nor answered."""
        keys = {"ProcedureCodeSequence": [dataset(CodeValue="x")]}
        self.assertEqual(len(self.found("PatientID", QueryRetrieveLevel="PATIENT", **keys)), 3)
        self.assertNotIn("ProcedureCodeSequence", self.responder.answers[0])

    def test_lone_star(self) -> None:
        """A star alone matches everything, dates too."""
        found = self.found("StudyDate", QueryRetrieveLevel="STUDY", StudyDate="*")
        self.assertEqual(len(found), 5)

    def test_bad_queries(self) -> None:
        """A missing or unknown level, and wildcards in UIDs, are errors that name the field."""
        self.assertIn("QueryRetrieveLevel", str(self.failed(PatientID="").details))
        error = self.failed(QueryRetrieveLevel="FRAME")
        self.assertIs(error.code, ErrorCode.PARAMETER_OUT_OF_RANGE)
        error = self.failed(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2*")
        self.assertIn("0020,000d", str(error.details))

    def test_no_identifier(self) -> None:
        """A request without data set is an error."""
        work = self.handler().handle(request(None), FakeResponder())
        failure = self.failureResultOf(Deferred.fromCoroutine(work))
        self.assertIs(failure.value.code, ErrorCode.BAD_REQUEST)

    def test_limit(self) -> None:
        """LimitFindResults sends so many answers, and 0xFE00 if there were more."""
        limits = FindSettings(limit_results=2, limit_instances=3)
        handler = self.handler(limits)
        for level, count in (("STUDY", 2), ("IMAGE", 3)):
            reply = self.ask(handler, QueryRetrieveLevel=level, PatientID="")
            self.assertEqual(reply.status, Status.CANCEL)
            self.assertEqual(len(self.responder.answers), count)
        reply = self.ask(handler, QueryRetrieveLevel="STUDY", PatientID="1CT1\\4MR1")
        self.assertEqual(reply.status, Status.SUCCESS)
        self.assertEqual(len(self.responder.answers), 2)

    def test_cancel(self) -> None:
        """After C-CANCEL no more answers are sent, and the status is 0xFE00."""
        self.responder.cancel_after = 2
        asked = request(dataset(QueryRetrieveLevel="IMAGE", PatientID=""))
        work = self.handler().handle(asked, self.responder)
        reply = self.successResultOf(Deferred.fromCoroutine(work))
        self.assertEqual(reply.status, Status.CANCEL)
        self.assertEqual(len(self.responder.replies), 2)

    def test_back_pressure(self) -> None:
        """The next answer is made when the peer has taken the one before."""
        self.responder.blocked = Deferred()
        asked = request(dataset(QueryRetrieveLevel="IMAGE", PatientID=""))
        work = Deferred.fromCoroutine(self.handler().handle(asked, self.responder))
        self.assertNoResult(work)
        self.assertEqual(len(self.responder.replies), 1)
        blocked, self.responder.blocked = self.responder.blocked, None
        blocked.callback(None)
        self.assertEqual(self.successResultOf(work).status, Status.SUCCESS)
        self.assertEqual(len(self.responder.replies), 7)


class CharacterSetTests(SynchronousTestCase):
    """Names that Latin-1 does not have."""

    def setUp(self) -> None:
        """Store a Greek and a Japanese patient."""
        self.server = Server()
        self.server.upload("charset_files/chrGreek.dcm")
        self.server.upload("charset_files/chrFren.dcm")
        self.tests = FindTests()
        self.tests.server = self.server

    def ask(self, **keys: Any) -> PydicomDataset:
        """The one answer to a query for patients."""
        responder = FakeResponder()
        identifier = dataset(QueryRetrieveLevel="PATIENT", **keys)
        work = self.tests.handler().handle(request(identifier), responder)
        self.successResultOf(Deferred.fromCoroutine(work))
        (answer,) = responder.answers
        return answer

    def test_default_encoding(self) -> None:
        """What the default encoding holds is sent in it, whatever the query says."""
        answer = self.ask(SpecificCharacterSet="ISO_IR 192", PatientName="Buc^*")
        self.assertEqual(answer.SpecificCharacterSet, "ISO_IR 100")
        self.assertEqual(str(answer.PatientName), "Buc^Jérôme")

    def test_encoding_of_the_query(self) -> None:
        """A name that the default encoding lacks is sent in the encoding of the query."""
        name = "Διονυσιος"
        answer = self.ask(SpecificCharacterSet="ISO_IR 126", PatientName=name)
        self.assertEqual(answer.SpecificCharacterSet, "ISO_IR 126")
        self.assertEqual(str(answer.PatientName), name)

    def test_utf8(self) -> None:
        """Where neither has all characters, the answer is in UTF-8."""
        answer = self.ask(SpecificCharacterSet="ISO_IR 101", PatientName="?ιονυσιος")
        self.assertEqual(answer.SpecificCharacterSet, "ISO_IR 192")
        self.assertEqual(str(answer.PatientName), "Διονυσιος")
