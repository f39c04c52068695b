"""Transfers between two servers, one of which is killed now and again."""

from __future__ import annotations

import hashlib
import os
import random
import time
import unittest
from typing import Any

from benchmarks.data import make_instance
from tests.peers.process import OrthancProcess

KILLS = int(os.environ.get("ORTHANC_TW_KILLS", "2"))
INSTANCES = int(os.environ.get("ORTHANC_TW_KILL_INSTANCES", "200"))
SEED = int(os.environ.get("ORTHANC_TW_KILL_SEED", "20261122"))
#: Width and height: 16-bit pixels.
EDGE = int(os.environ.get("ORTHANC_TW_KILL_EDGE", "96"))
_RETRY = {"MaximumAttempts": 100, "InitialDelay": 0.2, "MaximumDelay": 1}


class KillTransferTests(unittest.TestCase):
    """Pull and push of a study end with every instance there, once, whoever dies meanwhile."""

    def setUp(self) -> None:
        self.source = OrthancProcess(StableAge=600)
        self.addCleanup(self.source.destroy)
        self.target = OrthancProcess(StableAge=600)
        self.addCleanup(self.target.destroy)
        self.chance = random.Random(SEED)
        for server, other in ((self.source, self.target), (self.target, self.source)):
            server.stop()
            server.configure(
                StableAge=600,
                OrthancPeers={"other": [other.url]},
                # Small buckets: many moments to be killed at.
                Transfers={"BucketSize": 64, "Threads": 2, "CommitThreadsCount": 2},
                JobsRetry={"PullTransfer": _RETRY, "PushTransfer": _RETRY},
            )
            server.start()
        self.md5s = {}
        for number in range(INSTANCES):
            content = make_instance(1, number % 3, number, EDGE).content
            status, _, body = self.source.request("POST", "/instances", content)
            self.assertEqual(200, status, body)
            self.md5s[content] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        (self.study,) = self.source.json("GET", "/studies")

    def test_pull_sender(self) -> None:
        """The server that is pulled from dies: the buckets are asked for again."""
        self.transfer(self.target, "/transfers/pull", self.source)

    def test_pull_receiver(self) -> None:
        """The server that pulls dies: its job goes on at the buckets that it has."""
        self.transfer(self.target, "/transfers/pull", self.target)

    def test_push_sender(self) -> None:
        """The server that pushes dies: its job goes on in the same transaction."""
        self.transfer(self.source, "/transfers/send", self.source)

    def test_push_receiver(self) -> None:
        """The server that is pushed to dies: the transaction is there when it is back."""
        self.transfer(self.source, "/transfers/send", self.target)

    def transfer(self, owner: OrthancProcess, path: str, victim: OrthancProcess) -> None:
        """Run a job, kill the victim at random moments, look at what is there at the end."""
        body = {
            "Resources": [{"Level": "Study", "ID": self.study}],
            "Compression": "gzip",
            "Peer": "other",
        }
        job = owner.json("POST", path, body)["ID"]
        for number in range(KILLS):
            goal = 95 * (number + self.chance.random()) / KILLS
            while self.described(owner, job)["Progress"] < goal:
                time.sleep(0.005)
            # So that the end of it, which has no progress, is met too.
            time.sleep(0.1 * self.chance.random())
            victim.kill()
            victim.start()
        ended = owner.wait_for_job(job)
        found = self.target.json("GET", "/instances")
        if ended["State"] == "Failure":
            self.assertEqual([], found, ended)
            self.fail(f"{ended['ErrorDetails']}: it should have been tried again")
        self.assertEqual(INSTANCES, ended["Content"]["TotalInstances"])
        self.assertEqual(sorted(self.source.json("GET", "/instances")), sorted(found))
        stored = [
            self.target.request("GET", f"/instances/{one}/attachments/dicom/md5")[2].decode()
            for one in found
        ]
        self.assertEqual(sorted(self.md5s.values()), sorted(stored))
        self.target.stop()
        self.target.start()
        self.assertEqual(INSTANCES, len(self.files(self.target)))
        self.assertEqual(INSTANCES, len(self.target.json("GET", "/instances")))

    def described(self, owner: OrthancProcess, job: str) -> Any:
        """A job, 100 percent done if it has ended."""
        found = owner.json("GET", f"/jobs/{job}")
        return {**found, "Progress": 100} if found["State"] == "Success" else found

    def files(self, server: OrthancProcess) -> list[str]:
        """Files of the storage area; those of jobs and transactions that are over are gone."""
        found = []
        for folder, _, names in os.walk(server.storage):
            first, _, rest = os.path.relpath(folder, server.storage).partition(os.sep)
            if rest and len(first) == 2:
                found += names
            elif first in ("transfers", "spool", "jobs"):
                self.assertEqual([], [name for name in names if name != "committed"], folder)
        return found


if __name__ == "__main__":
    unittest.main()
