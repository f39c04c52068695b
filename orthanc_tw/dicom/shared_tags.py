"""Tags that several instances share (``/studies/{id}/shared-tags``...).

Works on the ``full`` format of the instances, one at a time, so that only what is still
shared is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.json_types import JsonObject, JsonValue


class SharedTags:
    """Fold over the tags of the instances of a resource."""

    def __init__(self) -> None:
        self._shared: JsonObject | None = None

    def add(self, tags: JsonObject) -> None:
        """Take one more instance into account; ``tags`` in the ``full`` format.

        Only text counts: sequences, binary and long values are never shared.
        """
        before = tags if self._shared is None else self._shared
        self._shared = {
            tag: entry
            for tag, entry in before.items()
            if _is_text(entry) and tags.get(tag) == entry
        }

    def result(self, tag_format: TagFormat = TagFormat.FULL) -> JsonObject:
        """What all have in common; nothing if there was no instance."""
        return convert(self._shared or {}, tag_format)


def _is_text(entry: JsonValue) -> bool:
    return isinstance(entry, Mapping) and entry["Type"] == "String"


def convert(full: Mapping[str, JsonValue], tag_format: TagFormat) -> JsonObject:
    """Tags of the ``full`` format in another one."""
    if tag_format is TagFormat.FULL:
        return dict(full)
    target: JsonObject = {}
    for key, entry in full.items():
        assert isinstance(entry, Mapping)
        value = entry["Value"]
        if entry["Type"] == "Sequence" and isinstance(value, list):
            value = [convert(item, tag_format) for item in value]
        name = entry["Name"] if tag_format is TagFormat.SIMPLIFY else key
        target[str(name)] = value
    return target
