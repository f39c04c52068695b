"""Wires what transcodes."""

from __future__ import annotations

from orthanc_tw.app.base import Base
from orthanc_tw.core.transcoding.ingest import IngestTranscoder, IngestTranscodingSettings
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.dicom.transcoding.refusal import refuse_syntax
from orthanc_tw.dicom.uids import is_known_transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.startup import StartupError


def make_ingest_transcoder(base: Base, files: FileTranscoder) -> IngestTranscoder | None:
    """``IngestTranscoding`` and its two companions; None if it is not set.

    :raises StartupError: if the transfer syntax is unknown, or nothing here writes it
    """
    configuration = base.configuration
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
        base.storage,
        base.in_thread,
        IngestTranscodingSettings(
            syntax,
            configuration.boolean("IngestTranscodingOfUncompressed"),
            configuration.boolean("IngestTranscodingOfCompressed"),
        ),
    )


def make_transcoder(base: Base) -> FileTranscoder:
    """``DicomLossyTranscodingQuality`` and ``TranscoderThreadsCount``."""
    configuration = base.configuration
    return FileTranscoder(
        base.storage,
        base.workers.run,
        quality=configuration.integer("DicomLossyTranscodingQuality"),
        with_md5=configuration.boolean("StoreMD5ForAttachments"),
        at_once=configuration.integer("TranscoderThreadsCount"),
    )
