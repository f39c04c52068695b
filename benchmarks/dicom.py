"""What DCMTK's storescu sends, and what we send to its storescp, a second.

``python -m benchmarks.dicom [--rounds N] [--small N] [--large N] [--sent N]``: this server,
Debian's Orthanc and DCMTK's own storescp take the same files of the same client. One association of
small instances, two of 512 KB. Then both servers send what they have stored to storescp, as their
``/modalities/NAME/store`` does. ``--smoke`` asks for little and only checks that all of it works.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.data import make_instance
from benchmarks.scu import send_all
from benchmarks.servers import start_ours, start_reference
from tests.ports import free_port


def make_files(folder: Path, count: int, size: int, first: int) -> Path:
    """A folder of instances of ``size`` x ``size`` pixels."""
    folder.mkdir(parents=True)
    for number in range(count):
        content = make_instance(first + number // 50, 1, first + number, size).content
        (folder / f"{number:05d}.dcm").write_bytes(content)
    return folder


def storescu(port: int, *folders: Path) -> float:
    """Send each folder over an association of its own, at once; instances a second."""
    tool = shutil.which("storescu") or "/usr/bin/storescu"
    started = time.perf_counter()
    clients = [
        subprocess.Popen([tool, "-q", "+sd", "127.0.0.1", str(port), str(folder)])
        for folder in folders
    ]
    failed = [client.wait() for client in clients]
    assert not any(failed), failed
    count = sum(len(list(folder.iterdir())) for folder in folders)
    return count / (time.perf_counter() - started)


@contextmanager
def storescp(folder: Path) -> Any:
    """DCMTK's server, which keeps files and syncs nothing; its port."""
    folder.mkdir()
    port = free_port()
    tool = shutil.which("storescp") or "/usr/bin/storescp"
    command = [tool, "-q", "--fork", "-od", str(folder), str(port)]
    process = subprocess.Popen(command)
    time.sleep(0.5)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@contextmanager
def server(start: Callable[..., Any], folder: Path) -> Any:
    """A server with a DICOM port; its port, or None if it is not installed."""
    port = free_port()
    started = start(folder, dicom_port=port)
    try:
        yield port if started is not None else None
    finally:
        if started is not None:
            started.stop()


def sent_by(start: Callable[..., Any], root: Path, files: list[Path]) -> float | None:
    """Store files in a server, have it send them to storescp; instances a second, None if it is
    not installed.
    """
    started = start(root / "sender", dicom_port=free_port())
    if started is None:
        return None
    try:
        url = f"http://127.0.0.1:{started.port}"
        ids = [json.loads(ask(f"{url}/instances", path.read_bytes()))["ID"] for path in files]
        with storescp(root / "sink") as port:
            modality = {"AET": "ANY-SCP", "Host": "127.0.0.1", "Port": port}
            ask(f"{url}/modalities/sink", json.dumps(modality).encode(), "PUT")
            began = time.perf_counter()
            ask(f"{url}/modalities/sink/store", json.dumps(ids).encode())
            return len(ids) / (time.perf_counter() - began)
    finally:
        started.stop()


def ask(url: str, body: bytes, method: str = "POST") -> bytes:
    """One request; raises unless it succeeds."""
    request = urllib.request.Request(url, body, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return bytes(answer.read())


def main() -> None:
    """Print a line a workload and receiver: the median, and ours as a multiple of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.dicom", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=300)
    parser.add_argument("--large", type=int, default=100, help="of each of two associations")
    parser.add_argument("--sent", type=int, default=1000, help="instances that servers send")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.small, options.large, options.sent = 1, 5, 2, 5
    figures: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small = make_files(root / "small", options.small, 48, 0)
        large = [
            make_files(root / f"large{n}", options.large, 512, 1_000_000 * (n + 1))
            for n in range(2)
        ]
        stored = sorted(make_files(root / "stored", options.sent, 48, 9_000_000).iterdir())
        for _ in range(options.rounds):
            for receiver, opened in (
                ("orthanc-tw", server(start_ours, root / "ours")),
                ("Orthanc", server(start_reference, root / "reference")),
                ("storescp", storescp(root / "scp")),
            ):
                with opened as port:
                    if port is None:
                        continue
                    for what, rate in (
                        ("small, 1 assoc.", storescu(port, small)),
                        ("512 KB, 2 assoc.", storescu(port, *large)),
                        ("sent by us, small, 1 assoc.", send_all(port, [small])),
                    ):
                        figures.setdefault((what, receiver), []).append(rate)
            for sender, start in (("orthanc-tw", start_ours), ("Orthanc", start_reference)):
                sending = sent_by(start, root, stored)
                if sending is not None:
                    figures.setdefault(("sent to storescp", sender), []).append(sending)
    for (what, other), rates in sorted(figures.items()):
        rate = statistics.median(rates)
        ratio = statistics.median(figures[what, "orthanc-tw"]) / rate
        print(f"{what:28} {other:12} {rate:8.1f}/s  ours is {ratio:5.2f} times that")


if __name__ == "__main__":
    main()
