"""Wires the warnings that option ``Warnings`` asks for to the log."""

from __future__ import annotations

from twisted.logger import Logger

from orthanc_tw.config import Configuration
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.tag_warnings import TagWarnings
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.model.levels import ResourceType


def enabled_warnings(configuration: Configuration) -> frozenset[str]:
    """Names of the warnings that are wanted, such as ``W003_DecoderFailure``."""
    wanted = configuration.mapping("Warnings")
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def tag_warnings(
    configuration: Configuration, main_tags: MainDicomTags, indexed: IndexedTags
) -> TagWarnings:
    """The warnings about tags, into the log."""
    log = Logger(namespace="orthanc_tw.core.tag_warnings")
    return TagWarnings(
        enabled_warnings(configuration),
        {level: main_tags.signature(level) for level in ResourceType},
        indexed,
        lambda line: log.warn("{line}", line=line),
    )
