"""Reading the header of a DICOM file into an `InstanceSummary`: what ingest needs, no more.

The reader's verdict is the door's: what it refuses is not stored. Pixels are stepped over.
"""

from __future__ import annotations

import logging
from typing import BinaryIO

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.meta_header import MetaHeader, guess_layout, read_meta_header
from orthanc_tw.dicom.scan import LAYOUTS, scan
from orthanc_tw.dicom.source import FileSource, InflatedSource, Malformed, Source
from orthanc_tw.dicom.summarize import summarize
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.dicom.uids import transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError

_MAX_META_HEADER_BYTES = 1 << 20

log = logging.getLogger(__name__)


def read_summary(
    file: BinaryIO, size_bytes: int, main_tags: MainDicomTags, default_encoding: Encoding
) -> InstanceSummary:
    """Read what ingest needs to know of the DICOM file.

    Blocks on the disk: for a thread, or for the reactor thread if the file is in the page
    cache and small. Memory is bounded (windows of 64 KiB, and a few MiB for deflated files).

    :param file: seekable; read from its position 0
    :param size_bytes: size of the file
    :param default_encoding: encoding of text where the file names none
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file or is cut off; INEXISTENT_TAG
        if a study, series or SOP instance UID is missing (as in a DICOMDIR);
        BAD_PARAMETER_TYPE if an identifier is binary or longer than 256 bytes
    """
    if size_bytes == 0:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Received an empty DICOM file")
    try:
        return _read(file, size_bytes, main_tags, default_encoding)
    except Malformed as error:
        log.info("Not a valid DICOM file of %d bytes: %s", size_bytes, error)
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            f"Cannot parse an invalid DICOM file (size: {size_bytes} bytes)",
        ) from error


def _read(
    file: BinaryIO, size_bytes: int, main_tags: MainDicomTags, default_encoding: Encoding
) -> InstanceSummary:
    plain = FileSource(file, size_bytes)
    meta = _meta_header(plain)
    syntax = transfer_syntax(meta.transfer_syntax)
    source: Source = plain
    start = meta.dataset_offset
    if syntax is not None and syntax.is_deflated:
        source = InflatedSource(file, start)
        start = 0
    if not meta.has_meta_header and start == size_bytes:
        raise Malformed("there is a preamble and nothing else")
    if syntax is not None:
        layout = LAYOUTS[syntax.is_explicit, syntax.is_little_endian]
    else:
        window, offset = source.window(start)
        layout = guess_layout(window[offset : offset + 6])
        if not (layout.is_explicit or layout.is_little_endian):
            raise Malformed("implicit VR big endian is no transfer syntax of DICOM")
    scanned = scan(
        source,
        start,
        layout,
        main_tags.wanted,
        is_encapsulated=syntax is not None and syntax.is_encapsulated,
    )
    return summarize(scanned, meta, layout, main_tags, default_encoding)


def _meta_header(plain: FileSource) -> MetaHeader:
    try:
        return read_meta_header(plain.head)
    except Malformed:
        # Private information (0002,0102) may be larger than the first window.
        return read_meta_header(plain.read(0, _MAX_META_HEADER_BYTES))
