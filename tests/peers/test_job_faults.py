from __future__ import annotations

import http.client
import io
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.dicom_peers import dcmtk
from tests.peers.job_workloads import (
    INSTANCES,
    MODALITY,
    WORKLOADS,
    Other,
    Workload,
    study_content,
)
from tests.peers.process import OrthancProcess, is_open, wait_for
from tests.ports import free_port

JOBS = 20
SEED = 20261122
#: Longest time between a start and the kill that follows, seconds.
LIFE_S = 0.8


@dataclass
class Run:
    """A server, what was asked of it and what came of that.

    :ivar outputs: wave and number of a job -> members of the ZIP it left
    """

    server: OrthancProcess
    studies: dict[int, str] = field(default_factory=dict)
    outputs: dict[tuple[int, int], list[tuple[str, int, int]]] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A request, sent again for as long as the server is away."""
        while True:
            try:
                status, _, answer = self.server.request(method, path, body)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            return status, answer

    def json(self, path: str) -> Any:
        """GET of what must be there."""
        status, answer = self.ask("GET", path)
        assert status == 200, (path, status, answer)
        return json.loads(answer)

    def study(self, number: int) -> str:
        """Public id of a study, which is uploaded if it was not."""
        if number not in self.studies:
            for content in study_content(number):
                status, answer = self.ask("POST", "/instances", content)
                assert status == 200, answer
                self.studies[number] = json.loads(answer)["ParentStudy"]
        return self.studies[number]

    def other(self, wave: int, number: int, workload: Workload, study: str) -> str:
        """What a request names beside its study."""
        if workload.other is Other.SERIES:
            return str(min(self.json(f"/studies/{study}")["Series"]))
        if workload.other is Other.STUDY:
            return self.study(1_000_000 + JOBS * wave + number)
        return ""

    def submit(self, wave: int, number: int, workload: Workload) -> None:
        """Submit a job exactly once, though the server may be killed before it answers."""
        study = self.study(1000 + JOBS * wave + number if workload.changes else number % 3)
        path, body = workload.request(study, self.other(wave, number, workload, study))
        mark = [wave, number]
        content = json.dumps({**body, "Asynchronous": True, "UserData": mark}).encode()
        while True:
            try:
                status, _, answer = self.server.request("POST", path, content)
            except (OSError, http.client.HTTPException):
                if any(job.get("UserData") == mark for job in self.json("/jobs?expand")):
                    return
                continue
            assert status == 200, answer
            return

    def wave(self, wave: int) -> None:
        """Submit the jobs of a wave, and wait until the last has ended."""
        for number in range(JOBS):
            self.submit(wave, number, WORKLOADS[number % len(WORKLOADS)])
        while self.json("/jobs?state=Pending,Running,Paused,Retry"):
            time.sleep(0.05)
        for job in self.json("/jobs?expand"):
            mark = tuple(job["UserData"])
            if mark[0] == wave:
                assert job["State"] == "Success", job
                assert mark not in self.outputs, f"{mark} was submitted twice"
                self.outputs[mark] = self.members(job["ID"])
                self.ask("DELETE", f"/jobs/{job['ID']}")

    def members(self, job_id: str) -> list[tuple[str, int, int]]:
        """Name, size and CRC of each member of what a job left; nothing if it left no ZIP."""
        status, content = self.ask("GET", f"/jobs/{job_id}/archive")
        if status == 404:
            return []
        assert status == 200, content
        archive = zipfile.ZipFile(io.BytesIO(content))
        assert archive.testzip() is None
        # The DICOMDIR has a UID of its own.
        return sorted(
            (item.filename, item.file_size, 0 if item.filename == "DICOMDIR" else item.CRC)
            for item in archive.infolist()
        )

    def resources(self) -> list[str]:
        """What is stored, but for UIDs, which a job may have made."""
        found = []
        for instance in self.json("/instances"):
            tags = self.json(f"/instances/{instance}/simplified-tags")
            kept = {name: value for name, value in tags.items() if not name.endswith("UID")}
            found.append(json.dumps(kept, sort_keys=True))
        statistics = self.json("/statistics")
        counts = {name: value for name, value in statistics.items() if name.startswith("Count")}
        return [*sorted(found), json.dumps(counts, sort_keys=True)]


@unittest.skipUnless(dcmtk("storescp"), "peer missing: storescp")
class JobFaultTests(unittest.TestCase):
    """Kills at random points while jobs of all kinds run.

    ``ORTHANC_TW_JOB_KILLS`` says how many, 5 if it is not set.
    """

    def setUp(self) -> None:
        self.received = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.received)
        self.port = free_port()
        peer = subprocess.Popen(
            [str(dcmtk("storescp")), "+xa", "+B", "-od", str(self.received), str(self.port)],
            cwd=self.received,
        )
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)
        wait_for(lambda: is_open(self.port))

    def start(self) -> Run:
        server = OrthancProcess(
            JobsHistorySize=1000,
            MediaArchiveSize=1000,
            ConcurrentJobs=3,
            DicomModalities={MODALITY: ["PEER", "127.0.0.1", self.port]},
        )
        self.addCleanup(server.destroy)
        return Run(server)

    def test_kills(self) -> None:
        """Every job reaches its end once, and all is as it would be without the kills."""
        kills = int(os.environ.get("ORTHANC_TW_JOB_KILLS", "5"))
        chance = random.Random(SEED)
        disturbed = self.start()
        for number in range(3):
            disturbed.study(number)
        wave = 0
        while kills:
            result = in_thread(lambda wave=wave: disturbed.wave(wave))  # type: ignore[misc]
            while kills and not result.ended.wait(chance.uniform(0.0, LIFE_S)):
                disturbed.server.kill()
                disturbed.server.start()
                kills -= 1
            result.get()
            wave += 1
        undisturbed = self.start()
        for number in range(3):
            undisturbed.study(number)
        for number in range(wave):
            undisturbed.wave(number)
        self.assertEqual(len(disturbed.outputs), JOBS * wave)
        self.assertEqual(disturbed.outputs, undisturbed.outputs)
        self.assertEqual(disturbed.resources(), undisturbed.resources())
        sent = {number % 3 for number, name in enumerate(names()) if name == "sending"}
        self.assertEqual(len(os.listdir(self.received)), INSTANCES * len(sent))
        self.assertEqual(disturbed.json("/jobs"), [])
        self.assertEqual(os.listdir(disturbed.server.storage / "jobs"), [])


def names() -> list[str]:
    """Workloads of the jobs of a wave."""
    return [WORKLOADS[number % len(WORKLOADS)].name for number in range(JOBS)]


class Result:
    """What a function in a thread came to."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def get(self) -> None:
        """Wait for the end; raise what it raised."""
        self.ended.wait()
        if self.error is not None:
            raise self.error


def in_thread(function: Callable[[], None]) -> Result:
    """Run a function in a thread."""
    result = Result()

    def work() -> None:
        try:
            function()
        except BaseException as error:
            result.error = error
        finally:
            result.ended.set()

    threading.Thread(target=work, daemon=True).start()
    return result
