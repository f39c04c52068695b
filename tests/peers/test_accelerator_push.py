"""What a peer with the transfers accelerator may do wrong when it pushes to this server."""

from __future__ import annotations

import atexit
import contextlib
import gzip
import json
import socket
import unittest
from functools import cache, partial
from typing import Any

from tests.peers.accelerator_client import Answer, Bucket, ask, describe, identifiers, run_together
from tests.peers.process import OrthancProcess
from tests.peers.test_peers import numbered


@cache
def server() -> OrthancProcess:
    """One of ours for all tests."""
    started = OrthancProcess(StableAge=600, Transfers={"MaxPushTransactions": 4})
    atexit.register(started.destroy)
    return started


class PushedTests(unittest.TestCase):
    """It is refused, and nothing is stored."""

    def setUp(self) -> None:
        """Two instances, of 39,130 bytes each."""
        self.server = server()
        self.files = numbered(2)
        self.ids = [identifiers(file)["Instance"] for file in self.files]

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """A request to ours."""
        return ask(self.server.url, method, path, body)

    def begin(self, **fields: Any) -> Answer:
        """Announce both instances, a bucket each."""
        instances = [describe(*one) for one in zip(self.ids, self.files, strict=True)]
        buckets = [[{"ID": one["ID"], "Offset": "0", "Size": one["Size"]}] for one in instances]
        body = {"Buckets": buckets, "Compression": "none", "Instances": instances, **fields}
        return self.ask("POST", "/transfers/push", body)

    def refused(self, status: int, answer: Answer, reason: str) -> None:
        """An error whose details have this; and nothing was stored."""
        self.assertEqual(status, answer.status, answer.body)
        self.assertIn(reason, json.loads(answer.body)["Details"])
        self.assertEqual([], self.server.json("GET", "/instances"))

    def send(self, path: str) -> None:
        """Both buckets."""
        for number, file in enumerate(self.files):
            self.assertEqual((200, b"{}"), _status(self.ask("PUT", f"{path}/{number}", file)))

    def test_wrong_md5(self) -> None:
        """The commit names the instance, however often it is asked for."""
        instances = [describe(*one) for one in zip(self.ids, self.files, strict=True)]
        instances[1]["MD5"] = "0" * 32
        path = self.begin(Instances=instances).json()["Path"]
        self.send(path)
        for _ in range(2):
            self.refused(400, self.ask("POST", f"{path}/commit", b""), self.ids[1])

    def test_buckets(self) -> None:
        """A commit waits for all; what is no bucket of it changes nothing; twice is once."""
        path = self.begin().json()["Path"]
        whole = self.files[1]
        self.ask("PUT", f"{path}/0", self.files[0])
        self.refused(400, self.ask("POST", f"{path}/commit", b""), "not received: [1]")
        for body in (whole[:-1], whole + b"x"):
            self.refused(400, self.ask("PUT", f"{path}/1", body), "must have 39130 bytes")
        for number in ("2", "-1", "one", "9" * 30):
            self.refused(404, self.ask("PUT", f"{path}/{number}", whole), f"no bucket {number}")
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.server.port))) as half:
            head = f"PUT {path}/1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(whole)}\r\n\r\n"
            half.sendall(head.encode() + whole[:1000])
        self.refused(400, self.ask("POST", f"{path}/commit", b""), "not received: [1]")
        run_together([partial(self.send, path)] * 3)
        commits: list[Answer] = []
        run_together([lambda: commits.append(self.ask("POST", f"{path}/commit", b""))] * 3)
        self.assertEqual([(200, b"{}")] * 3, [_status(answer) for answer in commits])
        self.assertEqual(sorted(self.ids), self.server.json("GET", "/instances"))
        self.assertEqual(200, self.ask("POST", f"{path}/commit", b"{}").status)
        for public_id in self.ids:
            self.ask("DELETE", f"/instances/{public_id}")

    def test_pieces(self) -> None:
        """A bucket may begin amid one instance, and end amid another."""
        first, second = self.files
        size = len(first)
        pieces = [(0, 0, 9000), (0, 9000, size), (1, 0, 100), (1, 100, size)]

        def chunk(number: int, start: int, end: int) -> dict[str, str]:
            return {"ID": self.ids[number], "Offset": str(start), "Size": str(end - start)}

        head, tail, start, rest = (chunk(*piece) for piece in pieces)
        path = self.begin(Buckets=[[head], [tail, start], [rest]]).json()["Path"]
        for number, body in enumerate((first[:9000], first[9000:] + second[:100], second[100:])):
            self.assertEqual(200, self.ask("PUT", f"{path}/{number}", body).status)
        self.assertEqual(200, self.ask("POST", f"{path}/commit", b"").status)
        for public_id, file in zip(self.ids, self.files, strict=True):
            self.assertEqual(file, self.ask("GET", f"/instances/{public_id}/file").body)
            self.ask("DELETE", f"/instances/{public_id}")

    def test_gzip(self) -> None:
        """What is no gzip, is cut off, or inflates to something else is refused."""
        path = self.begin(Compression="gzip").json()["Path"]
        good = gzip.compress(self.files[0])
        for body in (
            self.files[0],
            good[:-20],
            good[:-8] + bytes(8),
            good + b"more",
            gzip.compress(bytes(10**7)),
        ):
            self.refused(400, self.ask("PUT", f"{path}/0", body), "bucket")
        self.assertEqual(200, self.ask("PUT", f"{path}/0", good).status)

    def test_discarded(self) -> None:
        """By its peer, or for a fifth one: it is not there any more."""
        paths = [self.begin().json()["Path"] for _ in range(5)]
        self.assertEqual(200, self.ask("DELETE", paths[4]).status)
        for path in (paths[0], paths[4], "/transfers/push/unknown"):
            for method, below in (("PUT", "0"), ("POST", "commit")):
                answer = self.ask(method, f"{path}/{below}", self.files[0])
                self.refused(404, answer, "no push transaction")
        self.send(paths[1])

    def test_no_dicom(self) -> None:
        """One that is no DICOM file, or another one than was announced: none is stored."""
        for last, reason in ((b"hello", "DICOM"), (numbered(3)[2], self.ids[1])):
            files = [self.files[0], last]
            instances = [describe(*one) for one in zip(self.ids, files, strict=True)]
            buckets = [[{"ID": one["ID"], "Offset": "0", "Size": one["Size"]}] for one in instances]
            path = self.begin(Instances=instances, Buckets=buckets).json()["Path"]
            for number, file in enumerate(files):
                self.assertEqual(200, self.ask("PUT", f"{path}/{number}", file).status)
            self.refused(400, self.ask("POST", f"{path}/commit", b""), reason)

    def test_announcements(self) -> None:
        """What cannot be is refused by the name of its field, before space is taken for it."""
        one = describe(self.ids[0], self.files[0])

        def bucket(*chunks: tuple[object, object]) -> list[list[Bucket]]:
            return [[{"ID": self.ids[0], "Offset": o, "Size": s} for o, s in chunks]]  # type: ignore[list-item, misc]

        for status, reason, fields in (
            (400, "Buckets", {"Buckets": {}}),
            (400, "Buckets", {"Buckets": [[]]}),
            (400, "Buckets", {"Buckets": bucket(("5", "39130"))}),
            (400, "Buckets", {"Buckets": bucket(("0", "5"), ("0", "5"))}),
            (400, "Buckets.Offset", {"Buckets": bucket(("-1", "5"))}),
            (400, "Buckets.Size", {"Buckets": bucket(("0", "9" * 30))}),
            (400, "Buckets.ID", {"Instances": []}),
            (400, "Compression", {"Compression": "zstd"}),
            (400, "Instances", {"Instances": "all"}),
            (400, "Instances.ID", {"Instances": [{**one, "ID": "../.."}]}),
            (400, "Instances.MD5", {"Instances": [{**one, "MD5": 5}]}),
            (400, "Instances.Size", {"Instances": [{**one, "Size": "-1"}]}),
            (507, "no space", {"Buckets": [], "Instances": [{**one, "Size": str(10**18)}]}),
        ):
            self.refused(status, self.begin(**fields), reason)
        for body in (b"", b"{", b"null", [], {}):
            self.assertEqual(400, self.ask("POST", "/transfers/push", body).status)


def _status(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body
