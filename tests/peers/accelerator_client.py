"""The side of the transfers accelerator 1.7 that asks: pulls and pushes, for tests.

Written from the description of the wire alone, and with nothing of ours.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pydicom

Resource = dict[str, str]
Bucket = list[dict[str, str]]


def orthanc_id(*parts: str) -> str:
    """The identifier that Orthanc makes of a patient, study, series, instance."""
    digest = hashlib.sha1("|".join(parts).encode()).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def identifiers(file: bytes) -> dict[str, str]:
    """Level to identifier of a DICOM file."""
    tags = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True)
    parts = [
        str(tags.get(name, "")).strip()
        for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    levels = ("Patient", "Study", "Series", "Instance")
    return {level: orthanc_id(*parts[: at + 1]) for at, level in enumerate(levels)}


def make_buckets(instances: list[tuple[str, int]], target: int) -> list[Bucket]:
    """Small instances together until the target size, in bytes; large ones in pieces."""
    buckets: list[Bucket] = []
    group: Bucket = []
    grouped = 0
    for public_id, size in instances:
        if size >= target:
            for offset in range(0, size, target):
                piece = min(target, size - offset)
                buckets.append([{"ID": public_id, "Offset": str(offset), "Size": str(piece)}])
            continue
        group.append({"ID": public_id, "Offset": "0", "Size": str(size)})
        grouped += size
        if grouped >= target:
            buckets.append(group)
            group, grouped = [], 0
    return [*buckets, group] if group else buckets


def describe(public_id: str, file: bytes) -> dict[str, str]:
    """How an instance is announced."""
    md5 = hashlib.md5(file).hexdigest()
    return {"ID": public_id, "Size": str(len(file)), "MD5": md5}


@dataclass
class Answer:
    """Of a server: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The JSON of a success."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)


def ask(
    url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own; a body that is not bytes is sent as JSON."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, content, headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def run_together(actions: Iterable[Callable[[], object]]) -> None:
    """In threads, started in this order; raises the first failure."""
    failures: list[BaseException] = []

    def run(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@dataclass
class Transaction:
    """A push that is under way."""

    buckets: list[Bucket]
    gzipped: bool
    instances: list[dict[str, str]]
    received: dict[int, bytes] = field(default_factory=dict)

    def files(self) -> dict[str, bytes] | None:
        """Identifier to file; None if anything is missing or wrong."""
        files = {one["ID"]: bytearray(int(one["Size"])) for one in self.instances}
        for number, bucket in enumerate(self.buckets):
            content = self.received.get(number)
            if content is None or len(content) != sum(int(one["Size"]) for one in bucket):
                return None
            for chunk in bucket:
                offset, size = int(chunk["Offset"]), int(chunk["Size"])
                files[chunk["ID"]][offset : offset + size] = content[:size]
                content = content[size:]
        if any(describe(one["ID"], bytes(files[one["ID"]])) != one for one in self.instances):
            return None
        return {public_id: bytes(file) for public_id, file in files.items()}


def pull(
    url: str,
    resources: list[Resource],
    compression: str = "gzip",
    originator: str | None = None,
    target: int = 64 * 1024,
) -> dict[str, bytes]:
    """Take resources from a server: identifier to file."""
    found = ask(url, "POST", "/transfers/lookup", resources).json()
    assert originator in (None, found["Originator"]), "the originator is another"
    sizes = [(one["ID"], int(one["Size"])) for one in found["Instances"]]
    transaction = Transaction(make_buckets(sizes, target), False, found["Instances"])

    def fetch(number: int) -> None:
        bucket = transaction.buckets[number]
        size = sum(int(chunk["Size"]) for chunk in bucket)
        answer = ask(
            url,
            "GET",
            f"/transfers/chunks/{'.'.join(chunk['ID'] for chunk in bucket)}"
            f"?offset={bucket[0]['Offset']}&size={size}&compression={compression}",
        )
        assert answer.status == 200, answer
        zipped = compression == "gzip"
        kind = "application/gzip" if zipped else "application/octet-stream"
        assert answer.headers["content-type"] == kind, answer.headers
        transaction.received[number] = gzip.decompress(answer.body) if zipped else answer.body

    run_together(partial(fetch, number) for number in range(len(transaction.buckets)))
    files = transaction.files()
    assert files is not None, "size or MD5"
    return files


def push(
    url: str,
    files: Mapping[str, bytes],
    compression: str = "gzip",
    target: int = 64 * 1024,
    commit: bytes = b"",
) -> Answer:
    """Send files to a server, the last bucket first; the answer of the commit."""
    buckets = make_buckets([(one, len(file)) for one, file in files.items()], target)
    announcement = {
        "Buckets": buckets,
        "Compression": compression,
        "Instances": [describe(*one) for one in files.items()],
    }
    answer = ask(url, "POST", "/transfers/push", announcement)
    path = answer.json()["Path"]
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    headers = {"Cookie": cookie} if cookie else {}

    def send(number: int) -> None:
        content = b"".join(
            files[one["ID"]][int(one["Offset"]) :][: int(one["Size"])] for one in buckets[number]
        )
        body = gzip.compress(content, 1) if compression == "gzip" else content
        answer = ask(url, "PUT", f"{path}/{number}", body, headers)
        assert answer.json() == {}, answer

    run_together(partial(send, number) for number in reversed(range(len(buckets))))
    return ask(url, "POST", f"{path}/commit", commit, headers)


def wait_for_job(url: str, job_id: str) -> dict[str, Any]:
    """Until a job of a server has ended; its description."""
    for _ in range(1200):
        job: dict[str, Any] = ask(url, "GET", f"/jobs/{job_id}").json()
        if job["State"] in ("Success", "Failure"):
            return job
        time.sleep(0.025)
    raise AssertionError(f"job {job_id} does not end: {job}")
