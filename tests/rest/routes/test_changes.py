"""Long answers of ``/changes``: streamed, in the same form as short ones."""

from __future__ import annotations

import json

from orthanc_tw.rest.routes.changes import PAGE, ChangeRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import InMemorySite
from tests.index.support import MemoryCase


class ManyChangesTests(MemoryCase):
    COUNT = 2 * PAGE

    def setUp(self) -> None:
        """One series with many instances: a change each, and three more."""
        super().setUp()
        for number in range(self.COUNT):
            self.store(f"p/st/se/{number}")
        streamer = Streamer(lambda function, *args: function(*args))
        self.site = InMemorySite(ChangeRoutes(self.index, streamer.send_chunks))

    def ask(self, query: str) -> dict[str, object]:
        """An answer of ``/changes``."""
        answer = self.site.ask("GET", f"/changes?{query}")
        self.assertEqual(answer.status, 200)
        parsed: dict[str, object] = json.loads(answer.body)
        return parsed

    def test_all(self) -> None:
        """All changes in one answer, without a hole or a repetition."""
        answer = self.ask("since=0&limit=100000")
        seqs = [change["Seq"] for change in answer["Changes"]]  # type: ignore[index, attr-defined]
        self.assertEqual(seqs, list(range(1, self.COUNT + 4)))
        self.assertEqual((answer["First"], answer["Last"], answer["Done"]), (1, seqs[-1], True))

    def test_limit(self) -> None:
        """A limit above a page is kept exactly, and the client is told to go on."""
        answer = self.ask(f"since=7&limit={PAGE + 10}")
        self.assertEqual(len(answer["Changes"]), PAGE + 10)  # type: ignore[arg-type]
        self.assertEqual((answer["First"], answer["Last"]), (8, PAGE + 17))
        self.assertFalse(answer["Done"])

    def test_whole_pages(self) -> None:
        """The limit may be a multiple of the page."""
        answer = self.ask(f"since=3&limit={self.COUNT}")
        self.assertEqual(len(answer["Changes"]), self.COUNT)  # type: ignore[arg-type]
        self.assertTrue(answer["Done"])

    def test_same_form(self) -> None:
        """A long answer has the fields of a short one."""
        short, long = self.ask("since=0&limit=2"), self.ask("since=0&limit=100000")
        self.assertEqual(list(short), list(long))
        self.assertEqual(short["Changes"], long["Changes"][:2])  # type: ignore[index]

    def test_upper_bound(self) -> None:
        """``to`` ends a streamed answer."""
        answer = self.ask(f"since=0&to={PAGE + 100}&limit=100000")
        self.assertEqual(answer["Last"], PAGE + 100)
        self.assertTrue(answer["Done"])
