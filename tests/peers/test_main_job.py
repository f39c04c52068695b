from __future__ import annotations

import hashlib
import io
import json
import unittest
import zipfile
from pathlib import Path

import pydicom

from tests.peers.process import OrthancProcess

DATA = Path(pydicom.__file__).parent / "data"


class MainJobTests(unittest.TestCase):
    """Receive a study, archive it as an asynchronous job, watch it, download it."""

    def setUp(self) -> None:
        self.server = OrthancProcess(StableAge=600)
        self.addCleanup(self.server.destroy)
        self.sent: dict[str, str] = {}
        for path in sorted((DATA / "test_files").rglob("*")):
            if not path.is_file():
                continue
            content = path.read_bytes()
            status, _, body = self.server.request("POST", "/instances", content)
            if status == 200:
                answer = json.loads(body)
                for item in answer if isinstance(answer, list) else [answer]:
                    if item["Status"] == "Success":
                        self.sent[item["ID"]] = hashlib.md5(content).hexdigest()
            else:
                assert status in (400, 404), (path, status, body)

    def test_every_file_comes_back(self) -> None:
        """What was sent is given back byte for byte, and the statistics count it."""
        self.assertGreater(len(self.sent), 70)
        for instance, md5 in self.sent.items():
            status, _, body = self.server.request("GET", f"/instances/{instance}/file")
            self.assertEqual(200, status)
            self.assertEqual(md5, hashlib.md5(body).hexdigest())
        self.assertEqual(len(self.sent), self.server.json("GET", "/statistics")["CountInstances"])

    def test_asynchronous_archive(self) -> None:
        """Each study is archived by a job whose output holds the same bytes as were sent."""
        for study in self.server.json("GET", "/studies"):
            job = self.server.json("POST", f"/studies/{study}/archive", {"Asynchronous": True})
            self.assertEqual({"ID", "Path"}, set(job))
            done = self.server.wait_for_job(job["ID"])
            self.assertEqual("Success", done["State"], done)
            self.assertEqual(100, done["Progress"])
            status, headers, body = self.server.request("GET", f"{job['Path']}/archive")
            self.assertEqual((200, "application/zip"), (status, headers["content-type"]))
            archive = zipfile.ZipFile(io.BytesIO(body))
            found = sorted(
                hashlib.md5(archive.read(name)).hexdigest() for name in archive.namelist()
            )
            instances = self.server.json("GET", f"/studies/{study}/instances")
            self.assertEqual(sorted(self.sent[item["ID"]] for item in instances), found)

    def test_media_has_a_readable_dicomdir(self) -> None:
        """The media archive of a patient holds a DICOMDIR that names every file of it."""
        for patient in self.server.json("GET", "/patients"):
            status, _, body = self.server.request("GET", f"/patients/{patient}/media")
            self.assertEqual(200, status)
            archive = zipfile.ZipFile(io.BytesIO(body))
            self.assertIsNone(archive.testzip())
            directory = pydicom.dcmread(io.BytesIO(archive.read("DICOMDIR")))
            named = {
                "/".join(record.ReferencedFileID)
                for record in directory.DirectoryRecordSequence
                if "ReferencedFileID" in record
            }
            self.assertEqual(set(archive.namelist()) - {"DICOMDIR"}, named)

    def test_character_sets(self) -> None:
        """The names of pydicom's character set files come out as correct UTF-8."""
        expected = {
            "chrArab.dcm": "قباني^لنزار",
            "chrFren.dcm": "Buc^Jérôme",
            "chrGerm.dcm": "Äneas^Rüdiger",
            "chrGreek.dcm": "Διονυσιος",
            "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
            "chrHbrw.dcm": "שרון^דבורה",
            "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
            "chrRuss.dcm": "Люкceмбypг",
            "chrX1.dcm": "Wang^XiaoDong=王^小東=",
            "chrX2.dcm": "Wang^XiaoDong=王^小东=",
        }
        server = OrthancProcess(StableAge=600)
        self.addCleanup(server.destroy)
        for name, value in expected.items():
            content = (DATA / "charset_files" / name).read_bytes()
            status, _, body = server.request("POST", "/instances", content)
            self.assertEqual(200, status, body)
            tags = server.json("GET", f"{json.loads(body)['Path']}/simplified-tags")
            self.assertEqual(value, tags["PatientName"], name)
