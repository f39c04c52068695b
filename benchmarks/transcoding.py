"""Transcoding of a study into a ZIP: ``python -m benchmarks.transcoding``.

Slices a second of ``/tools/create-archive`` with ``Transcode``; 0 where a server cannot. Debian's
Orthanc has no encoder for JPEG 2000, and its GDCM plugin (1.5) ends it amid these slices.
"""

from __future__ import annotations

import io
import json
import statistics
import time
import zipfile
from collections.abc import Sequence

from benchmarks.client import Connection
from benchmarks.data import Sample, make_series
from benchmarks.servers import Server
from benchmarks.side_by_side import all_servers, study_parser, upload_study
from orthanc_tw.dicom.meta_header import read_meta_header

STUDY = 995_000
SYNTAXES = {
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
}


def transcode(port: int, study: str, syntax: str, instances: int) -> float | None:
    """Slices a second, None if the server leaves them in another syntax."""
    connection = Connection(port)
    started = time.perf_counter()
    body = json.dumps({"Resources": [study], "Transcode": syntax}).encode()
    data = connection.request("POST", "/tools/create-archive", body)
    elapsed = time.perf_counter() - started
    connection.close()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dcm")]
        found = {read_meta_header(archive.read(name)[:4096]).transfer_syntax for name in names}
    if found != {syntax}:
        return None
    if len(names) != instances:
        raise RuntimeError(f"{len(names)} slices of {instances} are in the archive")
    return instances / elapsed


def main() -> None:
    """Print slices a second of each server and syntax, the median of the rounds."""
    options = study_parser("transcoding", __doc__, instances=250, rounds=2).parse_args()
    samples = make_series(STUDY, options.instances, options.pixels)
    with all_servers(options.folder) as servers:
        measure(servers, samples, options.rounds)


def measure(servers: list[Server], samples: Sequence[Sample], rounds: int) -> None:
    """Both servers one after the other, syntax by syntax."""
    studies = {server.name: upload_study(server, samples) for server in servers}
    for name, syntax in SYNTAXES.items():
        rates: dict[str, float] = {}
        for server in servers:
            study = studies[server.name]
            runs = [transcode(server.port, study, syntax, len(samples)) for _ in range(rounds)]
            done = [rate for rate in runs if rate is not None]
            rates[server.name] = statistics.median(done) if done else 0.0
        ours, *others = rates.values()
        ratio = f", ratio {ours / others[0]:.2f}" if others and others[0] else ""
        shown = ", ".join(f"{who} {rate:.1f}/s" for who, rate in rates.items())
        print(f"{name}: {shown}{ratio}", flush=True)


if __name__ == "__main__":
    main()
