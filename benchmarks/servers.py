"""Starts this server and Debian's Orthanc on loopback ports with the same options."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.ports import free_port

OPTIONS = {
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": False,
    "SyncStorageArea": True,
    "DicomServerEnabled": False,
    "HttpCompressionEnabled": False,
    "JobsHistorySize": 1000,
    "MediaArchiveSize": 1000,
    "ConcurrentJobs": 2,
    "StorageCompression": False,
    "OverwriteInstances": False,
    "SaveJobs": True,
}
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For ``preexec_fn``: end when the benchmark is killed. Linux; elsewhere it does nothing."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def environment() -> dict[str, str]:
    """That of a server, which runs from this checkout whether it is installed or not."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def write_configuration(folder: Path, options: dict[str, Any]) -> tuple[int, Path]:
    """Write the configuration of a server that keeps its data in a folder; its port, the file."""
    port = free_port()
    path = folder / "configuration.json"
    data = str(folder / "db")
    path.write_text(
        json.dumps({**options, "HttpPort": port, "StorageDirectory": data, "IndexDirectory": data})
    )
    return port, path


def wait_until_it_answers(
    name: str, process: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    """Return once ``/system`` is answered.

    :raises RuntimeError: if the process has ended, or does not answer within a minute
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.01)
    raise RuntimeError(f"{name} did not start: {log.read_text()}")


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/system")
        return connection.getresponse().status == 200
    except OSError:
        return False


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB."""
    total = 0
    pids = [pid]
    while pids:
        pid = pids.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except FileNotFoundError:
            continue
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
        pids.extend(int(child) for child in children.split())
    return total / 1024


class Server:
    """A server process under test.

    :param keep: use what is in the folder, and leave it there
    :param dicom_port: where it listens for DICOM, None: nowhere
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        *,
        keep: bool = False,
        options: Mapping[str, object] | None = None,
        dicom_port: int | None = None,
    ) -> None:
        self.name = name
        self._folder = folder
        self._keep = keep
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        dicom = {} if dicom_port is None else {"DicomServerEnabled": True, "DicomPort": dicom_port}
        self.port, path = write_configuration(folder, {**OPTIONS, **dicom, **(options or {})})
        self._log = (folder / "log").open("wb")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, str(path)],
            stdout=self._log,
            stderr=self._log,
            cwd=folder,
            env=environment(),
        )
        wait_until_it_answers(name, self._process, self.port, folder / "log")
        self.start_up_s = time.perf_counter() - started

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, in MB."""
        return memory_mb(self._process.pid)

    def stop(self) -> None:
        """End the process and remove its folder, unless that is kept."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        if not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)


def start_ours(folder: Path, **how: Any) -> Server:
    """This server, as its users start it; ``how`` is for `Server`."""
    command = [sys.executable, "-m", "twisted.scripts.twistd"]
    twistd = Path(sys.executable).with_name("twistd")
    if twistd.exists():
        command = [str(twistd)]
    return Server("orthanc-tw", [*command, "--nodaemon", "--pidfile=", "orthanc"], folder, **how)


def start_reference(folder: Path, **how: Any) -> Server | None:
    """Debian's Orthanc, or None if it is not installed."""
    path = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin")
    return Server("Orthanc", [path], folder, **how) if path else None
