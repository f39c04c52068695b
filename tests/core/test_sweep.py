"""The sweep at start."""

import os

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.sweep import Sweep, SweepResult
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.testing.memory_index import MemoryIndex
from tests.rest.composition import Composition, in_thread, test_file
from tests.storage.test_filesystem import counting

FILES = [
    "test_files/MR_small.dcm",
    "test_files/CT_small.dcm",
    "test_files/rtplan.dcm",
    "test_files/rtstruct.dcm",
    "test_files/dicomdirtests/77654033/CR1/6154",
]


class SweepTests(SynchronousTestCase):
    def _restarted(self):
        """The storage as the next process finds it, over the same folder."""
        return FilesystemStorage(
            self.folder, sync=False, with_md5=True, uuid_source=lambda: next(self.uuids)
        )

    def setUp(self):
        """Five instances in index and storage, and three files that nobody knows."""
        self.folder = self.mktemp()
        source = counting()
        self.uuids = iter(source, None)
        self.storage = self._restarted()
        self.composition = Composition(storage=self.storage)
        for name in FILES:
            self.assertEqual(self.composition.upload(test_file(name)).status, 200)
        self.known = list(self.storage.uuids())
        self._add_orphans()

    def _add_orphans(self):
        for _ in range(3):
            spool = self.storage.new_spool()
            spool.write(b"orphan")
            self.storage.commit(spool)

    def _sweep(self, storage, index=None, **options):
        sweep = Sweep(storage, index or self.composition.index, **options)
        while not sweep.is_over:
            sweep.next_slice()
        return sweep.result

    def test_orphans(self):
        """Files without a row are removed, whatever the size of the slices; others stay."""
        for rows, folders in ((1, 1), (2, 1), (3, 2), (5, 100), (100, 1), (100, 100)):
            storage = self._restarted()
            result = self._sweep(storage, rows_per_slice=rows, folders_per_slice=folders)
            self.assertEqual(result, SweepResult(removed=3, missing=0))
            self.assertEqual(list(storage.uuids()), self.known)
            self._add_orphans()

    def test_slices_are_short(self):
        """A slice lists no more folders than it may, even if there is nothing in them."""
        for number in range(20):
            os.makedirs(os.path.join(self.folder, "ff", f"{number:02x}"))
        sweep = Sweep(self._restarted(), MemoryIndex(), folders_per_slice=5)
        slices = 0
        while not sweep.is_over:
            sweep.next_slice()
            slices += 1
        self.assertGreaterEqual(slices, 4)
        self.assertEqual(sweep.result, SweepResult(removed=8, missing=0))

    def test_deleted_meanwhile(self):
        """What a client deletes between two slices is no orphan, and is not missing."""
        storage = self._restarted()
        index = self.composition.index
        sweep = Sweep(storage, index, rows_per_slice=1)
        sweep.next_slice()
        deleter = ResourceDeleter(index, storage, in_thread, lambda: 0.0)
        for row in index.read_now(lambda tx: tx.page(ResourceType.PATIENT)):
            self.successResultOf(deleter.delete(row.public_id))
        while not sweep.is_over:
            sweep.next_slice()
        self.assertEqual(sweep.result, SweepResult(removed=3, missing=0))

    def test_missing(self):
        """Rows without a file are logged, and counted."""
        storage = self._restarted()
        storage.delete([self.known[0], self.known[3]])
        result = self._sweep(storage, rows_per_slice=2)
        self.assertEqual(result, SweepResult(removed=3, missing=2))

    def test_ingested_meanwhile(self):
        """A file that this process has just made, whose row is on its way, is left alone."""
        result = self._sweep(self.storage)
        self.assertEqual(result, SweepResult(removed=0, missing=0))
        self.assertEqual(len(list(self.storage.uuids())), 8)

    def test_empty_index(self):
        """An empty index names no files."""
        result = self._sweep(self._restarted(), MemoryIndex())
        self.assertEqual(result, SweepResult(removed=8, missing=0))

    def test_empty_storage(self):
        """An empty folder has no files."""
        self.folder = self.mktemp()
        result = self._sweep(self._restarted(), MemoryIndex())
        self.assertEqual(result, SweepResult(removed=0, missing=0))
