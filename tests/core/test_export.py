"""Exports: into one folder, durable, and never anywhere else."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.export import MAXIMUM_DEPTH, Exporter, ExportSettings
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression, ContentType
from orthanc_tw.testing.memory_storage import MemoryStorage

CONTENT = b"DICM" * 1000


class ExportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.folder = self.root / "export"
        self.folder.mkdir(parents=True)
        (self.root / "secret").write_bytes(b"untouched")
        self.storage = MemoryStorage()
        spool = self.storage.new_spool()
        spool.write(CONTENT)
        file = self.storage.commit(spool, compress=True)
        self.attachment = Attachment(
            file.uuid,
            ContentType.DICOM,
            file.size_bytes,
            file.md5,
            file.stored_size_bytes,
            file.stored_md5,
            Compression.ZLIB_WITH_SIZE,
        )
        self.exporter = Exporter(
            self.storage, maybeDeferred, ExportSettings(str(self.folder)), lambda: "name"
        )

    def export(self, path: str) -> Deferred[None]:
        return maybeDeferred(self.exporter.export, self.attachment, path)

    def assert_refused(self, path: str, code: ErrorCode) -> None:
        error = self.failureResultOf(self.export(path), OrthancError).value
        self.assertEqual(error.code, code, path)
        self.assertEqual((self.root / "secret").read_bytes(), b"untouched")
        self.assertEqual(
            [one for one in self.root.rglob("*") if one.is_file()], [self.root / "secret"]
        )

    def test_written(self) -> None:
        """A relative path, or an absolute one below the folder, gets the uncompressed content."""
        for path in ("a.dcm", "new/folder/b.dcm", f"{self.folder}/c.dcm", " d.dcm\n"):
            self.successResultOf(self.export(path))
            target = self.folder / path.strip()
            self.assertEqual(target.read_bytes(), CONTENT)
            self.assertFalse(list(target.parent.glob(".*")))

    def test_replaced(self) -> None:
        """A file that is there is replaced as a whole."""
        (self.folder / "a.dcm").write_bytes(b"old")
        self.successResultOf(self.export("a.dcm"))
        self.assertEqual((self.folder / "a.dcm").read_bytes(), CONTENT)

    def test_outside(self) -> None:
        """Nothing outside of the folder can be named."""
        deep = "/".join(["a"] * (MAXIMUM_DEPTH + 1))
        for path in ("", ".", "../secret", "a/../../secret", "/etc/x", "a\0b", deep):
            self.assert_refused(path, ErrorCode.PARAMETER_OUT_OF_RANGE)
        self.assert_refused(str(self.root / "secret"), ErrorCode.PARAMETER_OUT_OF_RANGE)

    def test_links(self) -> None:
        """A symbolic link to a folder is not followed; one to a file is replaced by the file."""
        (self.folder / "out").symlink_to(self.root)
        self.assert_refused("out/secret", ErrorCode.PARAMETER_OUT_OF_RANGE)
        (self.folder / "file").symlink_to(self.root / "secret")
        self.successResultOf(self.export("file"))
        self.assertFalse((self.folder / "file").is_symlink())
        self.assertEqual((self.root / "secret").read_bytes(), b"untouched")

    def test_folder_in_the_way(self) -> None:
        """A path that is a folder is refused, and nothing is left behind."""
        (self.folder / "a").mkdir()
        self.assert_refused("a", ErrorCode.PARAMETER_OUT_OF_RANGE)

    def test_folder_missing(self) -> None:
        """A folder that is not there is the fault of the server's configuration."""
        os.rmdir(self.folder)
        self.assert_refused("a.dcm", ErrorCode.CANNOT_WRITE_FILE)
