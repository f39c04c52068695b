"""What a new instance has of its parent: the elements of the modules that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from orthanc_tw.dicom.charset import Encoding, charsets_of
from orthanc_tw.dicom.creation.dataset import ENCODING
from orthanc_tw.dicom.modification.copying import Copier
from orthanc_tw.dicom.modification.rewrite import piece_chunks
from orthanc_tw.dicom.modification.rope import Rope
from orthanc_tw.dicom.modules import module_tags
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType

_PATIENT_ID = 0x00100020
_INHERITED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a new instance has of its parent.

    :ivar level: of the parent; None if there is no parent
    :ivar elements: of the modules of its level and above, encoded
    :ivar charset: SpecificCharacterSet of the parent, None if it has none
    """

    level: ResourceType | None = None
    elements: Mapping[int, bytes] = field(default_factory=dict)
    charset: str | None = None
    patient_id: str = ""


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """What is the same for all new instances of a moment.

    :ivar default_encoding: ``DefaultEncoding``
    """

    default_encoding: Encoding
    dictionary: UserDictionary


def inherit(file: BinaryIO, level: ResourceType, settings: ComposeSettings) -> Inherited:
    """Read an instance of the parent: the modules that its children share. Blocks on the file.

    :param level: of the parent
    :raises OrthancError: BAD_FILE_FORMAT
    """
    document = read_document(file, stop_at_pixels=True, dictionary=settings.dictionary or None)
    try:
        dataset = document.dataset
        rope_of = Copier(document, ENCODING)
        wanted = {tag for above in ResourceType if above <= level for tag in module_tags(above)}
        elements: dict[int, bytes] = {}
        total = 0
        for tag, element in dataset.elements.items():
            as_it_is = not dataset.implicit and dataset.little_endian and not element.has_bad_vr
            if tag not in wanted or (element.items is not None and not as_it_is):
                continue  # a sequence in another encoding would have to be encoded anew
            rope = Rope()
            if as_it_is:
                rope_of.copy(rope, element)
            else:
                rope_of.reencode(rope, dataset, element)
            total += rope.size_bytes
            if total > _INHERITED_BYTES:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The modules of the parent are huge")
            elements[tag] = b"".join(
                data for piece in rope for data in piece_chunks(piece, document)
            )
        charset = charsets_of(dataset.specific_character_set, settings.default_encoding)
        patient = dataset.elements.get(_PATIENT_ID)
        patient_id = charset.decode(document.read(patient)).strip(" \0") if patient else ""
        return Inherited(level, elements, dataset.specific_character_set, patient_id)
    finally:
        document.close()
