"""The copy of the header that is kept beside a compressed file."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.rest.browsing import DATA, Server

PIXELS = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
    "SC_rgb_rle.dcm",
]
NAMES = [f"test_files/{name}" for name in (*PIXELS, "rtplan.dcm")]


class HeaderCopyTests(SynchronousTestCase):
    """With StorageCompression, and without."""

    def test_same_tags(self) -> None:
        """Tags, header and module are the same whether they come from the copy or not."""
        plain, compressed = Server(), Server({"StorageCompression": True})
        copies = 0
        for name in NAMES:
            public_id = plain.upload(name)["ID"]
            self.assertEqual(compressed.upload(name)["ID"], public_id)
            attachments = f"/instances/{public_id}/attachments"
            self.assertEqual(plain.ask("GET", attachments).json(), ["dicom"])
            copies += "dicom-until-pixel-data" in compressed.ask("GET", attachments).json()
            for path in ("tags", "simplified-tags", "header", "module", "tags?whole", "content"):
                path = f"/instances/{public_id}/{path}"
                expected = plain.ask("GET", path)
                self.assertEqual(compressed.ask("GET", path).body, expected.body, path)
        self.assertGreater(copies, 3)
        for path in ("/patients", "/instances?expand&requested-tags=Rows;StationName"):
            self.assertEqual(
                len(compressed.ask("GET", path).json()), len(plain.ask("GET", path).json())
            )

    def test_prefix(self) -> None:
        """The copy is what is before the pixel data, byte for byte."""
        server = Server({"StorageCompression": True})
        public_id = server.upload(NAMES[0])["ID"]
        path = f"/instances/{public_id}"
        copy = server.ask("GET", f"{path}/attachments/dicom-until-pixel-data/data").body
        offset = int(server.ask("GET", f"{path}/metadata/PixelDataOffset").body)
        self.assertEqual(copy, (DATA / NAMES[0]).read_bytes()[:offset])

    def test_deleted(self) -> None:
        """It goes with its instance."""
        server = Server({"StorageCompression": True})
        public_id = server.upload(NAMES[0])["ID"]
        self.assertEqual(len(server.storage.files), 2)
        server.ask("DELETE", f"/instances/{public_id}")
        self.assertEqual(server.storage.files, {})

    def test_limit(self) -> None:
        """It counts against MaximumStorageSize, when room is made for an instance too."""
        server = Server(
            {"StorageCompression": True, "MaximumStorageSize": 1, "MaximumStorageMode": "Reject"}
        )
        most = 1024 * 1024
        statuses = []
        for number in range(60):
            data = (DATA / NAMES[0]).read_bytes()
            uid = b"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
            data = data.replace(uid, uid[:-2] + b"%02d" % number)
            statuses.append(server.ask("POST", "/instances", data).status)
            used = int(server.ask("GET", "/statistics").json()["TotalDiskSize"])
            self.assertLessEqual(used, most)
            if statuses[-1] != 200:
                break
        self.assertEqual(statuses[-1], 507)
        self.assertGreater(used, most * 0.9)

    def test_full_disk(self) -> None:
        """Nothing is left behind if there is no room."""
        server = Server({"StorageCompression": True})
        server.storage.fail_commit = OrthancError(ErrorCode.FULL_STORAGE)
        answer = server.ask("POST", "/instances", (DATA / NAMES[0]).read_bytes())
        self.assertEqual(answer.status, 507)
        self.assertEqual((server.storage.files, server.storage.spools), ({}, set()))

    def test_stored_twice(self) -> None:
        """What is stored already leaves no second copy."""
        server = Server({"StorageCompression": True, "OverwriteInstances": "IfChanged"})
        for _ in range(2):
            server.upload(NAMES[0])
        self.assertEqual(len(server.storage.files), 2)
