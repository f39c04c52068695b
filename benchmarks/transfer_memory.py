"""Memory of both servers of a transfer: ``python -m benchmarks.transfer_memory [--megabytes N]``.

A study goes from one server to another by ``/peers/X/store``, by pull and by push. Prints how far
the resident memory of each side, children included, rose above what it was before.
"""

from __future__ import annotations

import argparse
import http.client
import random
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.data import make_instance
from benchmarks.servers import memory_mb
from benchmarks.transfers import Host

EDGE = 512


def upload(host: Host, instances: int, edge: int) -> str:
    """Make a study that cannot be compressed; its identifier."""
    chance = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=600)
    for number in range(instances):
        pixels = chance.randbytes(2 * edge * edge)
        content = make_instance(1, number % 3, number, edge, pixels).content
        connection.request("POST", "/instances", content)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read())
        answer.read()
    connection.close()
    (study,) = host.ask("GET", "studies")
    return str(study)


class Watch:
    """Looks at the memory of processes now and again.

    :ivar rises_mb: of each, above what it was at the beginning
    """

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._before = [memory_mb(pid) for pid in pids]
        self.rises_mb = [0.0] * len(pids)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            now = [memory_mb(pid) for pid in self._pids]
            self.rises_mb = [
                max(rise, mb - before)
                for rise, mb, before in zip(self.rises_mb, now, self._before, strict=True)
            ]


def measure(hosts: tuple[Host, Host], instances: int, edge: int) -> None:
    """Print a line a way."""
    source, target = hosts
    source.start(target)
    target.start(source)
    pids = [host.process.pid for host in hosts if host.process is not None]
    print(f"idle: {', '.join(f'{memory_mb(pid):.0f} MB' for pid in pids)}", flush=True)
    study = upload(source, instances, edge)
    resources: dict[str, Any] = {"Resources": [{"Level": "Study", "ID": study}], "Peer": "other"}
    for name, host, path, value in (
        ("store", source, "peers/other/store", {"Resources": [study], "Asynchronous": True}),
        ("pull", target, "transfers/pull", {**resources, "Compression": "none"}),
        ("push", source, "transfers/send", {**resources, "Compression": "none"}),
        ("pull, gzip", target, "transfers/pull", {**resources, "Compression": "gzip"}),
        ("push, gzip", source, "transfers/send", {**resources, "Compression": "gzip"}),
    ):
        watch = Watch(pids)
        try:
            elapsed_s = host.job(path, value)
        finally:
            watch.end()
        sent, received = watch.rises_mb
        print(
            f"{name}: {elapsed_s:.0f} s; sender +{sent:.0f} MB, receiver +{received:.0f} MB",
            flush=True,
        )
        target.ask("DELETE", f"studies/{study}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="benchmarks.transfer_memory", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=4000, help="of the study")
    parser.add_argument("--edge", type=int, default=EDGE, help="pixels of 16 bits, both ways")
    parser.add_argument("--folder", type=Path, help="where the servers keep three times as much")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    hosts = Host(folder / "0", "127.0.0.1"), Host(folder / "1", "127.0.0.1")
    instances = max(1, options.megabytes * 1_000_000 // (2 * options.edge**2))
    try:
        measure(hosts, instances, options.edge)
    finally:
        for host in hosts:
            host.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
