"""The storage area that keeps no DICOM files."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.index_only import IndexOnlyStorage
from orthanc_tw.storage.interface import Storage
from orthanc_tw.testing.memory_storage import MemoryStorage


class IndexOnlyStorageTests(SynchronousTestCase):
    def test_commit(self) -> None:
        """Size and MD5 are those of the file, of which nothing is left."""
        memory = MemoryStorage()
        storage: Storage = IndexOnlyStorage(memory, lambda: "a-uuid")
        spool = storage.new_spool()
        spool.write(b"content")
        file = storage.commit(spool, compress=True)
        self.assertEqual((file.uuid, file.size_bytes, file.stored_size_bytes), ("a-uuid", 7, 7))
        self.assertEqual(file.md5, "9a0364b9e99bb480dd25e1f0284c8555")
        self.assertIs(file.compression, Compression.NONE)
        self.assertEqual((memory.files, memory.spools), ({}, set()))
        with self.assertRaises(OrthancError) as caught:
            storage.open(file.uuid, file.compression)
        self.assertIs(caught.exception.code, ErrorCode.INEXISTENT_FILE)
