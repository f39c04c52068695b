"""Warnings about tags that cost more than they need to, or may be stale (option ``Warnings``).

What is looked at is what the index found for requested tags; nothing is read for a warning.
Source: the option's names, in Orthanc's configuration. W003 is for who decodes images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from orthanc_tw.core.requested import IndexedTags, Requested
from orthanc_tw.dicom.tag_names import tag_name
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.model.levels import ResourceType

TAGS_READ_FROM_STORAGE = "W001_TagsBeingReadFromStorage"
INCONSISTENT_TAGS = "W002_InconsistentDicomTagsInDb"
NO_SIGNATURE = "W004_NoMainDicomTagsSignature"
LOWER_LEVEL = "W005_RequestingTagFromLowerResourceLevel"
META_HEADER = "W006_RequestingTagFromMetaHeader"
NOT_READ = "W007_MissingRequestedTagsNotReadFromDisk"


class TagWarnings:
    """Says what is wrong with the requested tags of a resource. Reactor thread.

    :param enabled: names of the warnings that are wanted
    :param signatures: metadata ``MainDicomTagsSignature`` that a resource of a level should have
    :param warn: logs a line
    """

    def __init__(
        self,
        enabled: Collection[str],
        signatures: Mapping[ResourceType, str],
        indexed: IndexedTags,
        warn: Callable[[str], object],
    ) -> None:
        self._enabled = frozenset(enabled)
        self._signatures = signatures
        self._indexed = indexed
        self._warn = warn

    def tell(self, found: Requested) -> None:
        """Log what there is to say of a resource whose requested tags were looked up."""
        if not self._enabled or found.level is None:
            return
        where = f"{found.level.label} {found.public_id}"
        if found.file is not None:
            self._say(TAGS_READ_FROM_STORAGE, where, self._names(found.from_file))
        if found.unread:
            self._say(NOT_READ, where, self._names(found.unread))
        missing = (*found.from_file, *found.unread)
        meta = [tag for tag in missing if tag >> 16 == 2]
        if meta:
            self._say(META_HEADER, where, self._names(meta))
        lower = [tag for tag in missing if self._is_lower(found.level, tag)]
        if lower:
            self._say(LOWER_LEVEL, where, self._names(lower))
        expected = self._signatures.get(found.level)
        if found.signature is None:
            self._say(NO_SIGNATURE, where, "POST /reconstruct records it")
        elif expected is not None and found.signature != expected:
            self._say(
                INCONSISTENT_TAGS,
                where,
                "stored with other ExtraMainDicomTags: POST /reconstruct reads them again",
            )

    def _is_lower(self, level: ResourceType, tag: int) -> bool:
        return any(
            tag in self._indexed.levels.get(below, ()) for below in ResourceType if below > level
        )

    def _names(self, tags: Iterable[int]) -> str:
        dictionary = self._indexed.dictionary
        return ", ".join(
            f"{tag_name(tag, None, dictionary)} ({format_tag(tag)})" for tag in sorted(tags)
        )

    def _say(self, name: str, where: str, what: str) -> None:
        if name in self._enabled:
            self._warn(f"{name}: {where}: {what}")
