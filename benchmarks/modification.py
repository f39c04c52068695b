"""Anonymization of a study beside other requests: ``python -m benchmarks.modification``.

Instances a second of a synchronous job, and how long ``GET /system`` takes meanwhile.
"""

from __future__ import annotations

import statistics
import threading
import time

from benchmarks.client import Connection
from benchmarks.data import make_series
from benchmarks.servers import Server
from benchmarks.side_by_side import for_each_server, study_parser, upload_study

#: Seconds between two requests of who looks at the server meanwhile.
PAUSE_S = 0.005
STUDY = 991_000


def anonymize(port: int, study: str, instances: int) -> tuple[float, float]:
    """Anonymize a study; instances a second, and the 99th percentile of GET /system in ms."""
    times: list[float] = []
    is_over = threading.Event()

    def look() -> None:
        connection = Connection(port)
        while not is_over.is_set():
            started = time.perf_counter()
            connection.request("GET", "/system")
            times.append(1000 * (time.perf_counter() - started))
            time.sleep(PAUSE_S)
        connection.close()

    looking = threading.Thread(target=look)
    connection = Connection(port)
    looking.start()
    started = time.perf_counter()
    content = connection.json("POST", f"/studies/{study}/anonymize", {})
    elapsed = time.perf_counter() - started
    is_over.set()
    looking.join()
    (patient,) = [content["PatientID"]]
    count = connection.json("GET", f"/patients/{patient}/statistics")["CountInstances"]
    if int(count) != instances:
        raise RuntimeError(f"{count} instances of {instances} were anonymized")
    connection.request("DELETE", f"/patients/{patient}")
    connection.close()
    percentile = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    return instances / elapsed, percentile


def main() -> None:
    """Print both figures of each server, the median of the rounds."""
    options = study_parser("modification", __doc__, instances=250, rounds=3).parse_args()
    samples = make_series(STUDY, options.instances, options.pixels)

    def measure(server: Server) -> None:
        study = upload_study(server, samples)
        rounds = [anonymize(server.port, study, len(samples)) for _ in range(options.rounds)]
        speed, latency = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(
            f"{server.name:12} {speed:8.1f} instances/s, "
            f"GET /system meanwhile {latency:6.1f} ms (99th percentile)"
        )

    for_each_server(options.folder, measure)


if __name__ == "__main__":
    main()
