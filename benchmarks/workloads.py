"""The workloads: each does its work on one server and returns one figure."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.client import Connection, run
from benchmarks.data import Sample
from benchmarks.servers import Server


@dataclass
class Scale:
    """How much work is done. Counts of instances, requests and jobs."""

    small: int = 2000
    large: int = 300
    requests: int = 3000
    tags: int = 500
    files: int = 4000
    study: int = 200
    jobs: int = 300


SMOKE = Scale(small=60, large=8, requests=60, tags=20, files=16, study=6, jobs=8)


@dataclass
class Bench:
    """What the workloads share about one server: what was uploaded to it."""

    server: Server
    scale: Scale
    instances: list[str] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    archive_bytes: int = 0

    def upload(self, samples: Sequence[Sample], connections: int) -> float:
        """Upload; instances a second."""
        answers: list[Any] = []

        def post(connection: Connection, sample: Sample) -> None:
            answers.append(connection.request("POST", "/instances", sample.content))

        elapsed = run(self.server.port, connections, samples, post)
        if not all(b'"Success"' in answer for answer in answers):
            raise RuntimeError("an upload was not answered as Success")
        return len(samples) / elapsed

    def learn(self) -> None:
        """Read the identifiers of what was uploaded."""
        connection = Connection(self.server.port)
        self.instances = connection.json("GET", "/instances")
        self.studies = connection.json("GET", "/studies")
        connection.close()

    def get(self, paths: Sequence[str], connections: int) -> float:
        """Requests a second for these paths."""

        def fetch(connection: Connection, path: str) -> None:
            connection.request("GET", path, keep=False)

        return len(paths) / run(self.server.port, connections, paths, fetch)

    def archive(self, study: str, uncompressed: int, asynchronous: bool) -> float:
        """Archive a study; uncompressed MB a second, download included when synchronous."""
        connection = Connection(self.server.port)
        started = time.perf_counter()
        if asynchronous:
            job = connection.json("POST", f"/studies/{study}/archive", {"Asynchronous": True})
            wait_for(connection, job["ID"])
            elapsed = time.perf_counter() - started
            data = connection.request("GET", f"/jobs/{job['ID']}/archive")
        else:
            data = connection.request("GET", f"/studies/{study}/archive")
            elapsed = time.perf_counter() - started
        connection.close()
        if zipfile.ZipFile(io.BytesIO(data)).testzip() is not None:
            raise RuntimeError("the archive is broken")
        self.archive_bytes = len(data)
        return uncompressed / 1e6 / elapsed

    def jobs(self, studies: Sequence[str]) -> tuple[float, float]:
        """Submit an archive job a study; submitted a second, completed a second."""
        jobs: list[str] = []

        def submit(connection: Connection, study: str) -> None:
            answer = connection.json("POST", f"/studies/{study}/archive", {"Asynchronous": True})
            jobs.append(answer["ID"])

        started = time.perf_counter()
        submitting = run(self.server.port, 4, studies, submit)
        connection = Connection(self.server.port)
        for job in jobs:
            wait_for(connection, job)
        completing = time.perf_counter() - started
        connection.close()
        return len(jobs) / submitting, len(jobs) / completing


def wait_for(connection: Connection, job: str) -> None:
    """Poll a job until it has succeeded."""
    while True:
        state = connection.json("GET", f"/jobs/{job}")["State"]
        if state == "Success":
            return
        if state == "Failure":
            raise RuntimeError(f"job {job} failed")
        time.sleep(0.01)
