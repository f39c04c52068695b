"""Our own SCU, in a process of its own: ``python -m benchmarks.scu PORT FOLDER...``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from orthanc_tw.app.threads import Mailbox, Threads
from orthanc_tw.dicom.meta_header import read_meta_header
from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.dispatcher import Host
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scu.connect import connector
from orthanc_tw.net.scu.pool import Associations, PoolSettings
from orthanc_tw.net.slots import Slots
from orthanc_tw.net.tracing import Trace
from orthanc_tw.net.values import InstanceFile


def send_all(port: int, folders: list[Path]) -> float:
    """Send folders one after the other from a new process; instances a second."""
    command = [sys.executable, "-m", "benchmarks.scu", str(port), *map(str, folders)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def instance_file(path: Path) -> InstanceFile:
    """What is told of a file to send it."""
    from pydicom import dcmread

    meta = dcmread(path, stop_before_pixels=True).file_meta
    syntax = read_meta_header(path.read_bytes()).transfer_syntax
    return InstanceFile(
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        syntax,
        lambda: path.open("rb"),
    )


async def send(reactor: Any, port: int, files: list[InstanceFile]) -> float:
    """Send over one association; seconds."""
    mailbox = Mailbox(reactor.callFromThread)
    threads = Threads(4, mailbox.tell)
    host = Host(None, lambda info: False, [], Slots(4), lambda *told: None, threads.run)
    pool = Associations(
        PoolSettings("BENCHMARK", timeout_s=60),
        connector(reactor, lambda: None),
        host,
        clock=reactor,
        traces=lambda: Trace.OFF,
    )
    contents = dict.fromkeys((file.sop_class_uid, file.transfer_syntax) for file in files)
    proposals = [Proposal(sop_class, (syntax,)) for sop_class, syntax in contents]
    association = await pool.acquire(RemoteModality("ANY-SCP", "127.0.0.1", port), proposals)
    started = time.perf_counter()
    for file in files:
        reply = await association.store(file)
        assert reply.status == 0, reply
    taken_s = time.perf_counter() - started
    pool.give_back(association)
    await pool.close()
    threads.stop()
    return taken_s


def main() -> None:
    """Print the rate."""
    files = [
        instance_file(path) for folder in sys.argv[2:] for path in sorted(Path(folder).iterdir())
    ]

    def run(reactor: Any) -> Deferred[None]:
        sending = Deferred.fromCoroutine(send(reactor, int(sys.argv[1]), files))
        return sending.addCallback(lambda taken_s: print(len(files) / taken_s))

    react(run)


if __name__ == "__main__":
    main()
