"""What a transfer is made of, in a file, so that it can go on after a restart. All of it blocks."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from orthanc_tw.core.transfers.buckets import Bucket, Chunk, TransferInstance
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.shelf import sync_folder

_PLAN = "plan.json"


def write_plan(
    folder: str, instances: Sequence[TransferInstance], buckets: Sequence[Bucket]
) -> None:
    """Make a plan durable.

    :raises OSError: it cannot be
    """
    plan = [
        [[one.public_id, one.size_bytes, one.md5] for one in instances],
        [[[c.instance, c.offset, c.size_bytes] for c in bucket.chunks] for bucket in buckets],
    ]
    write_durably(os.path.join(folder, _PLAN), json.dumps(plan).encode("ascii"))


def read_plan(folder: str) -> tuple[list[TransferInstance], list[Bucket]]:
    """The plan that was written.

    :raises OrthancError: INEXISTENT_FILE if it is lost
    """
    try:
        with open(os.path.join(folder, _PLAN), "rb") as file:
            instances, buckets = json.load(file)
    except FileNotFoundError:
        raise lost() from None
    return (
        [TransferInstance(*one) for one in instances],
        [Bucket(tuple(Chunk(*chunk) for chunk in one)) for one in buckets],
    )


def lost() -> OrthancError:
    """The error of a transfer whose files are gone."""
    return OrthancError(ErrorCode.INEXISTENT_FILE, "The transfer is lost")


def write_durably(path: str, data: bytes) -> None:
    """Replace a file, with its entries in the two folders above.

    :raises OSError: it cannot be
    """
    draft = f"{path}.new"
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
    folder = os.path.dirname(path)
    for one in (folder, os.path.dirname(folder)):
        sync_folder(one)
