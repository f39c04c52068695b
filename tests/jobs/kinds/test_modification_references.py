"""Objects that refer to each other, through jobs: presentation state, segmentation, key objects."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.modification.studies import merge_into, split_into
from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.dicom.modification.request import parse_modify
from orthanc_tw.jobs.interface import JobRequest
from orthanc_tw.jobs.kinds.modification_parameters import (
    MERGE_STUDY,
    SPLIT_STUDY,
    ModificationParameters,
)
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.model.resource import Resource
from tests.dicom.modification.support import dataset, item, save
from tests.jobs.kinds.modifying import SEED, SETTINGS, STUDY, ModificationCase

_IMAGE_CLASS = "1.2.840.10008.5.1.4.1.1.4"
_SERIES = ResourceType.SERIES
_KEEP = {"Keep": ["SeriesInstanceUID", "SOPInstanceUID"], "Force": True, "KeepSource": False}
_PATIENT = {"0010,0010": "Doe^Jane", "0010,0020": "PID-4711", "0020,000d": "1.2.3"}


def _image() -> Dataset:
    return item(ReferencedSOPClassUID=_IMAGE_CLASS, ReferencedSOPInstanceUID="1.2.3.4.5")


def _series() -> Dataset:
    return item(SeriesInstanceUID="1.2.3.4", ReferencedSOPSequence=[_image()])


def _in_series(kind: str, number: int, **values: Any) -> bytes:
    series = f"1.2.3.{number}"
    return save(
        dataset(
            SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}",
            SeriesInstanceUID=series,
            SOPInstanceUID=f"{series}.1",
            **values,
        )
    )


class ReferencesTests(ModificationCase):
    """An image, and three objects of other series that refer to it and to another study."""

    count = 0

    def setUp(self) -> None:
        super().setUp()
        elsewhere = item(ReferencedSOPClassUID=_IMAGE_CLASS, ReferencedSOPInstanceUID="9.8.7")
        reference = item(SeriesInstanceUID="1.2.3.4", ReferencedImageSequence=[_image()])
        evidence = item(StudyInstanceUID="1.2.3", ReferencedSeriesSequence=[_series()])
        segmented = item(ReferencedInstanceSequence=[_image()], SeriesInstanceUID="1.2.3.4")
        frame = item(DerivationImageSequence=[item(SourceImageSequence=[_image(), elsewhere])])
        content = item(ValueType="IMAGE", ReferencedSOPSequence=[_image()])
        for data in (
            save(dataset()),
            _in_series("11.1", 6, ReferencedSeriesSequence=[reference]),
            _in_series(
                "66.4",
                7,
                ReferencedSeriesSequence=[segmented],
                PerFrameFunctionalGroupsSequence=[frame],
            ),
            _in_series(
                "88.59",
                8,
                CurrentRequestedProcedureEvidenceSequence=[evidence],
                ContentSequence=[content],
            ),
        ):
            self.composition.upload(data)

    def objects(self, *public_ids: str) -> dict[str, Dataset]:
        """Data sets by the last part of their SOP class."""
        loaded = [pydicom.dcmread(io.BytesIO(self.file(one))) for one in public_ids]
        prefix = "1.2.840.10008.5.1.4.1.1."
        return {str(one.SOPClassUID).removeprefix(prefix): one for one in loaded}

    def check(self, found: Mapping[str, Dataset]) -> Dataset:
        """All references lead to the image that is among these; answers it."""
        image, state, segmentation, keys = (found[kind] for kind in ("4", "11.1", "66.4", "88.59"))
        series = [
            state.ReferencedSeriesSequence[0],
            segmentation.ReferencedSeriesSequence[0],
            keys.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0],
        ]
        images = [
            series[0].ReferencedImageSequence[0],
            series[1].ReferencedInstanceSequence[0],
            series[2].ReferencedSOPSequence[0],
            segmentation.PerFrameFunctionalGroupsSequence[0]
            .DerivationImageSequence[0]
            .SourceImageSequence[0],
            keys.ContentSequence[0].ReferencedSOPSequence[0],
        ]
        self.assertEqual({one.SeriesInstanceUID for one in series}, {image.SeriesInstanceUID})
        self.assertEqual({one.ReferencedSOPInstanceUID for one in images}, {image.SOPInstanceUID})
        self.assertEqual({one.ReferencedSOPClassUID for one in images}, {_IMAGE_CLASS})
        study = keys.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID
        self.assertEqual(study, image.StudyInstanceUID)
        return image

    def elsewhere(self, found: Mapping[str, Dataset]) -> str:
        """What the reference to an instance of another study has become."""
        frame = found["66.4"].PerFrameFunctionalGroupsSequence[0]
        uid = frame.DerivationImageSequence[0].SourceImageSequence[1].ReferencedSOPInstanceUID
        return str(uid)

    def study_job(self, kind: str, modification: Modification, *resources: Resource) -> None:
        """Run a split or a merge."""
        parameters = ModificationParameters(
            modification, resources, 0, StoreOrigin(RequestOrigin.REST_API), target_study="x"
        )
        fired: list[str] = []
        self.bench.engine.submit(JobRequest(kind, parameters.to_json())).addCallback(fired.append)
        self.bench.pump.run()
        self.assertEqual(self.job(fired[0])["State"], "Success", self.job(fired[0]))

    def test_modified(self) -> None:
        """A modification lets references follow within the job, and leaves all others."""
        sources = set(self.ids())
        body = {"Replace": {"StudyDescription": "new"}}
        self.submit(parse_modify(body, STUDY, SETTINGS, seed=SEED))
        found = self.objects(*(set(self.ids()) - sources))
        self.assertNotEqual(self.check(found).SOPInstanceUID, "1.2.3.4.5")
        self.assertEqual(self.elsewhere(found), "9.8.7")

    def test_modified_to_a_study(self) -> None:
        """A study that the request names is the one that members are said to be of."""
        sources = set(self.ids())
        body = {"Replace": {"StudyInstanceUID": "1.9"}, "Force": True}
        self.submit(parse_modify(body, STUDY, SETTINGS, seed=SEED))
        found = self.objects(*(set(self.ids()) - sources))
        self.assertEqual(self.check(found).StudyInstanceUID, "1.9")

    def test_anonymized(self) -> None:
        """An anonymization lets all references follow, and replaces those that lead elsewhere."""
        sources = set(self.ids())
        self.submit(self.anonymization(Conformant=True))
        found = self.objects(*(set(self.ids()) - sources))
        self.assertNotEqual(self.check(found).SOPInstanceUID, "1.2.3.4.5")
        self.assertNotEqual(self.elsewhere(found), "9.8.7")

    def test_members_of_a_series(self) -> None:
        """Modifying one series leaves its references to the others as they are."""
        sources = set(self.ids())
        (series,) = (
            row.public_id
            for row in self.index.read_now(lambda tx: tx.lookup_identifier("0020,000e", "1.2.3.6"))
        )
        self.submit(parse_modify({}, _SERIES, SETTINGS, seed=SEED), Resource(_SERIES, series))
        (state,) = self.objects(*(set(self.ids()) - sources)).values()
        reference = state.ReferencedSeriesSequence[0]
        self.assertEqual(reference.SeriesInstanceUID, "1.2.3.4")
        self.assertEqual(reference.ReferencedImageSequence[0].ReferencedSOPInstanceUID, "1.2.3.4.5")

    def test_split_and_merged(self) -> None:
        """Splitting series off and merging them back gives the instances of the study."""
        before = {one: self.file(one) for one in self.ids()}
        moved = [
            Resource(_SERIES, row.public_id)
            for uid in ("1.2.3.4", "1.2.3.8")
            for row in self.index.read_now(
                lambda tx, uid=uid: tx.lookup_identifier("0020,000e", uid)
            )
        ]
        (study,) = self.ids(STUDY)
        plan = parse_modify(_KEEP, _SERIES, SETTINGS, seed=SEED)
        self.study_job(SPLIT_STUDY, split_into(plan, "1.2.3")[0], *moved)
        (other,) = set(self.ids(STUDY)) - {study}
        self.assertEqual(len(self.ids()), 4)
        split = self.objects(*self.ids())
        # The study of the image is said by objects that moved with it
        self.assertEqual(
            split["88.59"].CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID,
            split["4"].StudyInstanceUID,
        )
        again = parse_modify(_KEEP, _SERIES, SETTINGS, seed="6b" * 32)
        self.study_job(MERGE_STUDY, merge_into(again, _PATIENT), Resource(STUDY, other))
        self.assertEqual(self.ids(STUDY), [study])
        self.assertEqual(set(self.ids()), set(before))
        self.check(self.objects(*self.ids()))
        for public_id, data in before.items():
            self.assertEqual(
                pydicom.dcmread(io.BytesIO(self.file(public_id))),
                pydicom.dcmread(io.BytesIO(data)),
            )

    def test_merged_with_new_identifiers(self) -> None:
        """A merge that keeps no UIDs gives all of them anew; references still hold."""
        sources = set(self.ids())
        plan = parse_modify({"KeepSource": True}, _SERIES, SETTINGS, seed=SEED)
        target = {**_PATIENT, "0020,000d": "1.7"}
        (study,) = self.ids(STUDY)
        self.study_job(MERGE_STUDY, merge_into(plan, target), Resource(STUDY, study))
        found = self.objects(*(set(self.ids()) - sources))
        self.assertEqual(self.check(found).StudyInstanceUID, "1.7")

    def test_half_way(self) -> None:
        """The members of a job that is under way stand in its folder, for whoever goes on."""
        self.workers.limit = 1
        sources = set(self.ids())
        job = self.submit(parse_modify({}, STUDY, SETTINGS, seed=SEED))
        self.assertIn("members.txt", os.listdir(os.path.join(self.folder, job)))
        self.workers.limit = 1_000_000
        self.workers.go()
        self.bench.pump.run()
        self.assertEqual(self.job(job)["State"], "Success")
        self.check(self.objects(*(set(self.ids()) - sources)))
