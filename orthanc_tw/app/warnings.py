"""Wires the warnings that option ``Warnings`` asks for to the log."""

from __future__ import annotations

from twisted.logger import Logger

from orthanc_tw.app import settings
from orthanc_tw.config import Configuration
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.tag_warnings import TagWarnings
from orthanc_tw.dicom.main_tags import MainDicomTags


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
        settings.signatures(main_tags),
        indexed,
        lambda line: log.warn("{line}", line=line),
    )
