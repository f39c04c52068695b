"""Fills the two servers with the same studies: ours through its index, Orthanc through its API.

Both go on where they were stopped: ours keeps the number of studies in its database, Orthanc's
folder a file with it. What is filled is kept and used again.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from twisted.python.failure import Failure

from benchmarks.client import Connection, run
from benchmarks.population import Instance, dicom_file, instances, labels
from benchmarks.servers import Server
from orthanc_tw.core.utc import utc_text
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.index.connection import IndexSettings, connect
from orthanc_tw.index.gateway import (
    Attachment,
    NewInstance,
    NewResource,
    StorageLimits,
    WriteTransaction,
)
from orthanc_tw.index.group import GroupWriter
from orthanc_tw.index.migrations import load_schema, prepare
from orthanc_tw.index.sqlite import FILE_NAME
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression, MetadataType, OverwriteInstances

_CURSOR = "benchmark-studies"
_BATCH = 50
_FIRST_S = 1_420_070_400
_SIGNATURES = {level: MainDicomTags.from_configuration().signature(level) for level in ResourceType}
_OWN_METADATA: dict[int, str] = {
    MetadataType.TRANSFER_SYNTAX: "1.2.840.10008.1.2.1",
    MetadataType.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.2",
    MetadataType.REMOTE_AET: "",
    MetadataType.ORIGIN: "RestApi",
    MetadataType.REMOTE_IP: "127.0.0.1",
    MetadataType.HTTP_USERNAME: "",
    MetadataType.PIXEL_DATA_OFFSET: "1044",
}
Tell = Callable[[str], None]


def load_index(folder: Path, studies: int, tell: Tell) -> Path:
    """Make ``folder`` an IndexDirectory with that many studies; no server may be running there.

    The rows are written by the statements of the server's own ingest; only the files are not
    there, and the disk is not waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    prepare(str(path), load_schema(), lambda: str(uuid.uuid4()))
    connection = connect(
        str(path), IndexSettings(directory=str(folder), cache_size_kib=1 << 20), writer=True
    )
    try:
        connection.execute("PRAGMA synchronous = OFF")
        writer = GroupWriter(connection)
        done = _done(connection)
        while done < studies:
            following = min(done + _BATCH, studies)

            def write(tx: WriteTransaction, first: int = done, end: int = following) -> None:
                for study in range(first, end):
                    _store(tx, study)
                tx.mark_stable(older_than_s=2e9, date=_date(end), limit=100 * _BATCH)
                tx.set_global_property(_CURSOR, str(end))

            (result,) = writer.run([write])
            if isinstance(result, Failure):
                result.raiseException()
            if following % 5000 == 0:
                tell(f"{following} studies in the index")
            done = following
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    _sync(path)
    return path


def _done(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT value FROM global_properties WHERE name = ?", (_CURSOR,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _store(tx: WriteTransaction, study: int) -> None:
    for instance in instances(study):
        tx.store_instance(_new_instance(study, instance), StorageLimits())
    row = tx.lookup(instance.identifiers.public_id(ResourceType.STUDY))
    assert row is not None
    for label in labels(study):
        tx.add_label(row.internal_id, label)


def _date(study: int) -> str:
    """When it was received: an hour after the study before."""
    return utc_text(_FIRST_S + 3600 * study)


def _new_instance(study: int, instance: Instance) -> NewInstance:
    date = _date(study)
    public_ids = instance.identifiers.public_ids()
    number = instance.tags[ResourceType.INSTANCE]["0020,0013"]
    resources = []
    for level, public_id in zip(ResourceType, public_ids, strict=True):
        metadata: dict[int, str] = {MetadataType.MAIN_DICOM_TAGS_SIGNATURE: _SIGNATURES[level]}
        if level is ResourceType.INSTANCE:
            metadata.update(_OWN_METADATA)
            metadata[MetadataType.RECEPTION_DATE] = date
            metadata[MetadataType.INDEX_IN_SERIES] = number
        resources.append(NewResource(level, public_id, instance.tags[level], metadata))
    digest = public_ids[3].replace("-", "")[:32]
    return NewInstance(
        resources,
        # From the identifier, so that the same study is stored in the same way twice.
        Attachment(str(uuid.UUID(digest)), 1, 1048, digest, 1048, digest, Compression.NONE),
        date,
        float(_FIRST_S),
        OverwriteInstances.NEVER,
    )


def fill(server: Server, cursor: Path, studies: int, tell: Tell) -> None:
    """Upload studies to a running server, over four connections."""
    done = int(cursor.read_text()) if cursor.exists() else 0
    started = time.monotonic()
    while done < studies:
        following = min(done + 20 * _BATCH, studies)
        work = list(range(done, following))
        run(server.port, 4, work, _upload)
        cursor.write_text(str(following))
        done = following
        tell(f"{done} studies in {server.name}, after {time.monotonic() - started:.0f} s")


def _upload(connection: Connection, study: int) -> None:
    for instance in instances(study):
        connection.request("POST", "/instances", dicom_file(instance), keep=False)
