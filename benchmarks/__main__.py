"""Run the benchmarks: ``python -m benchmarks [--smoke] [--rounds N] [--folder DIR]``."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.data import Sample, make_instance, make_series
from benchmarks.servers import Server, start_ours, start_reference
from benchmarks.workloads import SMOKE, Bench, Scale

Figures = dict[str, dict[str, list[float]]]
LOWER_IS_BETTER = ("start-up", "memory", "archive size")


def main() -> None:
    """Print a line a workload: our figure, Orthanc's, and how many times better ours is."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, figures meaningless")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is shown")
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    options = parser.parse_args()
    scale = SMOKE if options.smoke else Scale()
    rounds = 1 if options.smoke else options.rounds
    samples = Samples(scale)
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(rounds):
            one_round(Path(folder), scale, samples, figures, swap=bool(number % 2))
    report(figures)


class Samples:
    """The files, made once: four sets of small and of large instances, one big study."""

    def __init__(self, scale: Scale) -> None:
        # 3 small instances a study, so that there are as many studies as jobs.
        self.small = {
            connections: [
                make_instance(100_000 * connections + number // 3, 1, number % 3 + 1, 48)
                for number in range(max(scale.small, 3 * scale.jobs if connections == 4 else 0))
            ]
            for connections in (1, 4)
        }
        self.large = {
            connections: make_series(900_000 + connections, scale.large, 512)
            for connections in (1, 4)
        }
        self.study: list[Sample] = make_series(990_000, scale.study, 512)


def one_round(
    folder: Path, scale: Scale, samples: Samples, figures: Figures, *, swap: bool
) -> None:
    """All workloads, each on one server and then on the other."""
    servers: list[Server] = []
    try:
        starts: list[Callable[[], Server | None]] = [
            lambda: start_ours(folder / "ours"),
            lambda: start_reference(folder / "reference"),
        ]
        servers = [server for start in starts if (server := start()) is not None]
        benches = [Bench(server, scale) for server in servers]
        if swap:
            benches.reverse()

        def record(name: str, bench: Bench, value: float) -> None:
            figures.setdefault(name, {}).setdefault(bench.server.name, []).append(value)

        def each(name: str, work: Callable[[Bench], float]) -> None:
            for bench in benches:
                record(name, bench, work(bench))

        each("start-up, s", lambda b: b.server.start_up_s)
        each("memory idle, MB", lambda b: b.server.memory_mb())
        for count in (1, 4):
            each(
                f"upload 5 KB, {count} conn., /s",
                lambda b, c=count: b.upload(samples.small[c], c),  # type: ignore[misc]
            )
            each(
                f"upload 512 KB, {count} conn., /s",
                lambda b, c=count: b.upload(samples.large[c], c),  # type: ignore[misc]
            )
        for bench in benches:
            bench.upload(samples.study, 4)
            bench.learn()
        reads(benches, scale, each)
        archives(benches, scale, samples, each, record)
        each("memory after, MB", lambda b: b.server.memory_mb())
    finally:
        for server in servers:
            server.stop()


def reads(
    benches: list[Bench],
    scale: Scale,
    each: Callable[[str, Callable[[Bench], float]], None],
) -> None:
    """GET of system, one resource, files, tags and expanded lists."""

    def spread(bench: Bench, count: int, suffix: str) -> list[str]:
        step = max(1, len(bench.instances) // count)
        chosen = bench.instances[::step][:count]
        return [f"/instances/{chosen[i % len(chosen)]}{suffix}" for i in range(count)]

    big = {id(b): large_instances(b) for b in benches}
    each("GET /system, 4 conn., /s", lambda b: b.get(["/system"] * scale.requests, 4))
    each("GET /instances/ID, 4 conn., /s", lambda b: b.get(spread(b, scale.requests, ""), 4))
    each("GET .../tags, 4 conn., /s", lambda b: b.get(spread(b, scale.tags, "/tags"), 4))
    each(
        "GET .../file 512 KB, 8 conn., /s",
        lambda b: b.get([big[id(b)][i % len(big[id(b)])] for i in range(scale.files)], 8),
    )
    each(
        "GET /studies?expand, 100 a page, /s",
        lambda b: b.get(
            [f"/studies?expand&since={100 * (i % 6)}&limit=100" for i in range(scale.tags // 5)], 4
        ),
    )


def large_instances(bench: Bench) -> list[str]:
    """Paths of the files of the big study."""
    from benchmarks.client import Connection

    connection = Connection(bench.server.port)
    found = connection.json("POST", "/tools/find", {"Level": "Instance", "Query": BIG_STUDY})
    connection.close()
    return [f"/instances/{identifier}/file" for identifier in found]


BIG_STUDY = {"PatientID": "P990000"}


def archives(
    benches: list[Bench],
    scale: Scale,
    samples: Samples,
    each: Callable[[str, Callable[[Bench], float]], None],
    record: Callable[[str, Bench, float], None],
) -> None:
    """Archives of the big study, then many small jobs."""
    from benchmarks.client import Connection

    size = sum(len(sample.content) for sample in samples.study)
    big: dict[int, str] = {}
    small: dict[int, list[str]] = {}
    for bench in benches:
        connection = Connection(bench.server.port)
        (big[id(bench)],) = connection.json(
            "POST", "/tools/find", {"Level": "Study", "Query": BIG_STUDY}
        )
        found = connection.json(
            "POST", "/tools/find", {"Level": "Study", "Query": {"PatientID": "P4*"}}
        )
        small[id(bench)] = found[: scale.jobs]
        connection.close()
    each("archive of a study, MB/s", lambda b: b.archive(big[id(b)], size, False))
    each("archive as a job, MB/s", lambda b: b.archive(big[id(b)], size, True))
    each("archive size, MB", lambda b: b.archive_bytes / 1e6)
    for bench in benches:
        submitted, completed = bench.jobs(small[id(bench)])
        record("small jobs submitted, /s", bench, submitted)
        record("small jobs completed, /s", bench, completed)


def report(figures: Figures) -> None:
    """The table. The ratio is above 1 where ours is better."""
    print(f"{'':38}{'orthanc-tw':>12}{'Orthanc':>12}{'ratio':>9}")
    for name, by_server in figures.items():
        ours = statistics.median(by_server["orthanc-tw"])
        line = f"{name:38}{ours:12.2f}"
        if "Orthanc" in by_server:
            theirs = statistics.median(by_server["Orthanc"])
            better = theirs / ours if name.startswith(LOWER_IS_BETTER) else ours / theirs
            line += f"{theirs:12.2f}{better:9.2f}"
        print(line)


if __name__ == "__main__":
    main()
