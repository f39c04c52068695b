"""Deletion of resources with their files."""

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.model.levels import ResourceType
from tests.rest.composition import NOW_S, Composition, in_thread, test_file


class DeleteTests(SynchronousTestCase):
    def setUp(self):
        """Two series of a study, and another patient."""
        self.composition = Composition()
        self.answers = [
            self.composition.upload(test_file(f"test_files/{name}")).json()
            for name in (
                "dicomdirtests/77654033/CR1/6154",
                "dicomdirtests/77654033/CR2/6247",
                "MR_small.dcm",
            )
        ]
        self.deleter = ResourceDeleter(
            self.composition.index, self.composition.storage, in_thread, lambda: NOW_S
        )

    def test_series(self):
        """A series goes with its files; its study stays and is told."""
        outcome = self.successResultOf(self.deleter.delete(self.answers[0]["ParentSeries"]))
        self.assertEqual(outcome.remaining_ancestor.public_id, self.answers[0]["ParentStudy"])
        self.assertEqual(len(self.composition.storage.files), 2)

    def test_patient(self):
        """A patient goes with everything below."""
        outcome = self.successResultOf(
            self.deleter.delete(self.answers[0]["ParentPatient"], ResourceType.PATIENT)
        )
        self.assertIsNone(outcome.remaining_ancestor)
        self.assertEqual(len(self.composition.storage.files), 1)

    def test_unknown(self):
        """What is not there, or is of another level, is None."""
        public_id = self.answers[0]["ParentSeries"]
        for level in (None, ResourceType.STUDY):
            wanted = public_id if level else "no"
            self.assertIsNone(self.successResultOf(self.deleter.delete(wanted, level)))
        self.assertEqual(len(self.composition.storage.files), 3)
