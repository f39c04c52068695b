"""Options of the jobs engine, archives, threads, scripts and plugins."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import BOOLEAN, INTEGER, OBJECT, STRING, STRINGS, Option, Topic

JOBS = Topic(
    "Jobs and archives",
    (
        Option(
            "ConcurrentJobs",
            INTEGER,
            2,
            "Most jobs that run at a time; 0: one for each processor",
            honoured=True,
            minimum=0,
        ),
        Option(
            "LimitJobs",
            INTEGER,
            0,
            "Most jobs that wait or run; a further one is answered 503; 0: no limit (ours)",
            honoured=True,
            minimum=0,
        ),
        Option(
            "JobsHistorySize",
            INTEGER,
            10,
            "Number of finished jobs that are kept",
            honoured=True,
            minimum=0,
        ),
        Option(
            "SaveJobs",
            BOOLEAN,
            True,
            "Whether jobs outlive a restart of the server",
            honoured=True,
        ),
        Option(
            "MediaArchiveSize",
            INTEGER,
            1,
            "Number of archives made by jobs that are kept for download",
            honoured=True,
            minimum=1,
        ),
        Option(
            "SynchronousZipStream",
            BOOLEAN,
            True,
            "Whether a ZIP is sent while it is made, or made on disk first",
            honoured=True,
        ),
        Option(
            "ZipUseUtf8",
            BOOLEAN,
            False,
            "Whether names in a ZIP are UTF-8, or ASCII only",
            honoured=True,
        ),
        Option(
            "JobsEngineThreadsCount",
            OBJECT,
            {"ResourceModification": 1},
            "Instances that one job modifies at once; by default two for each worker process",
            honoured=True,
            rule=rules.positive_integers,
        ),
        Option(
            "ConformantAnonymization",
            BOOLEAN,
            False,
            "Whether anonymized instances keep what their IOD requires, emptied or as a dummy "
            "value, where Orthanc removes or empties it; a request may say Conformant (ours)",
            honoured=True,
        ),
        Option(
            "PseudonymKey",
            STRING,
            None,
            "Secret from which the pseudonyms of anonymized patients follow, so that they are the "
            "same in all jobs and on all servers that have it (ours)",
            honoured=True,
            minimum=16,
            is_secret=True,
            example="a long random text",
        ),
        Option(
            "WorkerProcesses",
            INTEGER,
            0,
            "Processes for what computes for long; 0: one for each processor (ours)",
            honoured=True,
            minimum=0,
        ),
        Option(
            "WorkerMemoryMB",
            INTEGER,
            2048,
            "Memory that a worker process may allocate; 0: no limit (ours)",
            honoured=True,
            unit="MB",
            minimum=0,
        ),
        Option(
            "WorkerTimeout",
            INTEGER,
            300,
            "Time after which a worker process that is busy with one task is ended (ours)",
            honoured=True,
            unit="s",
            minimum=1,
        ),
    ),
)

THREADS = Topic(
    "Threads and caches of Orthanc's readers",
    (
        Option("StorageLoaderThreadsCount", INTEGER, 4, "Threads that read attachments", minimum=1),
        Option(
            "StorageMemoryCapacity",
            INTEGER,
            512,
            "Memory for attachments that are read ahead",
            unit="MB",
            minimum=0,
        ),
        Option("DicomParserThreadsCount", INTEGER, 2, "Threads that parse DICOM", minimum=1),
        Option(
            "DicomParserCacheSize",
            INTEGER,
            256,
            "Memory that caches parsed instances",
            unit="MB",
            minimum=0,
        ),
        Option(
            "DicomParserMemoryCapacity",
            INTEGER,
            256,
            "Memory for instances that are being parsed",
            unit="MB",
            minimum=0,
        ),
        Option("TranscoderThreadsCount", INTEGER, 4, "Threads that transcode", minimum=1),
        Option(
            "TranscoderCacheSize",
            INTEGER,
            256,
            "Memory that caches transcoded instances",
            unit="MB",
            minimum=0,
        ),
        Option(
            "TranscoderMemoryCapacity",
            INTEGER,
            256,
            "Memory for instances that are being transcoded",
            unit="MB",
            minimum=0,
        ),
        Option(
            "SequentialDicomReaderThreadsCount",
            INTEGER,
            None,
            "Threads that read instances ahead of an archive or a transfer",
            minimum=0,
            example=4,
        ),
        Option(
            "SequentialDicomReaderWindowSize",
            INTEGER,
            4,
            "Number of instances read ahead",
            minimum=1,
        ),
        Option(
            "SequentialDicomReaderWindowCapacity",
            INTEGER,
            128,
            "Memory for instances read ahead",
            unit="MB",
            minimum=0,
        ),
        Option(
            "ZipLoaderThreads",
            INTEGER,
            0,
            "Threads that read instances ahead of a ZIP (up to Orthanc 1.12 only)",
            minimum=0,
        ),
    ),
)

SCRIPTS = Topic(
    "Scripts and plugins",
    (
        Option("LuaScripts", STRINGS, [], "Lua scripts to load", is_path=True),
        Option(
            "LuaHeartBeatPeriod",
            INTEGER,
            0,
            "Time between calls of the Lua function OnHeartBeat; 0: never",
            unit="s",
            minimum=0,
        ),
        Option(
            "Plugins", STRINGS, [], "Shared libraries, or folders of them, to load", is_path=True
        ),
    ),
)
