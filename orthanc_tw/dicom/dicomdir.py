"""A DICOMDIR (PS3.3 Annex F, PS3.10 section 8) for the media archives.

Owns the directory records, their order, offsets and bytes; knows nothing of ZIP files
and of where instances come from. The records hold what Orthanc's hold: four levels
(every instance is an IMAGE record, whatever its SOP class), the attributes below, and
the values byte for byte as they are in the instance, with its Specific Character Set.

Everything written is a function of what was added, so a directory that is built again
from the same list of instances is the same file.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import ErrorCode, OrthancError

_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_FILE_ID_COMPONENT = re.compile(r"[A-Z0-9_]{1,8}")
_RECORD_IN_USE = 0xFFFF
_MAX_SHORT_LENGTH = 0xFFFE
_MAX_OFFSET = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Attribute:
    tag: int
    vr: bytes
    always: bool
    """Written even without a value (type 2); otherwise only with one."""
    extended: bool = False
    """Only in an extended directory (type 3)."""


_SPECIFIC_CHARACTER_SET = _Attribute(0x00080005, b"CS", always=False)
_PATIENT = (
    _SPECIFIC_CHARACTER_SET,
    _Attribute(0x00100010, b"PN", always=True),
    _Attribute(0x00100020, b"LO", always=True),
)
_STUDY = (
    _SPECIFIC_CHARACTER_SET,
    _Attribute(0x00080020, b"DA", always=True),
    _Attribute(0x00080030, b"TM", always=True),
    _Attribute(0x00080050, b"SH", always=True),
    _Attribute(0x00081030, b"LO", always=True),
    _Attribute(0x0020000D, b"UI", always=True),
    _Attribute(0x00200010, b"SH", always=False),
)
_SERIES = (
    _SPECIFIC_CHARACTER_SET,
    _Attribute(0x00080060, b"CS", always=True),
    _Attribute(0x0008103E, b"LO", always=False, extended=True),
    _Attribute(0x0020000E, b"UI", always=True),
    _Attribute(0x00200011, b"IS", always=False),
)
_IMAGE = (
    _SPECIFIC_CHARACTER_SET,
    _Attribute(0x00200013, b"IS", always=True),
)
_KEYS = (0x00100020, 0x0020000D, 0x0020000E)


@dataclass(slots=True)
class _Record:
    """A directory record: ``body`` is its encoded elements from (0004,1430) on."""

    body: bytes
    children: list[_Record] = field(default_factory=list)
    by_key: dict[bytes, _Record] = field(default_factory=dict)

    def walk(self) -> Iterator[_Record]:
        """All records below this one, depth first: the order in which they are written."""
        for child in self.children:
            yield child
            yield from child.walk()


# (0004,1400) UL next, (0004,1410) US in use, (0004,1420) UL lower level
_POINTERS = struct.Struct("<HH2sHIHH2sHHHH2sHI")
# (FFFE,E000) and its length
_ITEM = struct.Struct("<HHI")


class DicomDirectory:
    """A DICOMDIR to which instances are added one by one. Not thread-safe; never blocks.

    Memory: some 400 bytes an instance. Patients, studies and series are in the order of
    their first instance, and are found again by PatientID and UIDs (byte for byte).

    :param file_set_id: (0004,1130), at most 16 bytes of ASCII
    :param extended: write the attributes of type 3 too (SeriesDescription), as Orthanc
        does for ``?extended``
    :param implementation_version_name: (0002,0013)
    """

    def __init__(
        self,
        file_set_id: str = "ORTHANC_MEDIA",
        extended: bool = False,
        implementation_version_name: str = "ORTHANC_TW",
    ) -> None:
        self._file_set_id = file_set_id
        self._extended = extended
        self._version = implementation_version_name
        self._root = _Record(b"")

    def add(self, header: Dataset, file_id: Sequence[str]) -> None:
        """Add an instance.

        :param header: what pydicom's ``dcmread(..., stop_before_pixels=True)`` answers; its
            ``file_meta`` is where the transfer syntax of the file comes from
        :param file_id: the components of the path below the DICOMDIR (PS3.10 section 8.2):
            at most eight, each of 1 to 8 characters ``A-Z0-9_``
        :raises ValueError: if ``file_id`` is none
        :raises OrthancError: BAD_FILE_FORMAT if a value does not fit into a record
        """
        if not 1 <= len(file_id) <= 8 or not all(map(_FILE_ID_COMPONENT.fullmatch, file_id)):
            raise ValueError(f"Not a file ID of a DICOM file-set: {list(file_id)}")
        parent = self._root
        levels = (b"PATIENT", _PATIENT), (b"STUDY", _STUDY), (b"SERIES", _SERIES)
        for (record_type, attributes), key_tag in zip(levels, _KEYS, strict=True):
            key = _value(header, key_tag)
            record = parent.by_key.get(key)
            if record is None:
                record = self._record(record_type, b"", attributes, header)
                parent.by_key[key] = record
                parent.children.append(record)
            parent = record
        parent.children.append(self._record(b"IMAGE", _references(header, file_id), _IMAGE, header))

    def write(self, file: BinaryIO) -> None:
        """Write the whole file, from the preamble on; ``file`` is only written to.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE if it would exceed 4 GB
        """
        offsets: dict[int, int] = {}
        head = self._head(0, 0, 0)
        position = len(head)
        for record in self._root.walk():
            offsets[id(record)] = position
            position += _ITEM.size + _POINTERS.size + len(record.body)
        if position > _MAX_OFFSET:
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, "The DICOMDIR exceeds 4 GB")
        top = self._root.children
        first, last = (offsets[id(top[0])], offsets[id(top[-1])]) if top else (0, 0)
        file.write(self._head(first, last, position - len(head)))
        self._write_records(self._root, offsets, file)

    def _write_records(self, parent: _Record, offsets: dict[int, int], file: BinaryIO) -> None:
        for record, sibling in zip_longest(parent.children, parent.children[1:]):
            after = offsets[id(sibling)] if sibling else 0
            lower = offsets[id(record.children[0])] if record.children else 0
            file.write(_ITEM.pack(0xFFFE, 0xE000, _POINTERS.size + len(record.body)))
            file.write(
                # (0004,1400) OffsetOfTheNextDirectoryRecord, (0004,1410) RecordInUseFlag,
                # (0004,1420) OffsetOfReferencedLowerLevelDirectoryEntity
                _POINTERS.pack(
                    *(0x0004, 0x1400, b"UL", 4, after),
                    *(0x0004, 0x1410, b"US", 2, _RECORD_IN_USE),
                    *(0x0004, 0x1420, b"UL", 4, lower),
                )
            )
            file.write(record.body)
            self._write_records(record, offsets, file)

    def _record(
        self,
        record_type: bytes,
        references: bytes,
        attributes: Sequence[_Attribute],
        header: Dataset,
    ) -> _Record:
        parts = [_element(0x00041430, b"CS", record_type), references]
        for attribute in attributes:
            if attribute.extended and not self._extended:
                continue
            value = _value(header, attribute.tag)
            if value or attribute.always:
                parts.append(_element(attribute.tag, attribute.vr, value))
        return _Record(b"".join(parts))

    def _head(self, first: int, last: int, records_length: int) -> bytes:
        """Preamble, meta information and dataset up to the first record."""
        return b"".join(
            (
                meta_header(
                    _MEDIA_STORAGE_DIRECTORY,
                    self._sop_instance_uid().decode("ascii"),
                    EXPLICIT_LITTLE_ENDIAN,
                    version_name=self._version,
                ),
                _element(0x00041130, b"CS", self._file_set_id.encode("ascii")),
                struct.pack("<HH2sHI", 0x0004, 0x1200, b"UL", 4, first),
                struct.pack("<HH2sHI", 0x0004, 0x1202, b"UL", 4, last),
                struct.pack("<HH2sHH", 0x0004, 0x1212, b"US", 2, 0),
                struct.pack("<HH2sHI", 0x0004, 0x1220, b"SQ", 0, records_length),
            )
        )

    def _sop_instance_uid(self) -> bytes:
        """A UID of the 2.25 arc (PS3.5 section B.2) made of the content.

        Not random, so that a job that starts again writes the same file; of fixed
        length, since the offsets follow it.
        """
        digest = hashlib.sha256(self._file_set_id.encode("ascii"))
        for record in self._root.walk():
            digest.update(record.body)
        number = int.from_bytes(digest.digest()[:16], "big") | 1 << 127
        return f"2.25.{number:039d}".encode()


def _references(header: Dataset, file_id: Sequence[str]) -> bytes:
    """The elements of an IMAGE record that refer to the file (PS3.3 table F.3-3)."""
    meta = getattr(header, "file_meta", None) or Dataset()
    # The dataset decides where the meta information says something else: so does Orthanc
    sop_class = _value(header, 0x00080016) or _value(meta, 0x00020002)
    sop_instance = _value(header, 0x00080018) or _value(meta, 0x00020003)
    syntax = _value(meta, 0x00020010) or _guessed_syntax(header).encode("ascii")
    return b"".join(
        (
            _element(0x00041500, b"CS", "\\".join(file_id).encode("ascii")),
            _element(0x00041510, b"UI", sop_class),
            _element(0x00041511, b"UI", sop_instance),
            _element(0x00041512, b"UI", syntax),
        )
    )


def _guessed_syntax(header: Dataset) -> str:
    """Transfer syntax of a file without meta information: the one pydicom found in it."""
    implicit, little_endian = header.original_encoding
    if implicit in (True, None):
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _value(header: Dataset, tag: int) -> bytes:
    """Encoded value of an element of text, without padding; empty if it is absent.

    A value that makes no sense at all counts as absent, rather than spoil a whole media.
    """
    if tag not in header:
        return b""
    try:
        element = header.get_item(tag)
        if isinstance(element, RawDataElement):
            if element.value is not None:
                return bytes(element.value).rstrip(b" \0")
            if not element.length:
                return b""
            element = header[tag]  # a deferred value: this reads it
        buffer = DicomBytesIO()
        buffer.is_little_endian = True
        buffer.is_implicit_VR = True
        write_data_element(buffer, element, header.get("SpecificCharacterSet"))
    except Exception:
        # pydicom raises whatever comes to hand for a malformed element
        return b""
    return buffer.getvalue()[8:].rstrip(b" \0")  # after tag and length


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian with a length of 16 bits (PS3.5 section 7.1.2)."""
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    if len(value) > _MAX_SHORT_LENGTH:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            f"Value too long for a DICOMDIR: {tag >> 16:04x},{tag & 0xFFFF:04x}",
        )
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
