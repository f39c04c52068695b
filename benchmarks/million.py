"""Find and list at a million instances: ``python -m benchmarks.million --folder DIR [--smoke]``.

Fills our index with ``--studies`` studies (10 instances each on the average), and our index and
Debian's Orthanc with ``--reference`` studies each, the latter through its API, which takes a
minute for 3,000 studies. What is filled stays in the folder and is used by the next run, which
goes on where this one was stopped. Then asks each server with 8 clients at once, and prints the
median and the 99th percentile of the time to an answer.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Connection, run
from benchmarks.loading import fill, load_index
from benchmarks.population import patient_id, study_date
from benchmarks.servers import Server, start_ours, start_reference
from orthanc_tw.model.identifiers import hash_identifier

CLIENTS = 8
#: A workload ends after so long, however few requests it has done.
LONGEST_S = 15.0
#: What is to hold at a million, milliseconds: median and 99th percentile.
TARGET_MS = (50.0, 200.0)

Request = tuple[str, str, bytes]
Make = Callable[[int, int], Request]


@dataclass(frozen=True)
class Workload:
    """One kind of request.

    :ivar make: (number of the request, studies on the server) -> request
    :ivar requests: how many are measured
    :ivar is_target: whether `TARGET_MS` is promised
    :ivar is_ours: whether Orthanc 1.10.1 does not know it
    """

    name: str
    make: Make
    requests: int = 400
    is_target: bool = False
    is_ours: bool = False


def find(level: str, query: dict[str, str], **more: object) -> Request:
    """A request to ``/tools/find``."""
    body = json.dumps({"Level": level, "Query": query, **more}).encode()
    return "POST", "/tools/find", body


def get(path: str) -> Request:
    """A GET."""
    return "GET", path, b""


def _some(number: int, total: int) -> int:
    """A study, scattered."""
    return number * 48271 % total


def _month(number: int) -> str:
    first = study_date(number * 7)
    return f"{first[:6]}01-{first[:6]}31"


DATE = [{"Type": "DicomTag", "Key": "StudyDate", "Direction": "DESC"}]
UPDATE = [{"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}]
NAME = [{"Type": "DicomTag", "Key": "PatientName", "Direction": "ASC"}]

WORKLOADS = (
    Workload(
        "find PatientID",
        lambda n, total: find("Study", {"PatientID": patient_id(_some(n, total))}),
        requests=2000,
        is_target=True,
    ),
    Workload(
        "find PatientName *SMITH*",
        lambda n, total: find("Study", {"PatientName": "*SMITH*"}),
        is_target=True,
    ),
    Workload(
        "find a month of StudyDate, OrderBy, Limit 50",
        lambda n, total: find("Study", {"StudyDate": _month(n)}, OrderBy=DATE, Limit=50),
        is_target=True,
    ),
    Workload(
        "the same, expanded",
        lambda n, total: find(
            "Study", {"StudyDate": _month(n)}, OrderBy=DATE, Limit=50, Expand=True
        ),
        is_target=True,
    ),
    Workload(
        "find by label",
        lambda n, total: find("Study", {}, Labels=["urgent"], LabelsConstraint="Any"),
        is_target=True,
        is_ours=True,
    ),
    Workload("/statistics", lambda n, total: get("/statistics"), requests=2000, is_target=True),
    Workload(
        "/studies?expand, 100 from 90 % on",
        lambda n, total: get(f"/studies?expand&since={total * 9 // 10}&limit=100"),
        is_target=True,
    ),
    Workload(
        "/studies?expand, 100 from anywhere",
        lambda n, total: get(f"/studies?expand&since={_some(n, total)}&limit=100"),
    ),
    Workload(
        "/instances, 100 from 90 % on",
        lambda n, total: get(f"/instances?since={total * 9}&limit=100"),
    ),
    Workload(
        "find SOPInstanceUID",
        lambda n, total: find(
            "Instance", {"SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.9.{_some(n, total)}.1.1"}
        ),
        requests=2000,
    ),
    Workload(
        "find 20 AccessionNumbers",
        lambda n, total: find(
            "Study",
            {"AccessionNumber": "\\".join(f"ACC{_some(20 * n + i, total):08d}" for i in range(20))},
        ),
    ),
    Workload(
        "lookup",
        lambda n, total: ("POST", "/tools/lookup", patient_id(_some(n, total)).encode()),
        requests=2000,
    ),
    Workload(
        "find everything, Limit 100, expanded",
        lambda n, total: find("Study", {}, Limit=100, Expand=True),
    ),
    Workload(
        "find every StudyDate, Limit 100",
        lambda n, total: find("Study", {"StudyDate": "20000101-"}, Limit=100),
    ),
    Workload(
        "find PatientName S*, Limit 100",
        lambda n, total: find("Study", {"PatientName": "S*"}, Limit=100),
    ),
    Workload(
        "find PatientName *IT*, Limit 100",
        lambda n, total: find("Study", {"PatientName": "*IT*"}, Limit=100),
    ),
    Workload(
        "find ModalitiesInStudy PT, Limit 100",
        lambda n, total: find("Study", {"ModalitiesInStudy": "PT"}, Limit=100),
    ),
    Workload(
        "find a month, CT, *SMITH*",
        lambda n, total: find(
            "Study",
            {"StudyDate": _month(n), "ModalitiesInStudy": "CT", "PatientName": "*SMITH*"},
        ),
    ),
    Workload(
        "newest StudyDate of all, Limit 50, expanded",
        lambda n, total: find("Study", {}, OrderBy=DATE, Limit=50, Expand=True),
        requests=100,
        is_ours=True,
    ),
    Workload(
        "newest LastUpdate of all, Limit 50, expanded",
        lambda n, total: find("Study", {}, OrderBy=UPDATE, Limit=50, Expand=True),
        requests=100,
        is_ours=True,
    ),
    Workload(
        "first PatientName of all, Limit 50",
        lambda n, total: find("Study", {}, OrderBy=NAME, Limit=50),
        requests=32,
        is_ours=True,
    ),
    Workload(
        "count-resources of a year",
        lambda n, total: (
            "POST",
            "/tools/count-resources",
            json.dumps({"Level": "Study", "Query": {"StudyDate": "20190101-20191231"}}).encode(),
        ),
        requests=100,
        is_ours=True,
    ),
    Workload(
        "find by metadata in a study",
        lambda n, total: find(
            "Instance",
            {"StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.9.{_some(n, total)}"},
            MetadataQuery={"Origin": "RestApi"},
        ),
        is_ours=True,
    ),
    Workload(
        "/changes, 100 amid",
        lambda n, total: get(f"/changes?since={total * 7 + n}&limit=100"),
    ),
    Workload(
        "children of a patient",
        lambda n, total: get(f"/patients/{hash_identifier(patient_id(_some(n, total)))}/studies"),
    ),
)


@dataclass(frozen=True)
class Figures:
    """Milliseconds to an answer."""

    median: float
    percentile_99: float


def measure(server: Server, workload: Workload, studies: int, requests: int) -> Figures:
    """Ask with `CLIENTS` connections, each for the next as soon as it is answered."""
    lock = threading.Lock()
    times: list[float] = []

    deadline = math.inf

    def ask(connection: Connection, number: int) -> None:
        if time.monotonic() > deadline and len(times) >= CLIENTS:
            return
        method, path, body = workload.make(number, studies)
        started = time.perf_counter()
        connection.request(method, path, body, keep=False)
        elapsed = time.perf_counter() - started
        with lock:
            times.append(1000 * elapsed)

    run(server.port, CLIENTS, range(CLIENTS), ask)
    times.clear()
    deadline = time.monotonic() + LONGEST_S
    run(server.port, CLIENTS, range(CLIENTS, CLIENTS + requests), ask)
    times.sort()
    figures = Figures(statistics.median(times), times[min(len(times) - 1, len(times) * 99 // 100)])
    tell(f"  {server.name}, {workload.name}: {figures.median:.1f} {figures.percentile_99:.1f}")
    return figures


def no_server(folder: Path, **how: object) -> None:
    """Nothing to compare with."""


@contextmanager
def running(server: Server | None) -> Iterator[Server | None]:
    """Stop it afterwards."""
    try:
        yield server
    finally:
        if server is not None:
            server.stop()


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="benchmarks.million", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the databases are kept")
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument(
        "--reference", type=int, default=10_000, help="studies in Orthanc, 0 for none"
    )
    parser.add_argument("--only", default="", help="workloads whose name has this")
    parser.add_argument("--smoke", action="store_true", help="few rows, figures meaningless")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        studies, reference = options.studies, options.reference
        if options.smoke:
            studies, reference = 60, 30
        chosen = [w for w in WORKLOADS if options.only in w.name]
        requests = {w.name: 2 * CLIENTS if options.smoke else w.requests for w in chosen}

        def ours(count: int) -> dict[str, Figures]:
            base = folder / f"ours-{count}"
            load_index(base / "db", count, tell)
            with running(start_ours(base, keep=True)) as server:
                assert server is not None
                return {w.name: measure(server, w, count, requests[w.name]) for w in chosen}

        large = ours(studies)
        small = ours(reference) if reference else {}
        theirs: dict[str, Figures] = {}
        base = folder / f"orthanc-{reference}"
        # Filled without waiting for the disk: reading is what is measured.
        start = start_reference if reference else no_server
        with running(start(base, keep=True, options={"SyncStorageArea": False})) as other:
            if other is not None:
                fill(other, base / "studies", reference, tell)
                theirs = {
                    w.name: measure(other, w, reference, requests[w.name])
                    for w in chosen
                    if not w.is_ours
                }
    report(chosen, studies, reference, large, small, theirs)


def tell(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def report(
    workloads: list[Workload],
    studies: int,
    reference: int,
    large: dict[str, Figures],
    small: dict[str, Figures],
    theirs: dict[str, Figures],
) -> None:
    """The table. The ratio is of the medians of the same studies, above 1 where ours is faster."""
    heads = (f"{studies} studies", f"{reference} studies", "Orthanc")
    print(f"{'median, 99th percentile in ms':48}" + "".join(f"{h:>18}" for h in heads) + "   ratio")
    for workload in workloads:
        name = workload.name
        line = f"{name:48}"
        for figures in (large[name], small.get(name), theirs.get(name)):
            line += f"{figures.median:9.1f}{figures.percentile_99:9.1f}" if figures else " " * 18
        if name in theirs:
            line += f"{theirs[name].median / small[name].median:8.2f}"
        if workload.is_target:
            median, percentile = TARGET_MS
            met = large[name].median < median and large[name].percentile_99 < percentile
            line += "" if met else "   MISSED"
        print(line)


if __name__ == "__main__":
    main()
