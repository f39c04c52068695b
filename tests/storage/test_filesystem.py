"""The storage area in a folder; what holds of every storage holds of the fake too."""

import errno
import hashlib
import os
import threading
import zlib
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage import filesystem
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.storage.spool import MEMORY_BYTES
from orthanc_tw.testing.memory_storage import MemoryStorage

SMALL = b"content" * 100
LARGE = os.urandom(1024) * 3000


def counting():
    """A source of UUIDs that spread over folders."""
    count = 0

    def source():
        nonlocal count
        count += 1
        return str(UUID(bytes=hashlib.md5(str(count).encode()).digest()))

    return source


class Mixin:
    def _spool(self, storage, data, step=50_000):
        spool = storage.new_spool()
        for start in range(0, len(data), step):
            spool.write(data[start : start + step])
        return spool

    def test_commit(self):
        """What was spooled can be read under its UUID; sizes and MD5 are told."""
        for data in (b"", SMALL, LARGE):
            storage = self.make()
            stored = storage.commit(self._spool(storage, data))
            self.assertEqual(stored.size_bytes, len(data))
            self.assertEqual(stored.stored_size_bytes, len(data))
            self.assertEqual(stored.md5, hashlib.md5(data).hexdigest())
            self.assertEqual(stored.stored_md5, stored.md5)
            with storage.open(stored.uuid, stored.compression) as file:
                self.assertEqual(file.read(), data)
                file.seek(3)
                self.assertEqual(file.read(4), data[3:7])

    def test_compressed(self):
        """A compressed file has Orthanc's format, and is read uncompressed."""
        for data in (SMALL, LARGE):
            storage = self.make()
            stored = storage.commit(self._spool(storage, data), compress=True)
            self.assertIs(stored.compression, Compression.ZLIB_WITH_SIZE)
            self.assertEqual(stored.md5, hashlib.md5(data).hexdigest())
            with open(storage.path(stored.uuid), "rb") as file:
                raw = file.read()
            self.assertEqual(int.from_bytes(raw[:8], "little"), len(data))
            self.assertEqual(zlib.decompress(raw[8:]), data)
            self.assertEqual(len(raw), stored.stored_size_bytes)
            self.assertEqual(hashlib.md5(raw).hexdigest(), stored.stored_md5)
            with storage.open(stored.uuid, stored.compression) as file:
                self.assertEqual(file.read(), data)

    def test_reader(self):
        """A spool can be read, by several readers, before it is committed."""
        for data in (SMALL, LARGE):
            spool = self._spool(self.make(), data)
            with spool.reader() as one, spool.reader() as two:
                self.assertEqual(one.read(5), two.read(5))
            self.assertEqual(spool.md5(), hashlib.md5(data).hexdigest())
            with open(spool.path, "rb") as file:
                self.assertEqual(file.read(), data)
            spool.discard()
            spool.discard()

    def test_missing(self):
        """A file that is not there is INEXISTENT_FILE; deleting it is no error."""
        storage = self.make()
        uuid = "00000000-0000-4000-8000-00000000abcd"
        storage.delete([uuid])
        error = self.assertRaises(OrthancError, storage.open, uuid, Compression.NONE)
        self.assertIs(error.code, ErrorCode.INEXISTENT_FILE)

    def test_uuids(self):
        """UUIDs come in order; deleted ones are gone."""
        storage = self.make()
        made = [storage.commit(self._spool(storage, SMALL)).uuid for _ in range(20)]
        self.assertEqual(list(storage.uuids()), sorted(made))
        storage.delete(made[:19])
        self.assertEqual(list(storage.uuids()), made[19:])


class MemoryTests(Mixin, SynchronousTestCase):
    def make(self):
        """The fake."""
        return MemoryStorage()


class FilesystemTests(Mixin, SynchronousTestCase):
    def make(self, **options):
        """A storage in a new folder."""
        self.folder = self.mktemp()
        options = {"sync": False, "with_md5": True, "uuid_source": counting(), **options}
        return FilesystemStorage(self.folder, **options)

    def _left_in_spool(self):
        return os.listdir(os.path.join(self.folder, "spool"))

    def test_layout(self):
        """Files lie where Orthanc looks for them."""
        storage = self.make()
        uuid = storage.commit(self._spool(storage, SMALL)).uuid
        self.assertTrue(os.path.exists(os.path.join(self.folder, uuid[:2], uuid[2:4], uuid)))

    def test_small_spools_have_no_file(self):
        """A spool is a file only when it is large, and no file is left of it in the end."""
        storage = self.make()
        small = self._spool(storage, b"x" * MEMORY_BYTES)
        self.assertEqual(self._left_in_spool(), [])
        large = self._spool(storage, LARGE)
        self.assertEqual(len(self._left_in_spool()), 1)
        storage.commit(small)
        storage.commit(large)
        discarded = self._spool(storage, LARGE)
        discarded.discard()
        self.assertEqual(self._left_in_spool(), [])
        error = self.assertRaises(OrthancError, large.reader)
        self.assertIs(error.code, ErrorCode.INEXISTENT_FILE)

    def test_many_chunks(self):
        """More chunks than one system call takes."""
        storage = self.make()
        data = bytes(range(250)) * 20
        stored = storage.commit(self._spool(storage, data, step=1))
        with storage.open(stored.uuid, stored.compression) as file:
            self.assertEqual(file.read(), data)

    def test_no_md5(self):
        """Without StoreMD5ForAttachments nothing is hashed."""
        storage = self.make(with_md5=False)
        for compress in (False, True):
            stored = storage.commit(self._spool(storage, SMALL), compress=compress)
            self.assertEqual((stored.md5, stored.stored_md5), ("", ""))

    def test_sync(self):
        """With SyncStorageArea the file, then its folder, then new folders' parents are synced."""
        synced = []

        def fsync(fd):
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))

        self.patch(filesystem.os, "fsync", fsync)
        uuids = iter(
            ["abcdef01-0000-4000-8000-000000000001", "abcdef01-0000-4000-8000-000000000002"]
        )
        storage = self.make(sync=True, uuid_source=lambda: next(uuids))
        for data in (SMALL, b"other"):
            storage.commit(self._spool(storage, data))
        root = os.path.abspath(self.folder)
        inner = f"{root}/ab/cd"
        self.assertEqual(
            synced,
            [
                f"{inner}/abcdef01-0000-4000-8000-000000000001",
                inner,
                f"{root}/ab",
                root,
                f"{inner}/abcdef01-0000-4000-8000-000000000002",
                inner,
            ],
        )

    def test_sync_of_large_and_compressed(self):
        """Large spools, which are renamed, and compressed files are synced as well."""
        for data, compress in ((LARGE, False), (LARGE, True), (SMALL, True)):
            synced = []
            self.patch(filesystem.os, "fsync", synced.append)
            storage = self.make(sync=True)
            storage.commit(self._spool(storage, data), compress=compress)
            self.assertEqual(len(synced), 4)

    def test_no_sync(self):
        """Without it nothing is synced."""
        synced = []
        self.patch(filesystem.os, "fsync", synced.append)
        storage = self.make()
        storage.commit(self._spool(storage, SMALL))
        self.assertEqual(synced, [])

    def test_full_disk(self):
        """A full disk is FULL_STORAGE, leaves no half file, and the spool can be discarded."""
        storage = self.make(sync=True)

        def fsync(fd):
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(filesystem.os, "fsync", fsync)
        for data, compress in ((SMALL, False), (SMALL, True), (LARGE, False)):
            spool = self._spool(storage, data)
            error = self.assertRaises(OrthancError, storage.commit, spool, compress=compress)
            self.assertIs(error.code, ErrorCode.FULL_STORAGE)
            spool.discard()
        self.assertEqual(list(storage.uuids()), [])
        self.assertEqual(self._left_in_spool(), [])

    def test_other_errors(self):
        """Another error of the disk says so."""
        storage = self.make(sync=True)

        def fsync(fd):
            raise OSError(errno.EIO, "Input/output error")

        self.patch(filesystem.os, "fsync", fsync)
        error = self.assertRaises(OrthancError, storage.commit, self._spool(storage, SMALL))
        self.assertIs(error.code, ErrorCode.FILE_STORAGE_CANNOT_WRITE)

    def test_corrupted(self):
        """A damaged compressed file is CORRUPTED_FILE, and leaves nothing behind."""
        storage = self.make()
        stored = storage.commit(self._spool(storage, LARGE), compress=True)
        path = storage.path(stored.uuid)
        with open(path, "rb") as file:
            raw = file.read()
        for damaged in (
            raw[:-5],
            raw[:4],
            raw[:8] + b"\xff" * 100,
            (1).to_bytes(8, "little") + raw[8:],
            (1 << 40).to_bytes(8, "little") + raw[8:],
        ):
            with open(path, "wb") as file:
                file.write(damaged)
            error = self.assertRaises(OrthancError, storage.open, stored.uuid, stored.compression)
            self.assertIs(error.code, ErrorCode.CORRUPTED_FILE)
        self.assertEqual(self._left_in_spool(), [])

    def test_clear_spool(self):
        """What a killed server left in the spool folder is removed at start."""
        storage = self.make()
        self._spool(storage, LARGE)
        storage.clear_spool()
        self.assertEqual(self._left_in_spool(), [])

    def test_strangers(self):
        """Files that are not ours, in the folder or beside our files, are none of our UUIDs."""
        storage = self.make()
        uuid = storage.commit(self._spool(storage, SMALL)).uuid
        for name in (
            "index-tw.db",
            "jobs",
            f"{uuid[:2]}/note",
            f"{uuid[:2]}/{uuid[2:4]}/{uuid}.bak",
        ):
            with open(os.path.join(self.folder, name), "w"):
                pass
        self.assertEqual(list(storage.uuids()), [uuid])

    def test_observed(self):
        """Durations and bytes are told."""
        seen = {}
        ticks = iter(range(100))
        storage = self.make(observe=seen.__setitem__, timer=lambda: next(ticks) / 1000)
        storage.commit(self._spool(storage, SMALL))
        self.assertEqual(seen["orthanc_storage_written_bytes"], len(SMALL))
        self.assertAlmostEqual(seen["orthanc_storage_create_duration_ms"], 1.0)

    def test_threads(self):
        """Commits in several threads do not get in each other's way."""
        storage = self.make(sync=True)
        spools = [self._spool(storage, b"%d" % number) for number in range(40)]
        stored = []

        def work(mine):
            stored.extend(storage.commit(spool) for spool in mine)

        threads = [threading.Thread(target=work, args=(spools[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(storage.uuids()), sorted(file.uuid for file in stored))
        self.assertEqual(len(stored), 40)
