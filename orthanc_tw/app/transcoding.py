"""Wires what transcodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.config import Configuration
from orthanc_tw.core.transcoding.ingest import IngestTranscoder, IngestTranscodingSettings
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.dicom.transcoding.refusal import refuse_syntax
from orthanc_tw.dicom.uids import is_known_transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.startup import StartupError
from orthanc_tw.storage.interface import Storage
from orthanc_tw.workers.pool import WorkerPool


def make_ingest_transcoder(
    configuration: Configuration,
    files: FileTranscoder,
    storage: Storage,
    in_thread: Callable[..., Deferred[Any]],
) -> IngestTranscoder | None:
    """``IngestTranscoding`` and its two companions; None if it is not set.

    :raises StartupError: if the transfer syntax is unknown, or nothing here writes it
    """
    syntax = configuration.optional_text("IngestTranscoding")
    if not syntax:
        return None
    try:
        if not is_known_transfer_syntax(syntax):
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown transfer syntax: {syntax}"
            )
        refuse_syntax(syntax)
    except OrthancError as error:
        raise StartupError(f'Option "IngestTranscoding": {error.details}') from error
    return IngestTranscoder(
        files,
        storage,
        in_thread,
        IngestTranscodingSettings(
            syntax,
            configuration.boolean("IngestTranscodingOfUncompressed"),
            configuration.boolean("IngestTranscodingOfCompressed"),
        ),
    )


def make_transcoder(
    configuration: Configuration, storage: Storage, workers: WorkerPool
) -> FileTranscoder:
    """``DicomLossyTranscodingQuality`` and ``TranscoderThreadsCount``."""
    return FileTranscoder(
        storage,
        workers.run,
        quality=configuration.integer("DicomLossyTranscodingQuality"),
        with_md5=configuration.boolean("StoreMD5ForAttachments"),
        at_once=configuration.integer("TranscoderThreadsCount"),
    )
