"""Dry runs: what a modification would do to resources, tag by tag, without writing anything.

`DryRun` looks up the instances in the reactor thread; `report_files` reads their headers in a
worker process, some at a time, and knows nothing of Twisted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from orthanc_tw.core.instances import Instances
from orthanc_tw.core.modification.task import pack_order, unpack_order
from orthanc_tw.core.run_in_worker import RunInWorker
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.report import OUTCOMES, Report
from orthanc_tw.dicom.modification.rewrite import modify_instance
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Storage
from orthanc_tw.storage.open_stored import open_stored

#: The function for `WorkerPool.run`.
REPORT_FILES = "orthanc_tw.core.modification.dry_run:report_files"
_INSTANCES_AT_ONCE = 50


class DryRun:
    """Reports on resources (reactor thread).

    :param settings: of this moment, what every modification shares
    """

    def __init__(
        self,
        instances: Instances,
        storage: Storage,
        run: RunInWorker,
        settings: Callable[[], ModificationSettings],
        pseudonym_key: bytes | None,
    ) -> None:
        self._instances = instances
        self._storage = storage
        self._run = run
        self._settings = settings
        self._key = pseudonym_key

    async def of(
        self, modification: Modification, resources: Sequence[tuple[ResourceType, str]]
    ) -> JsonObject:
        """The answer of a dry run over resources, given by level and public identifier.

        ``Removed``, ``Cleared``, ``Replaced`` and ``Kept`` are lists of ``Tag`` (with the path
        through sequences, ``0040,0275[*].0040,0007``), ``Name`` and ``Count`` of elements;
        ``Dropped`` and ``Failed`` name instances and reasons.

        :raises OrthancError: UNKNOWN_RESOURCE; what the pool raises
        """
        scratch = os.path.dirname(self._storage.new_path())
        order = pack_order(modification, self._settings(), self._key)
        total = Report()
        dropped: list[JsonValue] = []
        failed: list[JsonValue] = []
        count = 0
        for level, public_id in resources:
            async for page in self._instances.all_of(level, public_id):
                for first in range(0, len(page), _INSTANCES_AT_ONCE):
                    files = [
                        [item.public_id, self._storage.path(item.file.uuid), item.file.compression]
                        for item in page[first : first + _INSTANCES_AT_ONCE]
                    ]
                    count += len(files)
                    found = await self._run(REPORT_FILES, [order, files, scratch])
                    for outcome, path, name, number in found["Elements"]:
                        total.add(path, name, outcome, number)
                    dropped.extend(found["Dropped"])
                    failed.extend(found["Failed"])
        answer: JsonObject = {
            "DryRun": True,
            "InstancesCount": count,
            "Dropped": dropped,
            "Failed": failed,
        }
        for outcome in OUTCOMES:
            answer[outcome] = [
                {"Tag": path, "Name": total.names[path], "Count": number}
                for (kind, path), number in sorted(total.counts.items())
                if kind == outcome
            ]
        return answer


def report_files(order: bytes, files: Sequence[Sequence[Any]], scratch: str) -> dict[str, Any]:
    """Report on some stored files.

    :param order: of `pack_order`
    :param scratch: folder for temporary files
    :param files: public identifier, path and compression of each
    :returns: ``Elements``: lists of outcome, path, name, count; ``Dropped``, ``Failed``:
        objects with ``ID`` and ``Reason``
    """
    modification, identity, settings = unpack_order(order)
    total = Report()
    dropped: list[dict[str, str]] = []
    failed: list[dict[str, str]] = []
    plain = replace(modification, transcode=None)
    for public_id, path, compression in files:
        report = Report()
        try:
            with open_stored(path, Compression(compression), scratch) as file:
                done = modify_instance(plain, identity, file, None, settings, report=report)
        except OrthancError as error:
            failed.append({"ID": public_id, "Reason": error.details or error.code.name})
            continue
        if done.dropped is not None:
            dropped.append({"ID": public_id, "Reason": done.dropped})
            continue
        for (outcome, element), number in report.counts.items():
            total.add(element, report.names[element], outcome, number)
    elements = [
        [outcome, element, total.names[element], number]
        for (outcome, element), number in total.counts.items()
    ]
    return {"Elements": elements, "Dropped": dropped, "Failed": failed}
