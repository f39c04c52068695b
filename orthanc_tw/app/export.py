"""Translates the options of ``/instances/ID/export``."""

from __future__ import annotations

from pathlib import Path

from orthanc_tw.config import Configuration
from orthanc_tw.config.derived import index_directory, storage_directory
from orthanc_tw.core.export import ExportSettings
from orthanc_tw.startup import StartupError


def export_settings(configuration: Configuration) -> ExportSettings:
    """``RestApiWriteToFileSystemEnabled`` and ``RestApiExportDirectory``.

    :raises StartupError: if the folder is, is in, or holds one of the server's own
    """
    folder = configuration.path("RestApiExportDirectory")
    if folder is None or not configuration.boolean("RestApiWriteToFileSystemEnabled"):
        return ExportSettings()
    exported = folder.resolve()
    for own in (storage_directory(configuration), index_directory(configuration)):
        if _overlap(exported, own.resolve()):
            raise StartupError(
                f"RestApiExportDirectory: a folder apart from the data of the server ({own}) "
                f"was expected: {folder}"
            )
    return ExportSettings(str(folder))


def _overlap(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents
