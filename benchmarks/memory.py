"""Memory while much passes through: ``python -m benchmarks.memory [--smoke]``.

Receives one instance of 2 GB, then archives a study of 2 GB, synchronously and as a job,
and prints how far the resident memory of the server rose above what it was before.
"""

from __future__ import annotations

import argparse
import io
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.uid import UID

from benchmarks.client import Connection
from benchmarks.data import make_instance
from benchmarks.servers import Server, start_ours
from benchmarks.workloads import wait_for


def peak_mb(server: Server, work: Callable[[], None]) -> float:
    """How many MB the memory of the server rises above its start while ``work`` runs."""
    before = server.memory_mb()
    highest = before
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.02):
            highest = max(highest, server.memory_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return highest - before


def send_large(port: int, size: int) -> None:
    """Upload one multi-frame instance of about ``size`` bytes, a piece at a time."""
    dataset = pydicom.dcmread(io.BytesIO(make_instance(1, 1, 1, 512).content))
    frame = bytes(dataset.PixelData)
    dataset.NumberOfFrames = size // len(frame)
    dataset.PixelData = b""
    out = io.BytesIO()
    dataset.save_as(out)
    # The pixel data element comes last: its length is the last four bytes.
    head = out.getvalue()[:-4] + (len(frame) * dataset.NumberOfFrames).to_bytes(4, "little")
    length = len(head) + len(frame) * dataset.NumberOfFrames
    with socket.create_connection(("127.0.0.1", port), timeout=600) as sock:
        sock.sendall(
            f"POST /instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        sock.sendall(head)
        for _ in range(dataset.NumberOfFrames):
            sock.sendall(frame)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    if b'"Success"' not in answer:
        raise RuntimeError(f"the large instance was refused: {answer[:500]!r}")


def main() -> None:
    """Print a line a step."""
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="64 MB instead of 2 GB")
    parser.add_argument("--folder", type=Path, help="where the server keeps its data")
    options = parser.parse_args()
    size = 64_000_000 if options.smoke else 2_000_000_000
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        server = start_ours(Path(folder) / "ours")
        connection = Connection(server.port)
        try:
            print(f"idle: {server.memory_mb():.0f} MB")
            rise = peak_mb(server, lambda: send_large(server.port, size))
            print(f"receiving an instance of {size / 1e6:.0f} MB: +{rise:.0f} MB")
            for name, rise in archives(server, connection, size):
                print(f"archiving a study of {size / 1e6:.0f} MB {name}: +{rise:.0f} MB")
        finally:
            connection.close()
            server.stop()


def archives(server: Server, connection: Connection, size: int) -> list[tuple[str, float]]:
    """Upload a study of many instances, archive it both ways."""
    content = make_instance(2, 1, 1, 512).content
    parsed = pydicom.dcmread(io.BytesIO(content))
    study = ""
    for number in range(size // len(content)):
        parsed.SOPInstanceUID = UID(f"1.2.3.{number}")
        parsed.file_meta.MediaStorageSOPInstanceUID = parsed.SOPInstanceUID
        out = io.BytesIO()
        parsed.save_as(out)
        study = str(connection.json_upload(out.getvalue())["ParentStudy"])

    def synchronous() -> None:
        connection.request("GET", f"/studies/{study}/archive", keep=False)

    def asynchronous() -> None:
        job = connection.json("POST", f"/studies/{study}/archive", {"Asynchronous": True})
        wait_for(connection, job["ID"])
        connection.request("GET", f"/jobs/{job['ID']}/archive", keep=False)

    results = []
    for name, work in (("synchronously", synchronous), ("as a job", asynchronous)):
        started = time.perf_counter()
        rise = peak_mb(server, work)
        elapsed = time.perf_counter() - started
        results.append((f"{name} ({size / 1e6 / elapsed:.0f} MB/s)", rise))
    return results


if __name__ == "__main__":
    main()
