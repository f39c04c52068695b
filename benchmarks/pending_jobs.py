"""Many pending jobs: ``python -m benchmarks.pending_jobs [--jobs N] [--folder DIR]``.

Measures what a queue of N jobs costs: submitting, listing, restarting, memory. A job of the
highest priority holds the only slot, so that nothing else runs. The last line says whether all
limits are kept; the status is 1 if not.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.client import Connection, run
from benchmarks.data import make_instance
from benchmarks.servers import OPTIONS, memory_mb, wait_until_it_answers, write_configuration

PAGE = "limit=100"
LIMITS = {
    "submission beside that on an empty queue": 2.0,
    "/jobs, s": 1.0,
    "/jobs?expand page, s": 1.0,
    "page filtered by state and type, s": 1.0,
    "page filtered by label, s": 1.0,
    "page filtered by a label that none has, s": 1.0,
    "page sorted by priority, s": 1.0,
    "growth of memory over 20 lists, MB": 30.0,
    "restart to the first answer, s": 5.0,
    "memory, MB": 400.0,
}


class HoldingServer:
    """This server with a job that holds the only slot; killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        options = {**OPTIONS, "ConcurrentJobs": 1}
        self.port, self._configuration = write_configuration(folder, options)
        self.start()

    def start(self) -> float:
        """Start it; seconds until it answers."""
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.holding_server", str(self._configuration)],
            cwd=Path(__file__).resolve().parent.parent,
            stdout=(self._folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
        )
        wait_until_it_answers("the server", self._process, self.port, self._folder / "log")
        return time.perf_counter() - started

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def cpu_s(self) -> float:
        """Processor time that it has used, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory, in MB."""
        return memory_mb(self._process.pid)


def main() -> int:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(prog="benchmarks.pending_jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="how many are pending")
    parser.add_argument("--folder", type=Path, help="where the server keeps its data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        server = HoldingServer(Path(folder))
        try:
            figures = measure(server, options.jobs)
        finally:
            server.kill()
    kept = True
    for name, value in figures.items():
        limit = LIMITS.get(name)
        verdict = "" if limit is None else f"   at most {limit:g}"
        if limit is not None and value > limit:
            kept, verdict = False, f"{verdict}: MISSED"
        print(f"{name:46}{value:10.3f}{verdict}")
    print("all limits are kept" if kept else "some limits are missed")
    return 0 if kept else 1


def measure(server: HoldingServer, jobs: int) -> dict[str, float]:
    """The figures, by name."""
    connection = Connection(server.port)
    studies = []
    for number in range(20):
        uploaded = connection.json_upload(make_instance(number, 1, 1, 16).content)
        studies.append(uploaded["ParentStudy"])
    connection.request("PUT", f"/studies/{studies[7]}/labels/urgent")
    figures: dict[str, float] = {}
    probe = min(1000, jobs)
    submit(server.port, studies, 100)  # warm up
    began_s = server.cpu_s()
    empty_s = submit(server.port, studies, probe)
    empty_cpu_s = server.cpu_s() - began_s
    figures["submissions on an empty queue, /s"] = probe / empty_s
    submit(server.port, studies, max(jobs - probe, 0))
    began_s = server.cpu_s()
    full_s = submit(server.port, studies, probe)
    full_cpu_s = server.cpu_s() - began_s
    figures["submissions on the full queue, /s"] = probe / full_s
    figures["submission beside that on an empty queue"] = full_s / empty_s
    figures["the same in processor time"] = full_cpu_s / empty_cpu_s
    figures.update(lists(connection, server))
    connection.close()
    figures["memory, MB"] = server.memory_mb()
    server.kill()
    figures["restart to the first answer, s"] = server.start()
    connection = Connection(server.port)
    figures["jobs after the restart"] = len(connection.json("GET", "/jobs"))
    connection.close()
    figures["memory, MB"] = max(figures["memory, MB"], server.memory_mb())
    return figures


def lists(connection: Connection, server: HoldingServer) -> dict[str, float]:
    """How long lists take, and whether they keep memory."""

    def timed(path: str) -> float:
        return statistics.median(seconds(lambda: connection.json("GET", path)) for _ in range(3))

    figures = {
        "/jobs, s": timed("/jobs"),
        "/jobs?expand page, s": timed(f"/jobs?expand&{PAGE}"),
        "page filtered by state and type, s": timed(f"/jobs?state=Failure&type=Archive&{PAGE}"),
        "page filtered by label, s": timed(f"/jobs?label=urgent&{PAGE}"),
        "page filtered by a label that none has, s": timed(f"/jobs?label=none&{PAGE}"),
        "page sorted by priority, s": timed(f"/jobs?sort=-priority&expand&{PAGE}"),
        "all of /jobs?expand, s": seconds(
            lambda: connection.request("GET", "/jobs?expand", keep=False)
        ),
    }
    before = server.memory_mb()
    for _ in range(10):
        connection.request("GET", "/jobs", keep=False)
        connection.request("GET", f"/jobs?sort=-state&label=urgent&{PAGE}", keep=False)
    figures["growth of memory over 20 lists, MB"] = server.memory_mb() - before
    return figures


def submit(port: int, studies: list[str], count: int) -> float:
    """Submit so many archives over 4 connections; seconds."""

    def post(connection: Connection, number: int) -> None:
        body: dict[str, Any] = {"Asynchronous": True, "Priority": number % 5}
        connection.json("POST", f"/studies/{studies[number % len(studies)]}/archive", body)

    return run(port, 4, range(count), post)


def seconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
