"""The accelerator against ``/peers/X/store``: ``python -m benchmarks.transfers [--instances N]``.

On loopback, and between two network namespaces with 50 ms of delay and 1 % of loss each way, where
those may be made (root with CAP_NET_ADMIN); skipped, and said so, where not. The line says whether
it was ``netem``, or the ``relay`` of packets that takes its place where the kernel has none.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import make_instance
from benchmarks.network import SlowNetwork, reason_of
from benchmarks.servers import OPTIONS, die_with_parent, environment
from tests.ports import free_port


class Host:
    """A server, in a network namespace or not. Asked with curl, which may enter one."""

    def __init__(self, folder: Path, address: str, namespace: str = "") -> None:
        self.enter = ("ip", "netns", "exec", namespace) if namespace else ()
        self.folder = folder
        folder.mkdir()
        self.port = free_port()
        self.url = f"http://{address}:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, peer: Host) -> None:
        """Start, and return once it answers."""
        path = self.folder / "configuration.json"
        data = str(self.folder / "db")
        own = {"HttpPort": self.port, "StorageDirectory": data, "IndexDirectory": data}
        path.write_text(json.dumps({**OPTIONS, **own, "OrthancPeers": {"other": [peer.url]}}))
        twistd = str(Path(sys.executable).with_name("twistd"))
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.enter, twistd, "--nodaemon", "--pidfile=", "orthanc", str(path)],
                stdout=log,
                stderr=log,
                env=environment(),
                preexec_fn=die_with_parent,
            )
        for _ in range(600):
            if self.ask("GET", "system") is not None:
                return
            time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON of an answer, None if there is none."""
        command = [*self.enter, "curl", "-s", "-X", method, self.url + path]
        if body is not None:
            command += ["--data-binary", "@-", "-H", "Expect:"]
        found = subprocess.run(command, input=body, capture_output=True, check=False).stdout
        return json.loads(found) if found else None

    def job(self, path: str, value: dict[str, Any]) -> float:
        """Seconds that a job took, by its own account."""
        identifier = self.ask("POST", path, json.dumps(value).encode())["ID"]
        while True:
            job = self.ask("GET", f"jobs/{identifier}")
            if job["State"] in ("Success", "Failure"):
                break
            time.sleep(0.05)
        if job["State"] == "Failure":
            raise RuntimeError(job)
        return float(job["EffectiveRuntime"])


def compare(source: Host, target: Host, instances: int, edge: int) -> tuple[float, float, float]:
    """Seconds of store, pull and push of the same study."""
    source.start(target)
    target.start(source)
    for number in range(instances):
        sample = make_instance(1, number % 3, number, edge)
        (source.folder / f"{number}.dcm").write_bytes(sample.content)
    config = "\n".join(
        f'next\nurl = "{source.url}instances"\ndata-binary = "@{source.folder}/{number}.dcm"\n'
        'output = "/dev/null"'
        for number in range(instances)
    )
    subprocess.run([*source.enter, "curl", "-s", "-K", "-"], input=config.encode(), check=True)
    (study,) = source.ask("GET", "studies")
    figures = []
    query = {"Resources": [{"Level": "Study", "ID": study}], "Peer": "other"}
    for host, path, value in (
        (source, "peers/other/store", {"Resources": [study], "Asynchronous": True}),
        (target, "transfers/pull", {**query, "Compression": "none"}),
        (source, "transfers/send", {**query, "Compression": "none"}),
    ):
        figures.append(host.job(path, value))
        found = len(target.ask("GET", "instances"))
        if found != instances:
            raise RuntimeError(f"{path}: {found} of {instances} instances are there")
        target.ask("DELETE", f"studies/{study}")
    return figures[0], figures[1], figures[2]


def show(name: str, figures: Sequence[float]) -> None:
    store, pull, push = figures
    print(
        f"{name}: store {store:.2f} s; pull {pull:.2f} s, {store / pull:.1f} times as fast; "
        f"push {push:.2f} s, {store / push:.1f} times as fast",
        flush=True,
    )


def measure(name: str, options: argparse.Namespace, hosts: Sequence[tuple[str, str]]) -> None:
    folder = Path(tempfile.mkdtemp())
    pair: list[Host] = []
    try:
        for number, (address, space) in enumerate(hosts):
            pair.append(Host(folder / str(number), address, space))
        show(name, compare(pair[0], pair[1], options.instances, options.edge))
    finally:
        for host in pair:
            host.stop()
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.transfers", description=__doc__)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=48, help="pixels of 16 bits, both ways")
    parser.add_argument(
        "--delay", type=float, nargs=2, default=(50, 50), metavar="MS", help="there, back"
    )
    parser.add_argument("--loss", type=float, default=1, metavar="PERCENT")
    options = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # So that what was made is removed.
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    measure("loopback", options, [("127.0.0.1", ""), ("127.0.0.1", "")])
    there, back = options.delay
    name = f"{there:g} ms there, {back:g} ms back, {options.loss:g} % lost"
    network = SlowNetwork((there, back), options.loss)
    try:
        network.make()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name}: skipped, not allowed: {reason_of(error)} (netem: {network.no_netem})")
        return
    try:
        if network.no_netem:
            print(f"{name}: by a relay of packets, for netem says: {network.no_netem}", flush=True)
        ends = list(zip(network.addresses, network.namespaces, strict=True))
        measure(f"{name} ({network.by})", options, ends)
    finally:
        network.remove()


if __name__ == "__main__":
    main()
