"""HEAD and OPTIONS of every route of a running server, over one connection that has to last."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pydicom
from twisted.trial.unittest import TestCase

from tests.peers.process import OrthancProcess

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
LEVELS = ("patients", "studies", "series", "instances")
#: What a path is filled in with; a path with any other variable is asked for what is not there.
KNOWN = {"name": "mine", "label": "urgent", "frame": "0", "tag": "PatientName"}
# These differ from one request to the next, or are sent in chunks.
VARYING = {"date", "transfer-encoding"}
# Their bodies do: numbers, times, new identifiers.
COUNTING = re.compile(
    r"/(statistics|metrics-prometheus|generate-uid|now|now-local|changes|status|{job_id})$"
)


class HeadTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.server = OrthancProcess(
            StableAge=3600,
            HttpCompressionEnabled=True,
            KeepAlive=True,
            KeepAliveTimeout=60,
            DicomModalities={"mine": ["MINE", "127.0.0.1", 4242]},
            UserMetadata={"mine": 4711},
            UserContentType={"mine": 4711},
        )
        self.addCleanup(self.server.destroy)
        for name in ("CT_small.dcm", "MR_small.dcm"):
            self.server.request("POST", "/instances", (DATA / name).read_bytes())
        self.known = {level: self.server.json("GET", f"/{level}")[0] for level in LEVELS}
        for level, public_id in self.known.items():
            self.server.request("PUT", f"/{level}/{public_id}/metadata/mine", b"x")
            self.server.request("PUT", f"/{level}/{public_id}/attachments/mine", b"y" * 50_000)
            self.server.request("PUT", f"/{level}/{public_id}/labels/urgent", b"")
        archive = {"Resources": [self.known["studies"]], "Asynchronous": True}
        self.job = self.server.json("POST", "/tools/create-archive", archive)["ID"]
        self.server.wait_for_job(self.job)
        self.document = self.server.json("GET", "/openapi.json")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(self.connection.close)

    def ask(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        self.connection.request(method, path, headers={"Accept-Encoding": "gzip"})
        answer = self.connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()

    def filled(self, template: str) -> str:
        values = {**KNOWN, "public_id": self.known.get(template.split("/")[1], "nope")}
        if template.startswith("/jobs/"):
            values.update(job_id=self.job, key="archive")
        return re.sub(r"{(\w+)}", lambda match: values.get(match[1], "nope"), template)

    def test_head(self) -> None:
        """HEAD of every GET route has its status and headers, and no body."""
        compared = 0
        for template, item in self.document["paths"].items():
            if "get" not in item or template == "/jobs/events":
                continue
            path = self.filled(template)
            status, headers, body = self.ask("HEAD", path)
            expected_status, expected, _ = self.ask("GET", path)
            self.assertEqual((status, body), (expected_status, b""), path)
            varying = VARYING | ({"content-length", "etag"} if COUNTING.search(template) else set())
            if template.endswith(("/archive", "/media")) and "content-length" not in headers:
                varying |= {"content-length"}
            self.assertEqual(
                {k: v for k, v in headers.items() if k not in varying},
                {k: v for k, v in expected.items() if k not in varying},
                path,
            )
            compared += status == 200
        self.assertGreater(compared, 100)

    def test_no_side_effects(self) -> None:
        """HEAD of an archive makes no job, that of the events ends, and nothing is changed."""
        before = self.server.json("GET", "/jobs"), self.server.json("GET", "/changes?last")
        for path in (
            f"/studies/{self.known['studies']}/archive",
            f"/patients/{self.known['patients']}/media",
            f"/tools/create-archive?resources={self.known['studies']}",
        ):
            status, headers, _ = self.ask("HEAD", path)
            self.assertEqual((status, headers["content-type"]), (200, "application/zip"), path)
            self.assertIn("filename=", headers["content-disposition"])
        self.assertEqual(self.ask("HEAD", "/jobs/events")[0], 200)
        self.assertEqual(self.ask("HEAD", "/studies/nope/archive")[0], 404)
        after = self.server.json("GET", "/jobs"), self.server.json("GET", "/changes?last")
        self.assertEqual(after, before)

    def test_ranges(self) -> None:
        """HEAD of a range tells the length of the range."""
        path = f"/instances/{self.known['instances']}/attachments/mine/data"
        self.connection.request("HEAD", path, headers={"Range": "bytes=10-19"})
        answer = self.connection.getresponse()
        answer.read()
        self.assertEqual((answer.status, answer.getheader("Content-Length")), (206, "10"))

    def test_options(self) -> None:
        """OPTIONS of every path has the methods that the description has."""
        for template, item in self.document["paths"].items():
            status, headers, body = self.ask("OPTIONS", self.filled(template))
            self.assertEqual((status, body), (204, b""), template)
            allowed = set(headers["allow"].split(","))
            expected = {name.upper() for name in item if name != "parameters"} | {"OPTIONS"}
            if "GET" in expected:
                expected.add("HEAD")
            self.assertLessEqual(expected, allowed, template)
            if "GET" not in allowed:
                self.assertEqual(self.ask("HEAD", self.filled(template))[0], 405, template)
        self.assertEqual(self.ask("GET", "/system")[0], 200)  # nothing is left of those before
