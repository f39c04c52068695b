"""How every SQLite connection of the index is opened: settings, pragmas, functions."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from orthanc_tw.index.normalize import normalize
from orthanc_tw.model.errors import ErrorCode, OrthancError

#: The oldest SQLite that has all we use (RETURNING, UPSERT).
MINIMUM_SQLITE = (3, 35, 0)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Knobs of the SQLite index.

    :ivar directory: folder of the database (``IndexDirectory``); must exist
    :ivar readers: number of reader threads, each with a connection
    :ivar cache_size_kib: page cache of each connection, in KiB
    :ivar mmap_bytes: how much of the file readers map into memory, which saves the copies of
        pages that do not fit into the cache
    :ivar busy_timeout_s: how long a connection waits for a lock, in seconds
    :ivar checkpoint_pages: pages of 4 KiB in the write-ahead log that start a check-point
    :ivar maximum_group: most write functions that share one transaction
    """

    directory: str
    readers: int = 2
    cache_size_kib: int = 32768
    mmap_bytes: int = 1 << 31
    busy_timeout_s: float = 10.0
    checkpoint_pages: int = 8000
    maximum_group: int = 256


def _normalize_or_null(text: object) -> str | None:
    return None if text is None else normalize(str(text))


def check_library() -> None:
    """Raise `OrthancError` if the SQLite of this Python is too old."""
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise OrthancError(
            ErrorCode.SQLITE_NOT_OPENED,
            f"SQLite {'.'.join(map(str, MINIMUM_SQLITE))} or newer is needed, "
            f"but this Python has {sqlite3.sqlite_version}",
        )


def connect(path: str, settings: IndexSettings, *, writer: bool = False) -> sqlite3.Connection:
    """Open a connection for use by one thread, which need not be the calling one.

    Transactions are explicit (``isolation_level=None``), since implicit ones differ between
    Python 3.10 and 3.13.
    """
    connection = sqlite3.connect(
        path,
        timeout=settings.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    connection.create_function("tw_normalize", 1, _normalize_or_null, deterministic=True)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    # A commit is told of as durable: the log must reach the disk each time.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{int(settings.cache_size_kib)}")
    if writer:
        connection.execute(f"PRAGMA wal_autocheckpoint = {int(settings.checkpoint_pages)}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    else:
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA mmap_size = {int(settings.mmap_bytes)}").fetchone()
    return connection


def has_trigrams(connection: sqlite3.Connection) -> bool:
    """Say whether this database has the trigram index."""
    row = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'trigrams'").fetchone()
    return row is not None


def library_has_trigrams() -> bool:
    """Say whether this SQLite has FTS5 with the trigram tokenizer."""
    probe = sqlite3.connect(":memory:")
    try:
        probe.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='trigram')")
    except sqlite3.OperationalError:
        return False
    finally:
        probe.close()
    return True
