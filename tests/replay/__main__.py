"""Replay the corpus: ``python -m tests.replay [--topic NAME ...] [--verbose]``.

Each topic gets a fresh, empty server with the configuration the topic names. An exchange
that does not match must stand in ``tests/reference/deviations.json`` (on purpose, with the
reason) or match ``tests/replay/not_built.json`` (what other versions will build);
anything else makes the run fail. So does a topic of `TOPICS` below its share.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "reference"
ROOT = HERE.parent.parent

#: The topics that are built, and the share of their exchanges that must match (percent).
#: The list only grows.
TOPICS: dict[str, float] = json.loads((HERE / "topics.json").read_text())


def load_replayer() -> types.ModuleType:
    """The corpus' own replayer, as a module."""
    spec = importlib.util.spec_from_file_location("replay", REFERENCE / "replay.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Outcome:
    """What became of the exchanges of a topic."""

    topic: str
    passed: int = 0
    skipped: int = 0
    deviating: int = 0
    not_built: int = 0
    failures: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Percent that match, of those that touch what is built and should match."""
        total = self.passed + len(self.failures)
        return 100.0 * self.passed / total if total else 100.0


def listed(rules: list[dict[str, Any]], topic: str, number: int, exchange: dict[str, Any]) -> Any:
    """The first rule that names this exchange, by number or by a pattern."""
    line = f"{exchange['method']} {exchange['path']}"
    body = json.dumps(exchange.get("body", exchange.get("body_text", "")))
    for rule in rules:
        if not re.fullmatch(rule["topic"], topic):
            continue
        if "exchanges" in rule and number not in rule["exchanges"]:
            continue
        if "match" in rule and not re.search(rule["match"], line):
            continue
        if "body" in rule and not re.search(rule["body"], body):
            continue
        return rule
    return None


@dataclass(frozen=True)
class Ports:
    """The ports of the servers of one topic."""

    http: int
    dicom: int
    peer_http: int
    peer_dicom: int
    silent: int

    @staticmethod
    def foreign(text: str) -> Ports:
        """Five that a recording does not contain.

        The replayer puts the name of a port where an answer has its number: a size of a file
        that happens to be the same would not match.
        """
        numbers = set(re.findall(r"\d{5}", text))
        ports = (port for port in iter(free_port, None) if str(port) not in numbers)
        return Ports(*itertools.islice(ports, 5))


class ServerProcess:
    """This server in a temporary folder, with the configuration of a topic."""

    def __init__(self, configuration: dict[str, Any], port: int, dicom_port: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="replay-"))
        self.url = f"http://127.0.0.1:{port}"
        path = self.folder / "configuration.json"
        path.write_text(
            json.dumps(
                {
                    **configuration,
                    "HttpPort": port,
                    "StorageDirectory": str(self.folder / "storage"),
                    "DicomPort": dicom_port,
                }
            )
        )
        twistd = Path(sys.executable).with_name("twistd")
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(twistd), "--nodaemon", "--pidfile=", "orthanc", str(path)],
            cwd=self.folder,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def wait(self, replayer: types.ModuleType, session: Any, server: str = "A") -> None:
        """Return once it answers."""
        for _ in range(600):
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            try:
                session.request({"method": "GET", "path": "/system", "server": server})
                return
            except replayer.Unreachable:
                time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def stop(self) -> str:
        """End it; returns tracebacks found in its log."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        text = (self.folder / "log").read_text(errors="replace")
        shutil.rmtree(self.folder, ignore_errors=True)
        return text[text.find("Traceback") :][:3000] if "Traceback" in text else ""


def replay(
    replayer: types.ModuleType, topic: str, options: argparse.Namespace
) -> tuple[Outcome, str]:
    """Run one topic; once more, on a new server, if it goes by the time of day and failed.

    A machine that stands still, as one does that writes back what a test suite left, is no
    defect of the server: one that is fails twice. What did not match the first time is printed.
    """
    recording = replayer.load(REFERENCE / "recordings" / f"{topic}.json")
    ports = Ports.foreign(json.dumps(recording))
    outcome, log = attempt(replayer, recording, topic, ports, options.verbose)
    first = outcome.failures
    if (
        first
        and not (log or options.once)
        and any(goes_by_the_clock(exchange) for exchange in recording["exchanges"])
    ):
        outcome, log = attempt(replayer, recording, topic, ports, options.verbose)
        outcome.first = first
    return outcome, log


def goes_by_the_clock(exchange: dict[str, Any]) -> bool:
    """Whether what is answered depends on when it is asked.

    Either the recording sleeps, or asks for a state that lasts as long as it did for the
    reference (a second, in 11-stable), or it sorts by a time in whole seconds (in 16-find):
    studies that were received within one second there may fall into two here.
    """
    return (
        "sleep" in exchange
        or "wait" in exchange
        or (exchange.get("ordered", False) and "LastUpdate" in json.dumps(exchange.get("body")))
    )


def attempt(
    replayer: types.ModuleType, recording: dict[str, Any], topic: str, ports: Ports, verbose: bool
) -> tuple[Outcome, str]:
    """Run one topic on a server of its own, with a second one if it needs a peer."""
    deviations = json.loads((REFERENCE / "deviations.json").read_text())
    not_built = json.loads((HERE / "not_built.json").read_text())
    outcome = Outcome(topic)
    base = recording["base_config"]
    server = ServerProcess({**base, **recording["config"]}, ports.http, ports.dicom)
    peer: ServerProcess | None = None
    if recording.get("peer"):
        settings = {**base, **recording.get("peer_config", {})}
        peer = ServerProcess(settings, ports.peer_http, ports.peer_dicom)
    session = replayer.Session(
        server.url,
        replayer.find_data(),
        None if peer is None else peer.url,
        None,
        ports.dicom,
        ports.peer_dicom,
    )
    session.literal = set(recording.get("literal", ()))
    keep_silent(session, ports.silent)
    try:
        server.wait(replayer, session)
        if peer is not None:
            peer.wait(replayer, session, "B")
        for number, exchange in enumerate(recording["exchanges"]):
            problems = play(replayer, session, recording, exchange)
            rule = listed(deviations, topic, number, exchange)
            if rule is not None and "differences" in rule:
                # The others still count: only these are on purpose.
                expected = [one for one in problems or () if re.search(rule["differences"], one)]
                if problems and len(expected) < len(problems):
                    problems = [one for one in problems if one not in expected]
                    rule = None
            if problems is None:
                outcome.skipped += 1
            elif not problems:
                outcome.passed += 1
                if rule is not None and "exchanges" in rule:
                    outcome.idle.append(f"#{number} is listed as a deviation, but matches")
            elif rule is not None:
                outcome.deviating += 1
            elif listed(not_built, topic, number, exchange) is not None:
                outcome.not_built += 1
            else:
                label = f"#{number} {exchange['method']} {exchange['path']}"
                lines = problems if verbose else problems[:3]
                outcome.failures.append("\n      ".join([label, *lines]))
    finally:
        session.silent.close()
        log = server.stop() + ("" if peer is None else peer.stop())
    return outcome, log


def keep_silent(session: Any, port: int) -> None:
    """Let the port that never answers be this one; the replayer takes whatever is free."""
    session.silent.close()
    session.silent = socket.create_server(("127.0.0.1", port), backlog=64)
    session.variables["SILENT_PORT"] = port


def play(
    replayer: types.ModuleType, session: Any, recording: dict[str, Any], exchange: dict[str, Any]
) -> list[str] | None:
    """Mismatches of one exchange, or None if it cannot be compared."""
    if "response" not in exchange:
        if exchange.get("setup"):
            with contextlib.suppress(replayer.Unreachable):
                session.execute(exchange)
        return None
    if "wait" in exchange:
        # What an earlier exchange should have named, but did not, will never come.
        path = replayer.substitute(exchange["path"], session.variables)
        limit_s = 1 if "missing-" in path else 20
        exchange = {**exchange, "wait": {**exchange["wait"], "timeout": limit_s}}
    try:
        got = session.execute(exchange)
    except replayer.Unreachable as error:
        return None if exchange.get("server") == "B" else [f"no answer: {error}"]
    bad, notes = replayer.compare(exchange, got, recording.get("volatile", []))
    if not bad and any(note.startswith("SKIP") for note in notes):
        return None
    return list(bad)


def main() -> int:
    """Replay; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.replay", description=__doc__)
    parser.add_argument("--topic", action="append", help="pattern of topics; default: all built")
    parser.add_argument("--verbose", action="store_true", help="every mismatch of an exchange")
    parser.add_argument("--once", action="store_true", help="no topic a second time")
    parser.add_argument("--limit", type=int, default=1000, help="failures shown a topic")
    parser.add_argument("--jobs", type=int, default=2, help="servers at once")
    options = parser.parse_args()
    replayer = load_replayer()
    known = [name for name, _ in replayer.topics()]
    chosen = [
        name
        for name in known
        if (
            any(re.search(pattern, name) for pattern in options.topic)
            if options.topic
            else name in TOPICS
        )
    ]
    passed = skipped = status = 0
    failures: list[str] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(replay, replayer, topic, options) for topic in chosen]
        for run in runs:
            outcome, log = run.result()
            print(
                f"== {outcome.topic}: {outcome.passed} passed, {len(outcome.failures)} failed, "
                f"{outcome.deviating} deviate on purpose, {outcome.not_built} not built, "
                f"{outcome.skipped} skipped: {outcome.share:.1f} %"
            )
            for text in (*outcome.failures[: options.limit], *outcome.idle):
                print(f"   {text}")
            for text in outcome.first:
                print(f"   not the first time: {text}")
            if log:
                print(f"   the server logged: {log}")
            passed += outcome.passed
            failures += [f"{outcome.topic} {text}" for text in outcome.failures]
            skipped += outcome.skipped + outcome.deviating + outcome.not_built
            if log or outcome.idle or outcome.share < TOPICS.get(outcome.topic, 0):
                status = 1
    for text in failures:
        print(f"failed: {text}")
    print(f"{passed} passed, {len(failures)} failed, {skipped} skipped")
    return 1 if failures else status


if __name__ == "__main__":
    sys.exit(main())
