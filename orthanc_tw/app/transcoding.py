"""Wires what transcodes."""

from __future__ import annotations

from orthanc_tw.config import Configuration
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.storage.interface import Storage
from orthanc_tw.workers.pool import WorkerPool


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
