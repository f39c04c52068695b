"""A search loads what it answers, and no more: rows are counted as they leave the index."""

import json

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.find import FindSettings
from orthanc_tw.index.read_transaction import SqliteReadTransaction
from tests.rest.browsing import Server

FILES = [
    *(f"test_files/dicomdirtests/77654033/CT2/{n}" for n in (17106, 17136, 17166, 17196)),
    *(f"test_files/dicomdirtests/98892001/CT5N/{n}" for n in (2062, 2392, 2693, 3023, 3353)),
    "test_files/CT_small.dcm",
    "test_files/MR_small.dcm",
]
DATE = [{"Type": "DicomTag", "Key": "StudyDate", "Direction": "DESC"}]
NUMBER = [{"Type": "DicomTagAsInt", "Key": "InstanceNumber", "Direction": "ASC"}]


class EconomyTests(SynchronousTestCase):
    def setUp(self):
        """11 instances; slices of 4; counters on what is read."""
        self.server = Server(
            find=FindSettings(candidates_per_slice=4, rows_per_slice=4, files_per_slice=2)
        )
        for name in FILES:
            self.server.upload(name)
        self.rows, self.records, self.files = [], [], 0
        self._watch("find", self.rows)
        self._watch("find_identifiers", self.rows)
        self._watch("page", self.rows)
        self._watch("expand", self.records)
        texts = Documents.texts

        def counted(documents, *args):
            self.files += 1
            return texts(documents, *args)

        self.patch(Documents, "texts", counted)

    def _watch(self, name, sizes):
        real = getattr(SqliteReadTransaction, name)

        def watched(tx, *args, **how):
            found = real(tx, *args, **how)
            sizes.append(len(found))
            return found

        self.patch(SqliteReadTransaction, name, watched)

    def ask(self, level, query, **more):
        """Rows found, records expanded and the answer."""
        self.rows.clear()
        self.records.clear()
        body = json.dumps({"Level": level, "Query": query, **more}).encode()
        answer = self.server.site.ask("POST", "/tools/find", body)
        self.assertEqual(answer.status, 200)
        return sum(self.rows), sum(self.records), answer.json()

    def test_limit(self):
        """A page is as many rows as it has entries."""
        rows, records, found = self.ask("Instance", {}, Limit=3)
        self.assertEqual((rows, records, len(found)), (3, 0, 3))
        rows, records, found = self.ask("Instance", {"PatientName": "*"}, Limit=3, Expand=True)
        self.assertEqual((rows, records, len(found)), (3, 3, 3))

    def test_since(self):
        """What comes before a page is not read."""
        rows, records, found = self.ask("Instance", {"Modality": "CT"}, Since=6, Limit=2)
        self.assertEqual((rows, records, len(found)), (2, 0, 2))

    def test_slices(self):
        """A long answer comes in slices, each row once."""
        rows, records, found = self.ask("Instance", {"Modality": "CT"}, Expand=True)
        self.assertEqual((rows, records, len(found)), (10, 10, 10))
        self.assertEqual(len({item["ID"] for item in found}), 10)
        self.assertLessEqual(max(self.rows), 4)
        self.assertLessEqual(max(self.records), 2)

    def test_order(self):
        """What is ordered is ordered by the index: only the page is expanded."""
        rows, records, found = self.ask("Instance", {}, OrderBy=NUMBER, Limit=2, Expand=True)
        self.assertEqual((rows, records, len(found)), (2, 2, 2))
        rows, records, found = self.ask("Study", {}, OrderBy=DATE, Limit=1)
        self.assertEqual((rows, records, len(found)), (1, 0, 1))

    def test_files(self):
        """Files are opened until the page is full, of the candidates of the index alone."""
        _, _, found = self.ask("Instance", {"ImageType": "*", "Modality": "MR"})
        self.assertEqual((self.files, len(found)), (1, 1))
        self.files = 0
        self.ask("Instance", {"ImageType": "*"}, Limit=1)
        self.assertEqual(self.files, 2)

    def test_identifiers_only(self):
        """Without Expand nothing is loaded of what is found."""
        _, records, found = self.ask("Study", {"PatientID": "*"})
        self.assertEqual((records, len(found)), (0, 4))
