"""Pictures of slices: ``python -m benchmarks.previews``.

Pictures a second of 512 x 512 slices of 16 bits, asked for over several connections.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.client import Connection, run
from benchmarks.data import make_series
from benchmarks.servers import Server, start_ours, start_reference
from benchmarks.workloads import Bench, Scale

STUDY = 993_000


def pictures(port: int, paths: list[str], connections: int) -> float:
    """Ask for each path once; pictures a second."""

    def ask(connection: Connection, path: str) -> None:
        data = connection.request("GET", path)
        if not data.startswith((b"\x89PNG", b"\xff\xd8")):
            raise RuntimeError(f"No picture: {data[:80]!r}")

    return len(paths) / run(port, connections, paths, ask)


def main() -> None:
    """Print pictures a second of each server, the median of the rounds."""
    parser = argparse.ArgumentParser(prog="benchmarks.previews", description=__doc__)
    parser.add_argument("--instances", type=int, default=64)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=512, help="rows and columns of a slice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    options = parser.parse_args()
    samples = make_series(STUDY, options.instances, options.pixels)
    starts: list[Callable[[Path], Server | None]] = [start_ours, start_reference]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number, start in enumerate(starts):
            server = start(Path(folder) / str(number))
            if server is None:
                continue
            try:
                Bench(server, Scale()).upload(samples, 4)
                connection = Connection(server.port)
                instances = connection.json("GET", "/instances")
                connection.close()
                for name in ("preview", "rendered?width=128"):
                    paths = [
                        f"/instances/{instances[asked % len(instances)]}/{name}"
                        for asked in range(options.requests)
                    ]
                    pictures(server.port, paths[: len(instances)], options.connections)
                    rates = [
                        pictures(server.port, paths, options.connections)
                        for _ in range(options.rounds)
                    ]
                    print(f"{server.name}: {name}: {statistics.median(rates):.0f} a second")
            finally:
                server.stop()


if __name__ == "__main__":
    main()
