"""UIDs of all that a job modifies, in a file that its workers read: references to them follow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from orthanc_tw.core.modification.plan import PlannedInstance
from orthanc_tw.dicom.modification.references import INSTANCE, SERIES, STUDY
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.index.gateway import ExpandParts, ReadTransaction
from orthanc_tw.model.levels import ResourceType

_LEVELS = (
    (ResourceType.STUDY, STUDY),
    (ResourceType.SERIES, SERIES),
    (ResourceType.INSTANCE, INSTANCE),
)
_UIDS_ONLY = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
_PER_QUERY = 500


def find_members(tx: ReadTransaction, planned: Sequence[PlannedInstance]) -> list[tuple[int, str]]:
    """Tag and UID of each study, series and instance that a plan has. Blocks on the index."""
    return [
        (tag, uid) for level, tag in _LEVELS for uid in _uids(tx, planned, level, format_tag(tag))
    ]


def _uids(
    tx: ReadTransaction, planned: Sequence[PlannedInstance], level: ResourceType, tag: str
) -> Iterator[str]:
    public_ids = iter(sorted({one.ids[level - 1] for one in planned}))
    while some := list(islice(public_ids, _PER_QUERY)):
        found = [row for public_id in some if (row := tx.lookup(public_id, level)) is not None]
        for record in tx.expand(found, _UIDS_ONLY):
            uid = record.tags.get(tag, "").strip(" \0")
            if uid and "\n" not in uid:
                yield uid


def write_members(path: str, members: Sequence[tuple[int, str]]) -> None:
    """Make them durable. Blocks."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{tag} {uid}\n" for tag, uid in members)
        file.flush()
        os.fsync(file.fileno())


@lru_cache(maxsize=4)
def read_members(path: str) -> Mapping[str, int]:
    """Tags by UID, as they were written. Each job has a path of its own. Blocks once.

    :raises OSError: if the file is lost
    """
    with open(path, encoding="utf-8") as file:
        lines = (line.rstrip("\n").split(" ", 1) for line in file)
        return {uid: int(tag) for tag, uid in lines}
