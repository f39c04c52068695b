"""Starts this server and Debian's Orthanc on loopback ports with the same options."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

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


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A server process under test."""

    def __init__(
        self, name: str, command: list[str], folder: Path, dicom_port: int | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        configuration = dict(OPTIONS, HttpPort=self.port, StorageDirectory=str(folder / "db"))
        configuration["IndexDirectory"] = str(folder / "db")
        if dicom_port is not None:
            configuration.update(DicomServerEnabled=True, DicomPort=dicom_port)
        path = folder / "configuration.json"
        path.write_text(json.dumps(configuration))
        self._log = (folder / "log").open("wb")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, str(path)],
            stdout=self._log,
            stderr=self._log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        )
        self._wait()
        self.start_up_s = time.perf_counter() - started

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/system")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"{self.name} did not start: {(self._folder / 'log').read_text()}")

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, in MB."""
        total = 0
        pids = [self._process.pid]
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

    def stop(self) -> None:
        """End the process and remove its folder."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def start_ours(folder: Path, dicom_port: int | None = None) -> Server:
    """This server, as its users start it."""
    command = [sys.executable, "-m", "twisted.scripts.twistd"]
    twistd = Path(sys.executable).with_name("twistd")
    if twistd.exists():
        command = [str(twistd)]
    return Server(
        "orthanc-tw", [*command, "--nodaemon", "--pidfile=", "orthanc"], folder, dicom_port
    )


def start_reference(folder: Path, dicom_port: int | None = None) -> Server | None:
    """Debian's Orthanc, or None if it is not installed."""
    path = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin")
    return Server("Orthanc", [path], folder, dicom_port) if path else None
