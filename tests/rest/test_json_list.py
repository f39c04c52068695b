"""Lists of any length as JSON, through the whole server."""

import json
from xml.etree import ElementTree

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.find import FindSettings
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.json_list import json_list, json_object
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.rest.browsing import Server, in_thread

CT = [f"test_files/dicomdirtests/98892001/CT5N/{n}" for n in (2062, 2392, 2693, 3023, 3353)]
LISTS = (
    *(
        "/instances",
        "/instances?expand",
        "/instances?since=1&limit=3",
        "/instances?limit=9&since=3",
    ),
    *("/series/f3ca7a66-87f96cde-1cdb75ea-997757a4-488192bd/instances", "/studies?expand"),
)


class SliceTests(SynchronousTestCase):
    def test_slices(self):
        """Lists that take many slices are the same as those of one."""
        whole, sliced = Server(), Server(per_slice=2)
        for server in (whole, sliced):
            for name in CT:
                server.upload(name)
        for path in LISTS:
            expected, found = whole.ask("GET", path), sliced.ask("GET", path)
            self.assertEqual(found.status, 200, path)
            self.assertEqual(_without_files(found.json()), _without_files(expected.json()), path)
            self.assertEqual(found.headers["content-type"], expected.headers["content-type"])
        self.assertIn("chunked", sliced.ask("GET", "/instances").headers["transfer-encoding"])

    def test_xml(self):
        """A list in many slices, or an object of many entries, is XML too if that is accepted."""
        whole, sliced = Server(), Server(per_slice=2)
        for server in (whole, sliced):
            for name in CT:
                server.upload(name)
        xml = {"Accept": "application/xml"}
        for path in LISTS[:4]:
            expected, found = whole.ask("GET", path), sliced.ask("GET", path, headers=xml)
            self.assertEqual(found.headers["content-type"], "application/xml; charset=utf-8")
            items = ElementTree.fromstring(found.body)
            identifiers = [item.findtext("ID") or item.text for item in items]
            wanted = [one["ID"] if isinstance(one, dict) else one for one in expected.json()]
            self.assertEqual(identifiers, wanted, path)
        one_body = whole.ask("GET", "/instances", headers=xml).body
        self.assertEqual(sliced.ask("GET", "/instances", headers=xml).body, one_body)

    def test_find(self):
        """So are searches, those in files too, with any page."""
        small = FindSettings(candidates_per_slice=2, files_per_slice=1)
        whole, sliced = Server(), Server(find=small)
        for server in (whole, sliced):
            for name in (*CT, "test_files/CT_small.dcm"):
                server.upload(name)
        for query in ({}, {"PatientName": "Doe*"}, {"Rows": "16"}, {"Rows": "128"}):
            for page in ({}, {"Since": 1}, {"Limit": 2}, {"Since": 1, "Limit": 2}):
                body = {"Level": "Instance", "Query": query, **page}
                expected = whole.ask("POST", "/tools/find", body).json()
                self.assertEqual(sliced.ask("POST", "/tools/find", body).json(), expected, body)

    def test_deleted_meanwhile(self):
        """What is deleted between two slices is not there; what follows it is, once."""
        server = Server(per_slice=2)
        for name in CT:
            server.upload(name)
        every = server.ask("GET", "/instances").json()
        connection = server.site.connect()
        pages = server.browser.identifiers(lambda tx, after, n: tx.page(4, after=after, limit=n))
        connection.hang_up(clean=True)
        seen = self.successResultOf(Deferred.fromCoroutine(pages.__anext__()))
        server.ask("DELETE", f"/instances/{every[2]}")
        for _ in range(2):
            seen = seen + self.successResultOf(Deferred.fromCoroutine(pages.__anext__()))
        self.assertEqual(seen, [*every[:2], *every[3:]])


class EncodingTests(SynchronousTestCase):
    def _answer(self, make):
        send = Streamer(in_thread).send_chunks
        site = InMemorySite(Routes(Route("GET", "/x", lambda request: make(request, send))))
        return site.ask("GET", "/x")

    def _list(self, *pages):
        async def generate():
            for page in pages:
                yield page

        return self._answer(lambda request, send: json_list(request, generate(), send)).json()

    def test_empty_slices(self):
        """Empty slices leave no trace in the JSON, wherever they are."""
        self.assertEqual(self._list(), [])
        self.assertEqual(self._list([], []), [])
        self.assertEqual(self._list([], [], [1], [], ["é"]), [1, "é"])
        self.assertEqual(self._list([{"a": 1}], [], []), [{"a": 1}])

    def test_object(self):
        """Objects of few and of many entries are one object."""

        def entries(count):
            async def generate():
                for number in range(count):
                    yield str(number), {"n": number}

            return self._answer(
                lambda request, send: json_object(request, generate(), send, small=3)
            )

        for count in (0, 1, 3, 4, 10):
            answer = entries(count)
            self.assertEqual(answer.json(), {str(n): {"n": n} for n in range(count)})
            self.assertEqual("transfer-encoding" in answer.headers, count >= 3)

    def test_failing_later(self):
        """A list that breaks off after its beginning is not taken for whole."""

        async def generate():
            yield [1]
            yield [2]
            raise ValueError("lost")

        connection_lost = []
        site = InMemorySite(
            Routes(
                Route(
                    "GET",
                    "/x",
                    lambda request: json_list(request, generate(), Streamer(in_thread).send_chunks),
                )
            )
        )
        connection = site.connect()
        connection.transport.abortConnection = lambda: connection_lost.append(True)
        connection.request("GET", "/x")
        self.assertTrue(connection_lost)
        self.assertRaises(ValueError, json.loads, connection.received().split(b"\r\n\r\n", 1)[1])
        self.flushLoggedErrors(ValueError)


def _without_files(value):
    for item in value:
        if isinstance(item, dict):
            item.pop("FileUuid", None)
    return value
