"""The end of a real process, in good order."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from twisted.trial.unittest import TestCase

from tests.peers.process import ROOT, OrthancProcess
from tests.ports import free_port


class StopTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        """A running server."""
        self.server = OrthancProcess()
        self.addCleanup(self.server.destroy)

    def test_status(self) -> None:
        """SIGTERM ends the server with status 0 and without a traceback in the log."""
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.log())
        self.assertIn("Server Shut Down", self.server.log())

    def test_amid_the_start(self) -> None:
        """SIGTERM while the server starts is an end in good order too."""
        folder = Path(tempfile.mkdtemp(prefix="orthanc-tw-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        # The configuration is read from a pipe: the server starts, and cannot go on without it.
        pipe = folder / "configuration.json"
        os.mkfifo(pipe)
        twistd = Path(sys.executable).with_name("twistd")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(twistd), "--nodaemon", "--pidfile=", "orthanc", str(pipe)],
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.addCleanup(process.kill)
        with pipe.open("w") as configuration:  # returns when the server reads
            process.terminate()
            configuration.write(json.dumps({"HttpPort": free_port(), "DicomServerEnabled": False}))
        self.assertEqual(process.wait(30), 0)
        self.assertNotIn("Traceback", (folder / "log").read_text())

    def test_amid_an_upload(self) -> None:
        """A client that is in the middle of its upload does not hold up the end."""
        with socket.create_connection(("127.0.0.1", self.server.port)) as client:
            head = b"POST /instances HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
            client.sendall(head + bytes(3_000_000))
            self.server.request("GET", "/system")
            self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.log())
        self.assertEqual(list((self.server.storage / "spool").iterdir()), [])

    def test_stalled_download(self) -> None:
        """A client that takes nothing of its answer is cut off after HttpRequestTimeout."""
        server = OrthancProcess(HttpRequestTimeout=1)
        self.addCleanup(server.destroy)
        data = dcmread(get_testdata_file("CT_small.dcm"))
        data.PixelData = bytes(40_000_000)
        file = io.BytesIO()
        data.save_as(file)
        instance = json.loads(server.request("POST", "/instances", file.getvalue())[2])["ID"]
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"GET /instances/{instance}/file HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            client.recv(100)
            for _ in range(2000):
                metrics = server.request("GET", "/tools/metrics-prometheus")[2]
                # The request for the metrics is one.
                if b"orthanc_rest_api_active_requests 1 " in metrics:
                    break
            else:
                self.fail(metrics.decode())
