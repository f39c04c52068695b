"""Every option there is, and the sections of plugins that are known by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orthanc_tw.config.option import Option, Topic
from orthanc_tw.config.options import dicom, general, http, instances, jobs, transfers

TOPICS: tuple[Topic, ...] = (
    general.GENERAL,
    http.HTTP,
    http.SECURITY,
    jobs.JOBS,
    instances.INGEST,
    instances.FIND,
    instances.TRANSCODING,
    dicom.SERVER,
    dicom.CLIENT,
    dicom.TLS,
    http.CLIENT,
    transfers.TRANSFERS,
    jobs.SCRIPTS,
    jobs.THREADS,
)

OPTIONS: Mapping[str, Option] = MappingProxyType(
    {option.name: option for topic in TOPICS for option in topic.options}
)

# What Orthanc's plugins read from the same file: accepted whatever is in it, and not used.
PLUGIN_SECTIONS: frozenset[str] = frozenset(
    {
        "AdvancedStorage",
        "Authorization",
        "AwsS3Storage",
        "AzureBlobStorage",
        "ConnectivityChecks",
        "DelayedDeletion",
        "DicomWeb",
        "Education",
        "Gdcm",
        "GoogleCloudStorage",
        "Housekeeper",
        "Indexer",
        "Keycloak",
        "MongoDB",
        "MultitenantDicom",
        "MySQL",
        "OHIF",
        "Odbc",
        "OrthancExplorer2",
        "PostgreSQL",
        "Python",
        "PythonScript",
        "PythonVerbose",
        "ServeFolders",
        "STL",
        "StoneWebViewer",
        "Tcia",
        "VolView",
        "WebViewer",
        "WholeSlideImaging",
    }
)
