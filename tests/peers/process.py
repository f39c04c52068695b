"""This server as a process, started the way its users start it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


class OrthancProcess:
    """A server in a temporary folder; may be killed and started again on the same data."""

    def __init__(self, **options: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-tw-"))
        self.storage = self.folder / "storage"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._configuration = self.folder / "configuration.json"
        self.configure(**options)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def configure(self, **options: Any) -> None:
        """The configuration of the next start."""
        self._configuration.write_text(
            json.dumps(
                {
                    "HttpPort": self.port,
                    "StorageDirectory": str(self.storage),
                    "DicomServerEnabled": False,
                    **options,
                }
            )
        )

    def start(self) -> None:
        """Start, and return once it answers."""
        twistd = Path(sys.executable).with_name("twistd")
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [str(twistd), "--nodaemon", "--pidfile=", "orthanc", str(self._configuration)],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        log.close()
        self.wait()

    def wait(self) -> None:
        """Return once it answers."""
        assert self._process is not None
        for _ in range(1200):
            if self._process.poll() is not None:
                break
            try:
                self.request("GET", "/system")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {self.log()}")

    def log(self) -> str:
        """All that it printed."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Process identifier."""
        assert self._process is not None
        return self._process.pid

    def ended(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None
        return self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End it in good order, keep its data; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode

    def destroy(self) -> None:
        """End it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers (lower case), body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """One JSON request; raises if the status is not 200."""
        body = None if value is None else json.dumps(value).encode()
        status, _, answer = self.request(method, path, body)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
        return json.loads(answer)

    def wait_for_job(self, job_id: str) -> Any:
        """Poll a job until it has ended; returns its description."""
        for _ in range(3000):
            job = self.json("GET", f"/jobs/{job_id}")
            if job["State"] in ("Success", "Failure"):
                return job
            time.sleep(0.02)
        raise RuntimeError(f"job {job_id} does not end")


def wait_for(condition: Callable[[], bool]) -> None:
    """Until a peer has done something: there is nothing to be notified by."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it does not happen")


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
