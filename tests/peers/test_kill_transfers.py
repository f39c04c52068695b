"""Transfers between two servers, one of which is killed now and again.

A few small instances, unless the environment says otherwise. One gigabyte, killed 20 times::

    ORTHANC_TW_KILLS=20 ORTHANC_TW_KILL_INSTANCES=2000 ORTHANC_TW_KILL_EDGE=512
    ORTHANC_TW_KILL_BUCKET=4096 trial tests.peers.test_kill_transfers
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import time
import unittest
from collections import Counter
from typing import Any

from benchmarks.data import make_instance, noise
from tests.peers.process import OrthancProcess, wait_for

KILLS = int(os.environ.get("ORTHANC_TW_KILLS", "2"))
INSTANCES = int(os.environ.get("ORTHANC_TW_KILL_INSTANCES", "120"))
SEED = int(os.environ.get("ORTHANC_TW_KILL_SEED", "20261122"))
#: Width and height: 16-bit pixels that cannot be compressed.
EDGE = int(os.environ.get("ORTHANC_TW_KILL_EDGE", "96"))
#: KB. Small buckets: many moments to be killed at.
BUCKET = int(os.environ.get("ORTHANC_TW_KILL_BUCKET", "64"))


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
                Transfers={"BucketSize": BUCKET},
            )
            server.start()
        self.md5s: Counter[str] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.source.port, timeout=60)
        self.addCleanup(connection.close)
        for number in range(INSTANCES):
            pixels = noise(EDGE, self.chance)
            content = make_instance(1, number % 3, number, EDGE, pixels).content
            connection.request("POST", "/instances", content)
            answer = connection.getresponse()
            self.assertEqual((200, True), (answer.status, bool(answer.read())))
            self.md5s[hashlib.md5(content, usedforsecurity=False).hexdigest()] += 1
        (self.study,) = self.source.json("GET", "/studies")
        self.instances = sorted(self.source.json("GET", "/instances"))

    def test_pull_sender(self) -> None:
        """The server that is pulled from dies: the buckets are asked for again."""
        self.kill_amid(self.target, "/transfers/pull", self.source)

    def test_pull_receiver(self) -> None:
        """The server that pulls dies: its job goes on at the buckets that it has."""
        self.kill_amid(self.target, "/transfers/pull", self.target)

    def test_push_sender(self) -> None:
        """The server that pushes dies: its job goes on in the same transaction."""
        self.kill_amid(self.source, "/transfers/send", self.source)

    def test_push_receiver(self) -> None:
        """The server that is pushed to dies: the transaction is there when it is back."""
        self.kill_amid(self.source, "/transfers/send", self.target)

    def test_given_up(self) -> None:
        """A pull whose server dies amid its commit, and that is cancelled then: all or nothing."""
        states = Counter[str]()
        for _ in range(KILLS):
            job = self.submitted(self.target, "/transfers/pull")
            while not (self.is_over(self.target, job) or self.target.json("GET", "/instances")):
                time.sleep(0.002)
            self.target.kill()
            self.target.start()
            self.target.json("POST", f"/jobs/{job}/cancel")
            state = self.ended(self.target, job)["State"]
            states[state] += 1
            found = sorted(self.target.json("GET", "/instances"))
            self.assertEqual([] if state == "Failure" else self.instances, found)
            self.settle(self.target, len(found))
            if found:
                self.target.json("DELETE", f"/studies/{self.study}")
        print(f"{self.id()}: {dict(states)}")

    def kill_amid(self, owner: OrthancProcess, path: str, victim: OrthancProcess) -> None:
        """Transfer again and again, until the victim was killed often enough."""
        started = time.monotonic()
        job = self.ended(owner, self.submitted(owner, path))
        undisturbed_s = time.monotonic() - started
        self.look_at(job)
        kills = transfers = 0
        while kills < KILLS:
            job = self.submitted(owner, path)
            transfers += 1
            most_s = undisturbed_s
            while kills < KILLS:
                moment = time.monotonic() + most_s * self.chance.random()
                while time.monotonic() < moment and not self.is_over(owner, job):
                    time.sleep(0.005)
                if self.is_over(owner, job):
                    break
                victim.kill()
                victim.start()
                kills += 1
                # So that the later part of a transfer sees some of them too.
                most_s = undisturbed_s / 2
            self.look_at(self.ended(owner, job))
        print(f"{self.id()}: {kills} kills in {transfers} transfers of {undisturbed_s:.1f} s")

    def submitted(self, owner: OrthancProcess, path: str) -> str:
        """A job."""
        body = {
            "Resources": [{"Level": "Study", "ID": self.study}],
            "Compression": "gzip",
            "Peer": "other",
        }
        return str(owner.json("POST", path, body)["ID"])

    def is_over(self, owner: OrthancProcess, job: str) -> bool:
        """Whether a job has ended."""
        return owner.json("GET", f"/jobs/{job}")["State"] in ("Success", "Failure")

    def ended(self, owner: OrthancProcess, job: str) -> Any:
        """What is told of a job when it has."""
        until = time.monotonic() + 600
        while not self.is_over(owner, job) and time.monotonic() < until:
            time.sleep(0.05)
        return owner.wait_for_job(job)

    def look_at(self, job: Any) -> None:
        """All that a job has left; then make room for the next one."""
        found = self.target.json("GET", "/instances")
        if job["State"] == "Failure":
            self.assertEqual([], found, job)
            self.fail(f"{job['ErrorDetails']}: it should have been tried again")
        self.assertEqual(INSTANCES, job["Content"]["TotalInstances"])
        self.assertEqual(self.instances, sorted(found))
        stored = Counter(
            self.target.request("GET", f"/instances/{one}/attachments/dicom/md5")[2].decode()
            for one in found
        )
        self.assertEqual(self.md5s, stored)
        self.assertEqual(dict.fromkeys(found, 1), self.announced())
        self.settle(self.source, INSTANCES)
        self.settle(self.target, INSTANCES)
        self.target.stop()
        self.target.start()
        self.assertEqual(INSTANCES, len(self.target.json("GET", "/instances")))
        self.settle(self.target, INSTANCES)
        self.target.json("DELETE", f"/studies/{self.study}")
        self.settle(self.target, 0)

    def announced(self) -> dict[str, int]:
        """How often the target has told of each new instance."""
        since, found = 0, Counter[str]()
        while True:
            page = self.target.json("GET", f"/changes?since={since}&limit=1000")
            found.update(one["ID"] for one in page["Changes"] if one["ChangeType"] == "NewInstance")
            if page["Done"]:
                return dict(found)
            since = page["Last"]

    def settle(self, server: OrthancProcess, count: int) -> None:
        """The storage area has so many files, nothing is left of jobs, spools, transactions."""
        try:
            wait_for(lambda: self.files(server) == (count, []))
        except AssertionError:
            self.assertEqual((count, []), self.files(server))

    def files(self, server: OrthancProcess) -> tuple[int, list[str]]:
        """How many files are stored, and which others there are but the database."""
        stored, others = 0, []
        for folder, _, names in os.walk(server.storage):
            place = os.path.relpath(folder, server.storage)
            if len(place.partition(os.sep)[0]) == 2:
                stored += len(names)
            elif place != os.curdir:
                others += [f"{place}/{name}" for name in names if name != "committed"]
        return stored, others


if __name__ == "__main__":
    unittest.main()
