from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from tests.peers.process import OrthancProcess
from tests.ports import free_port

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


class PrometheusTests(unittest.TestCase):
    """A real Prometheus reads the metrics."""

    @unittest.skipUnless(PROMTOOL, "peer missing: promtool")
    def test_exposition_is_valid(self) -> None:
        """Promtool can parse what /tools/metrics-prometheus answers."""
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        status, _, body = server.request("GET", "/tools/metrics-prometheus")
        self.assertEqual(200, status)
        self.assertIn(b"\northanc_count_instances 0 ", body)
        assert PROMTOOL is not None
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=body, capture_output=True)
        # Exit status 3 is about naming style and missing help, which clients' names dictate.
        self.assertIn(done.returncode, (0, 3), done.stderr)
        self.assertNotIn(b"error while linting", done.stderr)

    @unittest.skipUnless(PROMETHEUS, "peer missing: prometheus")
    def test_scrape(self) -> None:
        """A Prometheus that scrapes the server has the count of instances."""
        server = OrthancProcess()
        self.addCleanup(server.destroy)
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, True)
        port = free_port()
        configuration = Path(folder) / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            "- job_name: orthanc\n"
            "  metrics_path: /tools/metrics-prometheus\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]\n"
        )
        assert PROMETHEUS is not None
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        query = f"http://127.0.0.1:{port}/api/v1/query?query=orthanc_count_instances"
        found: list[object] = []
        for _ in range(300):
            try:
                with urllib.request.urlopen(query, timeout=5) as answer:
                    found = json.load(answer)["data"]["result"]
            except OSError:
                pass
            if found:
                break
            time.sleep(0.1)
        self.assertEqual("0", found[0]["value"][1])  # type: ignore[index]
