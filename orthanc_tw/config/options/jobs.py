"""Options of the jobs engine, archives, threads, scripts and plugins."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import BOOLEAN, INTEGER, OBJECT, STRINGS, Option, Topic

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
            "Threads that work inside a job, by job type",
            rule=rules.positive_integers,
        ),
    ),
)

THREADS = Topic(
    "Threads and caches of Orthanc's readers",
    (
        Option(
            "StorageLoaderThreadsCount",
            INTEGER,
            4,
            "Threads that read attachments",
            minimum=1,
            inapplicable="Attachments are read by the threads of the server, or sent by the kernel",
        ),
        Option(
            "StorageMemoryCapacity",
            INTEGER,
            512,
            "Memory for attachments that are read ahead",
            unit="MB",
            minimum=0,
            inapplicable="Attachments are streamed, never read ahead as a whole",
        ),
        Option(
            "DicomParserThreadsCount",
            INTEGER,
            2,
            "Threads that parse DICOM",
            minimum=1,
            inapplicable="Headers are parsed by the threads of the server",
        ),
        Option(
            "DicomParserCacheSize",
            INTEGER,
            256,
            "Memory that caches parsed instances",
            unit="MB",
            minimum=0,
            inapplicable="Parsed instances are not cached",
        ),
        Option(
            "DicomParserMemoryCapacity",
            INTEGER,
            256,
            "Memory for instances that are being parsed",
            unit="MB",
            minimum=0,
            inapplicable="Large values are left in the file while an instance is parsed",
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
            inapplicable="Archives are read and deflated by the threads of the server",
        ),
        Option(
            "SequentialDicomReaderWindowSize",
            INTEGER,
            4,
            "Number of instances read ahead",
            minimum=1,
            inapplicable="The window of an archive is measured in bytes",
        ),
        Option(
            "SequentialDicomReaderWindowCapacity",
            INTEGER,
            128,
            "Memory for instances read ahead",
            unit="MB",
            minimum=0,
            inapplicable="The window of an archive has a fixed size of a few MB",
        ),
        Option(
            "ZipLoaderThreads",
            INTEGER,
            0,
            "Threads that read instances ahead of a ZIP (up to Orthanc 1.12 only)",
            minimum=0,
            inapplicable="Archives are read and deflated by the threads of the server",
        ),
    ),
)

SCRIPTS = Topic(
    "Scripts and plugins",
    (
        Option(
            "LuaScripts",
            STRINGS,
            [],
            "Lua scripts to load",
            is_path=True,
            inapplicable="This server runs no Lua: a client of /changes can do what a script did",
        ),
        Option(
            "LuaHeartBeatPeriod",
            INTEGER,
            0,
            "Time between calls of the Lua function OnHeartBeat; 0: never",
            unit="s",
            minimum=0,
            inapplicable="This server runs no Lua",
        ),
        Option(
            "Plugins",
            STRINGS,
            [],
            "Shared libraries, or folders of them, to load",
            is_path=True,
            inapplicable="Orthanc's plugins are shared libraries that call its own C API",
        ),
    ),
)
