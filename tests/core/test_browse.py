"""Lists over a database on disk, whose readers keep what they made until the next commit."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.internet.defer import Deferred

from orthanc_tw.core.browse import Browser, BrowseSettings, all_of
from orthanc_tw.core.content import View
from orthanc_tw.core.names import Names
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.rest.json_text import pretty
from tests.index.support import PATIENT, STUDY, SqliteCase

NAME = "0010,0010"


class KeptListTests(SqliteCase):
    def setUp(self) -> None:
        """Two studies."""
        super().setUp()
        for path in ("a/a1/a11/a111", "b/b1/b11/b111"):
            self.store(path, tags={PATIENT: {NAME: path[0]}})
        documents: Any = None
        self.browser = Browser(
            self.index, documents, Names({}, {}), IndexedTags({}, ()), BrowseSettings()
        )

    def studies(self, view: View | None = None) -> list[dict[str, Any]]:
        """The list of studies, decoded; the same by each reader."""

        async def pages() -> list[Any]:
            return [one async for page in self.browser.resources(all_of(STUDY), view or View())
                    for one in page]  # fmt: skip

        found = [json.loads(pretty(self.result(Deferred.fromCoroutine(pages()))))
                 for _ in range(5)]  # fmt: skip
        self.assertEqual(1, len({json.dumps(answer) for answer in found}))
        return cast("list[dict[str, Any]]", found[0])

    def test_changes_show(self) -> None:
        """What is written shows up in the next list."""
        self.assertEqual([1, 1], [len(one["Series"]) for one in self.studies()])
        self.store("a/a1/a12/a121")
        self.assertEqual([1, 2], sorted(len(one["Series"]) for one in self.studies()))
        row = self.row("a/a1")
        self.write(lambda tx: tx.add_label(row.internal_id, "urgent"))
        self.assertEqual([[], ["urgent"]], sorted(one["Labels"] for one in self.studies()))
        self.write(lambda tx: tx.delete_resource(row, "20260101T000000"))
        (study,) = self.studies()
        self.assertIn("b", study["PatientMainDicomTags"].values())

    def test_views_apart(self) -> None:
        """Each way to show a resource has its own."""
        full = View(format=TagFormat.FULL)
        for view, shown in ((View(), "PatientName"), (full, NAME), (View(), "PatientName")):
            for study in self.studies(view):
                self.assertIn(shown, study["PatientMainDicomTags"])
