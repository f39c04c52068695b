"""Splitting and merging studies, over HTTP and to the end of the job."""

from __future__ import annotations

import io
import json
from copy import deepcopy
from typing import Any

import pydicom
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.routes.split_merge import SplitMergeRoutes
from orthanc_tw.testing.requests import InMemorySite
from tests.jobs.kinds.modifying import SETTINGS, STUDY, ModificationCase
from tests.rest.composition import in_thread

SERIES = ResourceType.SERIES
KEPT = ["SeriesInstanceUID", "SOPInstanceUID"]


class SplitMergeCase(ModificationCase):
    count = 6

    def setUp(self) -> None:
        super().setUp()
        documents = Documents(self.storage, in_thread, RuntimeOptions(Encoding.LATIN1, frozenset()))
        self.seeds = iter(f"{number:064x}" for number in range(1000))
        self.site = InMemorySite(
            SplitMergeRoutes(
                self.index,
                self.bench.engine,
                Instances(self.index, documents),
                lambda: SETTINGS,
                documents.tag_options,
                lambda: next(self.seeds),
            ),
            storage=self.storage,
        )

    def post(self, study: str, action: str, **body: Any) -> Any:
        return self.site.ask("POST", f"/studies/{study}/{action}", json.dumps(body).encode())

    def done(self, study: str, action: str, **body: Any) -> Any:
        """The content of the job, which succeeds."""
        answer = self.post(study, action, Asynchronous=True, **body)
        self.assertEqual(answer.status, 200, answer.body)
        self.bench.pump.run()
        job = self.job(answer.json()["ID"])
        self.assertEqual(job["State"], "Success", job)
        return job["Content"]

    def datasets(self, study: str, without: tuple[str, ...] = ()) -> list[Any]:
        """The instances of a study without some elements, in an order of their own."""

        def read(tx: Any) -> list[str]:
            row = tx.lookup(study, STUDY)
            below = [] if row is None else tx.descendants(row, ResourceType.INSTANCE)
            return [one.public_id for one in below]

        found = []
        for public_id in self.index.read_now(read):
            dataset = pydicom.Dataset()
            dataset.update(pydicom.dcmread(io.BytesIO(self.file(public_id))))
            for name in without:
                del dataset[name]
            found.append(dataset)
        return sorted(found, key=lambda dataset: int(dataset.InstanceNumber))


class SplitMergeTests(SplitMergeCase):
    def test_split_then_merge(self) -> None:
        """The study has its instances back, whatever was split off and was said of it there."""
        (study,) = self.ids(STUDY)
        original = self.datasets(study)
        instances = self.ids()

        @settings(max_examples=12, phases=(Phase.explicit, Phase.generate))
        @given(
            st.sets(st.sampled_from(instances), min_size=1),
            st.booleans(),
            st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=10),
        )
        def check(chosen: set[str], keeps: bool, description: str) -> None:
            SplitMergeCase.setUp(self)
            more = {"Keep": KEPT} if keeps else {}
            target = self.done(
                study,
                "split",
                Instances=sorted(chosen),
                Replace={"StudyDescription": description.replace("\\", "")},
                Remove=["AccessionNumber"],
                **more,
            )["TargetStudy"]
            self.assertEqual(len(self.datasets(target)), len(chosen))
            self.assertEqual(len(self.datasets(study)), self.count - len(chosen))
            if len(chosen) == self.count:
                return  # there is no study left to merge into
            self.done(study, "merge", Resources=[target], **more)
            self.assertEqual(self.ids(STUDY), [study])
            # Text that needs it has made the instances UTF-8, which they stay.
            without = ("SpecificCharacterSet", *(() if keeps else KEPT))
            expected = self.without(original, without)
            self.assertEqual(self.datasets(study, without), expected)
            if keeps:
                self.assertEqual(self.ids(), instances)

        check()

    def without(self, datasets: list[Any], names: tuple[str, ...]) -> list[Any]:
        found = []
        for dataset in datasets:
            copy = deepcopy(dataset)
            for name in names:
                del copy[name]
            found.append(copy)
        return found

    def test_split_keeps_series_apart(self) -> None:
        """Series stay series: as many as there were, with new identifiers."""
        (study,) = self.ids(STUDY)
        before = self.ids(SERIES)
        content = self.done(study, "split", Series=before, KeepSource=True)
        self.assertEqual(content["InstancesCount"], self.count)
        self.assertEqual(len(self.ids(SERIES)), 4)
        uids = {dataset.StudyInstanceUID for dataset in self.datasets(content["TargetStudy"])}
        self.assertEqual(uids, {content["TargetStudyUID"]})

    def test_merge_takes_the_tags_of_the_target(self) -> None:
        """Of patient and study a merged instance says what its new study says, no more."""
        (study,) = self.ids(STUDY)
        target = self.done(
            study,
            "split",
            Instances=self.ids()[:1],
            Replace={"PatientName": "Other^Ünal", "PatientID": "other", "StudyDescription": "x"},
            Remove=["AccessionNumber", "StudyTime"],
        )["TargetStudy"]
        self.done(target, "merge", Resources=[study])
        self.assertEqual(self.ids(STUDY), [target])
        for dataset in self.datasets(target):
            self.assertEqual(str(dataset.PatientName), "Other^Ünal")
            self.assertEqual((dataset.PatientID, dataset.StudyDescription), ("other", "x"))
            self.assertNotIn("AccessionNumber", dataset)
            self.assertNotIn("StudyTime", dataset)

    def test_refusals(self) -> None:
        """What cannot be is refused before a job is made, naming the field or the resource."""
        (study,) = self.ids(STUDY)
        series = self.ids(SERIES)
        for action, body, status, details in (
            ("split", {}, 400, 'Both the "Series" and the "Instances" fields are missing'),
            ("split", {"Series": [1]}, 400, "List of strings expected in field: Series"),
            ("split", {"Series": series, "KeepSource": 3}, 400, "KeepSource"),
            ("split", {"Series": series, "Replace": {"Modality": "OT"}}, 400, "(0008,0060)"),
            ("split", {"Series": series, "Remove": ["0010,0000-0010,ffff"]}, 400, "range"),
            ("split", {"Series": series, "Keep": ["PatientName"]}, 400, "(0010,0010)"),
            ("split", {"Series": series, "Priority": "x"}, 400, "Priority"),
            ("merge", {}, 400, "List of strings expected in field: Resources"),
            ("merge", {"Resources": [study]}, 404, "same study"),
            ("merge", {"Resources": series}, 404, "same study"),
            ("merge", {"Resources": self.ids(ResourceType.PATIENT)}, 404, "Cannot find"),
        ):
            with self.subTest(action=action, body=body):
                answer = self.post(study, action, **body)
                self.assertEqual(answer.status, status)
                self.assertIn(details, answer.json()["Details"])
        self.assertEqual(self.bench.engine.list_ids(), [])
