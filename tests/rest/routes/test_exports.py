"""``/exports`` against the recorded answers of topic 18; what is sent is logged by hand here."""

import json

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.exports import ExportLog
from orthanc_tw.index.read_only import ReadOnlyIndex
from orthanc_tw.rest.routes.exports import ExportRoutes
from orthanc_tw.testing.requests import InMemorySite
from tests.rest.composition import NOW_S, Composition, body_of, exchanges

#: Exchanges that upload, those that send, and those that ask for what was sent.
UPLOADS = range(2, 6)
SENT = range(49, 52)
ASKED = range(52, 63)


def without_dates(answer):
    """An answer without the time of each export."""
    for export in answer["Exports"]:
        export.pop("Date")
    return answer


class ExportsTests(SynchronousTestCase):
    def setUp(self):
        """The instances of the topic."""
        self.exchanges = exchanges("18-changes-exports")
        composition = Composition()
        self.index = composition.index
        for number in UPLOADS:
            composition.upload(*body_of(self.exchanges[number]))
        self.site = InMemorySite(ExportRoutes(self.index))

    def send(self):
        """Log the three exports of the topic."""
        log = ExportLog(self.index, lambda: NOW_S, enabled=True)
        for number in SENT:
            self.successResultOf(log.record(self.exchanges[number]["body_text"], "b"))

    def test_recorded(self):
        """Every recorded answer: pages, the last one, bad arguments, clearing."""
        self.send()
        compared = 0
        for exchange in self.exchanges[ASKED.start : ASKED.stop]:
            expected = exchange["response"]
            answer = self.site.ask(exchange["method"], exchange["path"])
            self.assertEqual(answer.status, expected["status"], exchange["path"])
            self.assertEqual(answer.headers["content-type"], expected["headers"]["content-type"])
            if "json" in expected:
                self.assertEqual(
                    without_dates(answer.json()), without_dates(expected["json"]), exchange["path"]
                )
                compared += 1
        self.assertEqual(compared, 10)

    def test_date(self):
        """The date is that of the export, UTC."""
        self.send()
        (export,) = self.site.ask("GET", "/exports?last").json()["Exports"]
        self.assertEqual(export["Date"], "20231114T221320")

    def test_negative(self):
        """A negative limit is an empty page, a negative start the beginning, as of changes."""
        self.send()
        answer = self.site.ask("GET", "/exports?limit=-1").json()
        self.assertEqual(answer, {"Done": True, "Exports": [], "Last": 0})
        answer = self.site.ask("GET", "/exports?since=-4&limit=1").json()
        self.assertEqual((answer["First"], answer["Done"]), (1, False))

    def test_read_only(self):
        """A server that reads only lists the log and refuses to clear it."""
        self.send()
        site = InMemorySite(ExportRoutes(ReadOnlyIndex(self.index)))
        self.assertEqual(len(site.ask("GET", "/exports").json()["Exports"]), 3)
        recorded = exchanges("04-read-only")[6]["response"]
        answer = site.ask("DELETE", "/exports")
        self.assertEqual(answer.status, recorded["status"])
        self.assertEqual(json.loads(answer.body)["Message"], recorded["json"]["Message"])
