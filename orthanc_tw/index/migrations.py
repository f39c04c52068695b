"""Creation, upgrade and refusal of database files. Blocking; runs once, at start.

A database appears by rename, so that a server killed while it creates one leaves none.
An upgrade first copies the database beside itself, then runs ``upgrade-vN-to-vM.sql`` one
after another, each in a transaction that also sets the version.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources

from orthanc_tw.index.connection import has_trigrams, library_has_trigrams
from orthanc_tw.model.errors import ErrorCode, OrthancError

_UPGRADE = re.compile(r"upgrade-v(\d+)-to-v(\d+)\.sql")


@dataclass(frozen=True, slots=True)
class Schema:
    """The version that this program speaks, and how to get there.

    :ivar creation: SQL that makes an empty database
    :ivar trigrams: SQL of the trigram index, run where the library can
    :ivar upgrades: SQL from a version to the one that follows, ``{N: (M, sql)}``
    """

    version: int
    creation: str
    trigrams: str
    upgrades: Mapping[int, tuple[int, str]]


#: Version of the schema that this program speaks.
VERSION = 3


def load_schema(version: int = VERSION) -> Schema:
    """Read the SQL files that come with the package."""
    folder = resources.files("orthanc_tw.index").joinpath("schema")
    upgrades: dict[int, tuple[int, str]] = {}
    for entry in folder.iterdir():
        match = _UPGRADE.fullmatch(entry.name)
        if match:
            upgrades[int(match[1])] = (int(match[2]), entry.read_text("utf-8"))
    return Schema(
        version,
        folder.joinpath(f"sqlite-v{version}.sql").read_text("utf-8"),
        folder.joinpath(f"sqlite-v{version}-trigrams.sql").read_text("utf-8"),
        upgrades,
    )


def _refuse(path: str, why: str) -> OrthancError:
    return OrthancError(ErrorCode.INCOMPATIBLE_DATABASE_VERSION, f"{path}: {why}")


def _run(connection: sqlite3.Connection, script: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(temporary: str, path: str) -> None:
    _fsync(temporary)
    os.replace(temporary, path)
    _fsync(os.path.dirname(path) or ".")


def create_schema(connection: sqlite3.Connection, schema: Schema, database_uuid: str) -> None:
    """Make the tables in an empty database (of a file, or in memory)."""
    _run(connection, schema.creation)
    if library_has_trigrams():
        _run(connection, schema.trigrams)
    connection.execute("INSERT INTO database_info VALUES (?, ?)", (schema.version, database_uuid))


def _create(path: str, schema: Schema, new_uuid: Callable[[], str]) -> None:
    temporary = path + ".new"
    # The log of a database that was taken away would be replayed into the new one.
    for stale in (temporary, path + "-wal", path + "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stale)
    connection = sqlite3.connect(temporary, isolation_level=None)
    try:
        create_schema(connection, schema, new_uuid())
    finally:
        connection.close()
    _put_in_place(temporary, path)


def _version(connection: sqlite3.Connection, path: str) -> int:
    try:
        row = connection.execute("SELECT schema_version FROM database_info").fetchone()
    except sqlite3.DatabaseError as error:
        raise _refuse(path, f"not an index of orthanc-tw ({error})") from error
    if row is None or not isinstance(row[0], int):
        raise _refuse(path, "not an index of orthanc-tw (no version)")
    return row[0]


def _back_up(connection: sqlite3.Connection, path: str, version: int) -> None:
    final = f"{path}.backup-v{version}"
    if os.path.exists(final):
        # An earlier attempt made it before anything was changed: keep the oldest.
        return
    temporary = final + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    target = sqlite3.connect(temporary)
    try:
        connection.backup(target)
    finally:
        target.close()
    _put_in_place(temporary, final)


def prepare(path: str, schema: Schema, new_uuid: Callable[[], str]) -> None:
    """Create the database if there is none, upgrade it if it is older.

    The caller holds the lock of the directory.

    :raises OrthancError: INCOMPATIBLE_DATABASE_VERSION for a newer version, a version that
        no script leads from, another program's file, or no database at all
    """
    if not os.path.exists(path):
        _create(path, schema, new_uuid)
        return
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        version = _version(connection, path)
        if version > schema.version:
            raise _refuse(path, f"version {version} is newer than this server's ({schema.version})")
        if version < schema.version:
            _upgrade(connection, path, version, schema)
        if has_trigrams(connection) and not library_has_trigrams():
            raise _refuse(path, "made with FTS5 trigrams, which this SQLite does not have")
    finally:
        connection.close()


def _upgrade(connection: sqlite3.Connection, path: str, version: int, schema: Schema) -> None:
    steps: list[tuple[int, str]] = []
    reached = version
    while reached < schema.version:
        step = schema.upgrades.get(reached)
        if step is None or not reached < step[0] <= schema.version:
            raise _refuse(path, f"no upgrade leads from version {reached} to {schema.version}")
        steps.append(step)
        reached = step[0]
    _back_up(connection, path, version)
    try:
        for reached, script in steps:
            _run(connection, f"{script}\nUPDATE database_info SET schema_version = {reached};")
    except sqlite3.Error as error:
        raise _refuse(path, f"the upgrade to version {reached} failed ({error})") from error
