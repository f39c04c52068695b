from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import random
import threading
import time
import unittest

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from benchmarks.data import Sample, make_instance
from tests.peers.process import OrthancProcess
from tests.ports import free_port


class KillTests(unittest.TestCase):
    """What was answered as Success survives SIGKILL at any moment."""

    def setUp(self) -> None:
        self.count = int(os.environ.get("ORTHANC_TW_KILL_UPLOADS", "300"))
        self.kills = int(os.environ.get("ORTHANC_TW_KILLS", "4"))
        self.server = OrthancProcess(SyncStorageArea=True, StableAge=600)
        self.addCleanup(self.server.destroy)
        self.answered: dict[str, str] = {}
        self.lock = threading.Lock()

    def upload(self, work: list[Sample]) -> None:
        """Send until all is answered; a broken connection means to try again."""
        while True:
            with self.lock:
                if not work:
                    return
                sample = work.pop()
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
                try:
                    connection.request("POST", "/instances", sample.content)
                    answer = connection.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
                    continue
                finally:
                    connection.close()
                break
            assert answer.status == 200, body
            with self.lock:
                self.answered[json.loads(body)["ID"]] = hashlib.md5(sample.content).hexdigest()

    def test_uploads(self) -> None:
        """Every instance answered is there with its MD5; no row without a file, nor reverse."""
        work = [make_instance(n // 10, 1, n, 48) for n in range(self.count)]
        threads = [threading.Thread(target=self.upload, args=(work,)) for _ in range(4)]
        chance = random.Random(20261121)
        for thread in threads:
            thread.start()
        for number in range(self.kills):
            goal = self.count * (number + chance.random()) / (self.kills + 1)
            while len(self.answered) < goal and any(thread.is_alive() for thread in threads):
                time.sleep(0.002)
            self.server.kill()
            self.server.start()
        for thread in threads:
            thread.join()
        self.server.kill()
        self.server.start()
        self.assertEqual(self.count, len(self.answered))
        self.assertEqual(sorted(self.answered), sorted(self.server.json("GET", "/instances")))
        for instance, md5 in self.answered.items():
            status, _, body = self.server.request("GET", f"/instances/{instance}/file")
            self.assertEqual((200, md5), (status, hashlib.md5(body).hexdigest()))
            _, _, kept = self.server.request("GET", f"/instances/{instance}/attachments/dicom/md5")
            self.assertEqual(md5, kept.decode())
        self.assertEqual(self.count, len(self.stored_files()))

    def send(self, port: int, work: list[Sample]) -> None:
        """C-STORE until all is answered; a broken association means to try again."""
        entity = AE(ae_title="SENDER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 3
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = None
        while True:
            with self.lock:
                if not work:
                    break
                sample = work.pop()
            dataset = dcmread(io.BytesIO(sample.content))
            status = 0x0110
            while status:
                if association is None or not association.is_established:
                    association = entity.associate("127.0.0.1", port)
                    if not association.is_established:
                        time.sleep(0.05)
                        continue
                try:
                    status = association.send_c_store(dataset).get("Status", 0x0110)
                except (RuntimeError, ValueError):
                    continue
            with self.lock:
                self.answered[str(dataset.SOPInstanceUID)] = ""
        if association is not None and association.is_established:
            association.release()

    def test_c_store(self) -> None:
        """Every instance that was answered 0x0000 is there after SIGKILL, and no file besides."""
        port = free_port()
        self.server.stop()
        self.server.configure(
            SyncStorageArea=True, StableAge=600, DicomServerEnabled=True, DicomPort=port
        )
        self.server.start()
        count = self.count // 4
        work = [make_instance(n // 10, 1, n, 48) for n in range(count)]
        threads = [threading.Thread(target=self.send, args=(port, work)) for _ in range(3)]
        chance = random.Random(20261122)
        for thread in threads:
            thread.start()
        for number in range(self.kills):
            goal = count * (number + chance.random()) / (self.kills + 1)
            while len(self.answered) < goal and any(thread.is_alive() for thread in threads):
                time.sleep(0.002)
            self.server.kill()
            with self.lock:
                answered = set(self.answered)
            self.server.start()
            self.assertEqual(set(), answered - self.stored_uids())
        for thread in threads:
            thread.join()
        self.server.kill()
        self.server.start()
        self.assertEqual(set(self.answered), self.stored_uids())
        self.assertEqual(count, len(self.stored_files()))

    def stored_uids(self) -> set[str]:
        """SOP instance UIDs of what can be read back."""
        found = set()
        for instance in self.server.json("GET", "/instances"):
            status, _, body = self.server.request("GET", f"/instances/{instance}/file")
            self.assertEqual(200, status)
            found.add(str(dcmread(io.BytesIO(body)).SOPInstanceUID))
        return found

    def stored_files(self) -> list[str]:
        """Names of the files of the storage area, and of spool files left behind."""
        found = []
        for folder, _, names in os.walk(self.server.storage):
            relative = os.path.relpath(folder, self.server.storage)
            if len(relative.split(os.sep)) == 2 or relative.startswith("spool"):
                found += [name for name in names if "archive" not in name]
        return found

    def test_archive_jobs(self) -> None:
        """An archive job that was killed goes on after the start, and its ZIP is whole."""
        for number in range(60):
            sample = make_instance(1, 1, number, 512)
            status, _, body = self.server.request("POST", "/instances", sample.content)
            self.assertEqual(200, status, body)
        (study,) = self.server.json("GET", "/studies")
        _, _, undisturbed = self.server.request("GET", f"/studies/{study}/archive")
        jobs = [
            self.server.json("POST", f"/studies/{study}/archive", {"Asynchronous": True})["ID"]
            for _ in range(3)
        ]
        for pause_s in (0.02, 0.1, 0.2):
            time.sleep(pause_s)
            self.server.kill()
            self.server.start()
        for job in jobs:
            self.assertEqual("Success", self.server.wait_for_job(job)["State"])
        _, _, resumed = self.server.request("GET", f"/jobs/{jobs[-1]}/archive")
        self.assertEqual(self.members(undisturbed), self.members(resumed))

    @staticmethod
    def members(content: bytes) -> list[tuple[str, int, int]]:
        """Name, size and CRC of each member of a ZIP that is whole."""
        import zipfile

        archive = zipfile.ZipFile(io.BytesIO(content))
        assert archive.testzip() is None
        return sorted((item.filename, item.file_size, item.CRC) for item in archive.infolist())
