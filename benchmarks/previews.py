"""Pictures of slices: ``python -m benchmarks.previews``.

Pictures a second of 512 x 512 slices of 16 bits, asked for over several connections.
"""

from __future__ import annotations

import statistics

from benchmarks.client import Connection, run
from benchmarks.data import make_series
from benchmarks.servers import Server
from benchmarks.side_by_side import for_each_server, study_parser, upload_study

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
    parser = study_parser("previews", __doc__, instances=64, rounds=3)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    samples = make_series(STUDY, options.instances, options.pixels)

    def measure(server: Server) -> None:
        upload_study(server, samples)
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
                pictures(server.port, paths, options.connections) for _ in range(options.rounds)
            ]
            print(f"{server.name}: {name}: {statistics.median(rates):.0f} a second")

    for_each_server(options.folder, measure)


if __name__ == "__main__":
    main()
