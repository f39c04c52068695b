from __future__ import annotations

import os
import random
import time
import unittest

from benchmarks.data import make_instance
from tests.peers.process import OrthancProcess


class KillModificationTests(unittest.TestCase):
    """A job that modifies a study survives SIGKILL at any moment, and so do the instances."""

    def setUp(self) -> None:
        self.count = int(os.environ.get("ORTHANC_TW_KILL_INSTANCES", "500"))
        self.kills = int(os.environ.get("ORTHANC_TW_KILLS", "4"))
        self.server = OrthancProcess(StableAge=600)
        self.addCleanup(self.server.destroy)

    def upload(self) -> str:
        for number in range(self.count):
            sample = make_instance(1, number % 3, number, 48)
            status, _, body = self.server.request("POST", "/instances", sample.content)
            self.assertEqual(200, status, body)
        (study,) = self.server.json("GET", "/studies")
        return str(study)

    def stored_files(self) -> list[str]:
        """Names of the files of the storage area, and of spool files left behind."""
        found = []
        for folder, _, names in os.walk(self.server.storage):
            relative = os.path.relpath(folder, self.server.storage)
            if len(relative.split(os.sep)) == 2 or relative.startswith("spool"):
                found += names
        return found

    def test_anonymization_without_source(self) -> None:
        """Each instance has one result, the sources are gone, and no file is left over."""
        study = self.upload()
        sources = sorted(self.server.json("GET", "/instances"))
        body = {"KeepSource": False, "KeepLabels": True, "Asynchronous": True}
        self.server.json("GET", f"/studies/{study}")
        self.server.request("PUT", f"/studies/{study}/labels/seen", b"")
        job = self.server.json("POST", f"/studies/{study}/anonymize", body)["ID"]
        chance = random.Random(20261122)
        for number in range(self.kills):
            goal = 100 * (number + chance.random()) / self.kills
            while self.progress(job) < goal:
                time.sleep(0.005)
            self.server.kill()
            self.server.start()
        ended = self.server.wait_for_job(job)
        self.assertEqual("Success", ended["State"], ended)
        self.assertEqual(self.count, ended["Content"]["InstancesCount"])
        (result,) = self.server.json("GET", "/studies?expand")
        self.assertEqual(study, result["AnonymizedFrom"])
        self.assertEqual(["seen"], result["Labels"])
        self.assertEqual(3, len(result["Series"]))
        results = self.server.json("GET", "/instances?expand")
        self.assertEqual(sources, sorted(one["AnonymizedFrom"] for one in results))
        self.server.stop()
        self.server.start()
        self.assertEqual(self.count, len(self.server.json("GET", "/instances")))
        self.assertEqual(self.count, len(self.stored_files()))

    def progress(self, job: str) -> int:
        described = self.server.json("GET", f"/jobs/{job}")
        self.assertNotEqual("Failure", described["State"], described)
        return 100 if described["State"] == "Success" else int(described["Progress"])

    def test_cancelled(self) -> None:
        """A job that is cancelled amid its work leaves the source whole."""
        study = self.upload()
        sources = self.server.json("GET", f"/studies/{study}/instances?expand=false")
        body = {"KeepSource": False, "Asynchronous": True}
        job = self.server.json("POST", f"/studies/{study}/anonymize", body)["ID"]
        while not self.progress(job):
            time.sleep(0.005)
        self.server.json("POST", f"/jobs/{job}/cancel")
        ended = self.server.wait_for_job(job)
        self.assertEqual(("Failure", 37), (ended["State"], ended["ErrorCode"]))
        found = self.server.json("GET", f"/studies/{study}/instances?expand=false")
        self.assertEqual((self.count, sources), (len(found), found))


if __name__ == "__main__":
    unittest.main()
