"""`QueryClient`, `QueryStore` and `CommitmentClient` over associations in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.storage_commitment import StorageCommitmentReports
from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.attributes_writer import encode_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import attributes_of
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.errors import ConnectionRefused
from orthanc_tw.net.query.client import QueryClient, ScuSettings
from orthanc_tw.net.query.commitment import CommitmentClient
from orthanc_tw.net.query.store import QueryStore, StoredQuery
from orthanc_tw.net.values import Reply
from tests.net.fakes import EXPLICIT, MODALITY, FakePool

NAME = 0x00100010


class ClientTests(SynchronousTestCase):
    """`QueryClient`."""

    def setUp(self) -> None:
        """A client whose encoding is Latin 1."""
        self.pool = FakePool()
        self.client = QueryClient(self.pool, ScuSettings(), lambda: Encoding.LATIN1)

    def find(self, text: str = "") -> Deferred[Any]:
        """Studies of a name."""
        query = attributes_of({NAME: text})
        return Deferred.fromCoroutine(self.client.find(MODALITY, ResourceType.STUDY, query))

    def test_answers(self) -> None:
        """Answers come in their order; the association is given back."""
        contents = [
            encode_attributes(attributes_of({NAME: name}), EXPLICIT, Encoding.ASCII)
            for name in ("a", "b")
        ]
        self.pool.found = [contents]
        answers = self.successResultOf(self.find())
        self.assertEqual(contents, [answer.content for answer in answers])
        self.assertEqual(1, self.pool.given_back)

    def test_encoding(self) -> None:
        """A query is in the default encoding, or in UTF-8 if that lacks a character."""
        for name, term in (("Müller", "ISO_IR 100"), ("山田", "ISO_IR 192")):
            self.successResultOf(self.find(name))
            sent = parse_attributes(self.pool.log[-1][2], EXPLICIT, Encoding.ASCII)
            self.assertEqual((name, term), (sent[NAME].text, sent[0x00080005].text))

    def test_refused(self) -> None:
        """A query that is refused is 422, with the status as payload."""
        self.pool.replies = [Reply(0xC000)]
        error = self.failureResultOf(self.find(), OrthancError).value
        self.assertEqual(422, error.http_status)
        self.assertEqual({"Type": "Dimse", "Content": {"DimseErrorStatus": 0xC000}}, error.payload)
        self.assertIn("0xC000 (unable to process - invalid query ?)", error.details)
        self.assertEqual(1, self.pool.given_back)

    def test_unreachable(self) -> None:
        """A modality that is not there is 500, as in Orthanc."""
        self.pool.refused = [ConnectionRefused("nobody")]
        error = self.failureResultOf(self.find(), OrthancError).value
        self.assertEqual((500, ErrorCode.NETWORK_PROTOCOL), (error.http_status, error.code))

    def test_echo(self) -> None:
        """An echo tries a C-FIND if it is asked to, or configured so."""

        def asked(client: QueryClient, check_find: bool | None) -> list[str]:
            self.pool.log.clear()
            echo = client.echo(MODALITY, check_find=check_find)
            self.successResultOf(Deferred.fromCoroutine(echo))
            return [operation for operation, *_ in self.pool.log]

        eager = QueryClient(self.pool, ScuSettings(echo_checks_find=True), lambda: Encoding.ASCII)
        self.assertEqual(["echo"], asked(self.client, None))
        self.assertEqual(["echo", "find"], asked(self.client, True))
        self.assertEqual(["echo", "find"], asked(eager, None))
        self.assertEqual(["echo"], asked(eager, False))

    def test_preferred_syntax(self) -> None:
        """``DicomScuPreferredTransferSyntax`` is proposed first."""
        implicit = "1.2.840.10008.1.2"
        client = QueryClient(self.pool, ScuSettings(implicit), lambda: Encoding.ASCII)
        self.successResultOf(Deferred.fromCoroutine(client.echo(MODALITY)))
        self.assertEqual((implicit, EXPLICIT), self.pool.opened[0][1][0].transfer_syntaxes)


class StoreTests(SynchronousTestCase):
    """`QueryStore`."""

    def test_bound(self) -> None:
        """Beyond ``QueryRetrieveSize`` the one that was used least recently is forgotten."""
        names = iter("abc")
        store = QueryStore(2, lambda: next(names))
        query = StoredQuery("m", MODALITY, ResourceType.STUDY, {}, [])
        for _ in range(2):
            store.add(query)
        self.assertIs(query, store.get("a"))
        store.add(query)
        self.assertEqual(["a", "c"], store.ids())
        self.assertEqual(404, self.assertRaises(OrthancError, store.get, "b").http_status)
        store.remove("b")


class CommitmentTests(SynchronousTestCase):
    """`CommitmentClient`."""

    def setUp(self) -> None:
        """A client that numbers its transactions."""
        self.pool = FakePool()
        self.reports = StorageCommitmentReports(10)
        self.client = CommitmentClient(self.pool, self.reports, lambda: "2.25.1")

    def request(self) -> Deferred[str]:
        """Of one instance."""
        return Deferred.fromCoroutine(self.client.request(MODALITY, [("1.2", "1.3")]))

    def test_pending(self) -> None:
        """A transaction is pending before the request is answered: its report may be faster."""
        answer: Deferred[Reply] = Deferred()
        self.pool.replies = [answer]
        request = self.request()
        report = self.reports.get("2.25.1")
        assert report is not None
        self.assertEqual("Pending", report.status)
        answer.callback(Reply(0))
        self.assertEqual("2.25.1", self.successResultOf(request))

    def test_refused(self) -> None:
        """One that was refused is forgotten."""
        self.pool.replies = [Reply(0x0110)]
        self.failureResultOf(self.request(), OrthancError)
        self.assertIsNone(self.reports.get("2.25.1"))
