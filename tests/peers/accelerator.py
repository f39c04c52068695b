"""An Orthanc with the transfers accelerator 1.7, played in threads of the test.

Written from the description of the wire alone, and with nothing of ours: it is what ours is held
against. It serves, it pulls and it pushes. :meth:`AcceleratorPeer.fault` makes it misbehave.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
import sys
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.peers.accelerator_client import Resource, Transaction, describe, identifiers, pull


class AcceleratorPeer:
    """A server with files in memory, at ``url``."""

    def __init__(self, files: Iterable[bytes] = ()) -> None:
        self.files: dict[str, bytes] = {}
        self.levels: dict[str, dict[str, str]] = {}
        self.peers: dict[str, str] = {}
        self.plugins: list[str] = ["explorer.js", "transfers"]
        self.originator = str(uuid.uuid4())
        self.transactions: dict[str, Transaction] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.closing = threading.Event()
        self._faults: list[list[Any]] = []
        self._lock = threading.Lock()
        for file in files:
            self.store(file)
        peer = self

        class Handler(_Handler):
            owner = peer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    def fault(self, method: str, path: str, action: Callable[[Any], Any], times: int = -1) -> None:
        """For so many requests whose path has this pattern: ``action(handler)`` answers, or not.

        What it returns tells whether it has answered; if it has not, the request goes its way.
        """
        self._faults.append([method, path, action, times])

    def mend(self) -> None:
        """No faults any more."""
        self._faults.clear()

    def faulty(self, handler: _Handler) -> bool:
        """Whether a fault has answered."""
        for entry in self._faults:
            with self._lock:
                met = entry[0] == handler.command and re.search(entry[1], handler.path) and entry[3]
                entry[3] -= 1 if met else 0
            if met and entry[2](handler):
                return True
        return False

    def store(self, file: bytes) -> str:
        """Keep a file; its identifier."""
        levels = identifiers(file)
        self.files[levels["Instance"]] = file
        self.levels[levels["Instance"]] = levels
        return levels["Instance"]

    def asked(self, method: str, path: str) -> list[tuple[str, str, dict[str, str], bytes]]:
        """The requests with this method whose path has this pattern."""
        return [one for one in self.requests if one[0] == method and re.search(path, one[1])]

    # What it answers.

    def lookup(self, resources: list[Resource]) -> dict[str, Any] | None:
        """The instances of resources, each once; None if one is unknown."""
        found: dict[str, None] = {}
        for resource in resources:
            below = [
                public_id
                for public_id, levels in self.levels.items()
                if levels[resource["Level"]] == resource["ID"]
            ]
            if not below:
                return None
            found.update(dict.fromkeys(below))
        total = sum(len(self.files[public_id]) for public_id in found)
        return {
            "Instances": [describe(public_id, self.files[public_id]) for public_id in found],
            "Originator": self.originator,
            "CountInstances": len(found),
            "TotalSize": str(total),
            "TotalSizeMB": total // (1024 * 1024),
        }

    def start_pull(self, query: dict[str, Any]) -> str:
        """The job of ``/transfers/pull``."""
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = {"ID": job_id, "State": "Running", "Type": "PullTransfer"}

        def run() -> None:
            state = "Failure"
            try:
                url = self.peers[query["Peer"]]
                arguments = query["Resources"], query["Compression"], query.get("Originator")
                for file in pull(url, *arguments).values():
                    self.store(file)
                state = "Success"
            finally:
                self.jobs[job_id]["State"] = state

        threading.Thread(target=run, daemon=True).start()
        return job_id


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no error: some tests are about that."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


COOKIE = "sticky=node-7"


class _Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    owner: AcceleratorPeer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def reply(self, status: int, body: Any = b"", **headers: str) -> bool:
        """Answer bytes, or anything else as JSON; True."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return True

    def truncate(self, body: bytes, length: int) -> bool:
        """Announce so many bytes and send fewer; True."""
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
        return True

    def silence(self) -> bool:
        """Never answer; True."""
        self.owner.closing.wait()
        self.close_connection = True
        return True

    def _run(self) -> None:
        peer = self.owner
        try:
            body = self._body()
        except OSError:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        peer.requests.append((self.command, self.path, headers, body))
        if peer.faulty(self):
            return
        parts = urllib.parse.urlsplit(self.path)
        segments = [segment for segment in parts.path.split("/") if segment]
        route = getattr(self, f"_{self.command}_{segments[0]}", None)
        if route is None or not route(segments[1:], urllib.parse.parse_qs(parts.query), body):
            self.reply(404)

    do_GET = do_POST = do_PUT = do_DELETE = _run

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _GET_plugins(self, rest: list[str], _: Any, __: bytes) -> bool:
        return self.reply(200, self.owner.plugins)

    def _GET_system(self, rest: list[str], _: Any, __: bytes) -> bool:
        return self.reply(200, {"Name": "accelerated", "Version": "1.12.9", "ApiVersion": 28})

    def _GET_instances(self, rest: list[str], _: Any, __: bytes) -> bool:
        return self.reply(200, sorted(self.owner.files))

    def _POST_instances(self, rest: list[str], _: Any, body: bytes) -> bool:
        return self.reply(200, {"ID": self.owner.store(body), "Status": "Success"})

    def _GET_jobs(self, rest: list[str], _: Any, __: bytes) -> bool:
        job = self.owner.jobs.get(rest[0])
        return job is not None and self.reply(200, job)

    def _GET_transfers(self, rest: list[str], query: dict[str, list[str]], _: bytes) -> bool:
        ids = rest[1].split(".")
        if rest[0] != "chunks" or not all(one in self.owner.files for one in ids):
            return False
        content = b"".join(self.owner.files[one] for one in ids)
        offset, size = (int(query.get(name, ["0"])[0]) for name in ("offset", "size"))
        content = content[offset : offset + size] if size else content[offset:]
        if query.get("compression") == ["gzip"]:
            return self.reply(200, gzip.compress(content, 1), Content_Type="application/gzip")
        return self.reply(200, content, Content_Type="application/octet-stream")

    def _POST_transfers(self, rest: list[str], _: Any, body: bytes) -> bool:
        if len(rest) == 3 and rest[0] == "push" and rest[2] == "commit":
            transaction = self._transaction(rest[1])
            if transaction is None:
                return False
            files = transaction.files()
            del self.owner.transactions[rest[1]]
            for file in (files or {}).values():
                self.owner.store(file)
            return self.reply(500 if files is None else 200, {})
        value = json.loads(body)
        if rest == ["lookup"]:
            found = self.owner.lookup(value)
            return found is not None and self.reply(200, found)
        if rest == ["pull"]:
            job_id = self.owner.start_pull(value)
            return self.reply(200, {"ID": job_id, "Path": f"/jobs/{job_id}"})
        if rest == ["push"]:
            new_id = str(uuid.uuid4())
            self.owner.transactions[new_id] = Transaction(
                value["Buckets"], value["Compression"] == "gzip", value["Instances"]
            )
            answer = {"ID": new_id, "Path": f"/transfers/push/{new_id}"}
            return self.reply(200, answer, Set_Cookie=f"{COOKIE}; Path=/; HttpOnly")
        return False

    def _PUT_transfers(self, rest: list[str], _: Any, body: bytes) -> bool:
        transaction = self._transaction(rest[1])
        if transaction is None:
            return False
        transaction.received[int(rest[2])] = gzip.decompress(body) if transaction.gzipped else body
        return self.reply(200, {})

    def _DELETE_transfers(self, rest: list[str], _: Any, __: bytes) -> bool:
        if self._transaction(rest[1]) is None:
            return False
        del self.owner.transactions[rest[1]]
        return self.reply(200, {})

    def _transaction(self, public_id: str) -> Transaction | None:
        # As behind a load balancer: without the cookie another node is asked, which knows nothing.
        if self.headers.get("Cookie") != COOKIE:
            return None
        return self.owner.transactions.get(public_id)
