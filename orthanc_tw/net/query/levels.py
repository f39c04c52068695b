"""What a query or a retrieval says at each level, and to whom. Pure functions.

Sources: PS3.4 C.6 (models and keys of the levels), topic 41 of the corpus, the manufacturers of
Orthanc's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orthanc_tw.dicom.attributes import SPECIFIC_CHARACTER_SET, Attributes
from orthanc_tw.dicom.identifier import attribute_of, attributes_of
from orthanc_tw.dicom.modules import module_tags
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.modalities import Manufacturer

ACCESSION_NUMBER = 0x00080050
QUERY_RETRIEVE_LEVEL = 0x00080052
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018
SOP_CLASSES_IN_STUDY = 0x00080062

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"

#: Value of QueryRetrieveLevel (0008,0052).
LEVEL_VALUES = {
    ResourceType.PATIENT: "PATIENT",
    ResourceType.STUDY: "STUDY",
    ResourceType.SERIES: "SERIES",
    ResourceType.INSTANCE: "IMAGE",
}
#: Keys that each level adds to those above it; the last one identifies a resource.
_KEYS = {
    ResourceType.PATIENT: (PATIENT_ID,),
    ResourceType.STUDY: (ACCESSION_NUMBER, STUDY_INSTANCE_UID),
    ResourceType.SERIES: (SERIES_INSTANCE_UID,),
    ResourceType.INSTANCE: (SOP_INSTANCE_UID,),
}
# Beside the modules of the levels: what only servers can count or gather (PS3.4 C.3.4).
_COUNTED = {
    ResourceType.PATIENT: (0x00201200, 0x00201202, 0x00201204),
    ResourceType.STUDY: (0x00080061, SOP_CLASSES_IN_STUDY, 0x00201206, 0x00201208),
    ResourceType.SERIES: (0x00201209,),
    ResourceType.INSTANCE: (),
}
#: Keys of an answer that a retrieval repeats, where they are there.
RETRIEVAL_TAGS = (
    ACCESSION_NUMBER,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
)
#: What the routes ``find-patient``... ask for, whatever their body.
TEMPLATES: Mapping[ResourceType, tuple[int, ...]] = {
    ResourceType.PATIENT: (0x00100010, PATIENT_ID, 0x00100030, 0x00100040, 0x00101000),
    ResourceType.STUDY: (
        *(ACCESSION_NUMBER, PATIENT_ID, STUDY_INSTANCE_UID),
        *(0x00080020, 0x00080030, 0x00080090, 0x00081030, 0x00200010),
    ),
    ResourceType.SERIES: (
        *(ACCESSION_NUMBER, PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID),
        *(0x00080021, 0x00080031, 0x00080060, 0x0008103E, 0x00081070, 0x00180015, 0x00181030),
        *(0x00200011, 0x00400254),
    ),
    ResourceType.INSTANCE: (
        *(ACCESSION_NUMBER, PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID),
        *(SOP_INSTANCE_UID, 0x00080012, 0x00080013, 0x00200013),
    ),
}


def model_of(level: ResourceType, patient_root: str, study_root: str) -> str:
    """The information model that serves a level: patient root for patients alone."""
    return patient_root if level is ResourceType.PATIENT else study_root


def find_identifier(
    level: ResourceType, query: Attributes, manufacturer: Manufacturer, *, normalize: bool = True
) -> Attributes:
    """The identifier of a C-FIND.

    :param normalize: leave out what has no place at this level or above it
    """
    if normalize:
        allowed = _allowed(level)
        query = {tag: value for tag, value in query.items() if tag in allowed}
    identifier = dict(adapted(query, manufacturer))
    identifier[QUERY_RETRIEVE_LEVEL] = attribute_of(QUERY_RETRIEVE_LEVEL, LEVEL_VALUES[level])
    universal = "*" if manufacturer is Manufacturer.GE else ""
    for upper in _down_to(level):
        for tag in _KEYS[upper]:
            identifier.setdefault(tag, attribute_of(tag, universal))
    return identifier


def adapted(query: Attributes, manufacturer: Manufacturer) -> Attributes:
    """The query as a manufacturer understands it: ``*`` alone is left empty for some."""
    if manufacturer is Manufacturer.GENERIC_NO_UNIVERSAL_WILDCARD:
        without = None
    elif manufacturer is Manufacturer.GENERIC_NO_WILDCARD_IN_DATES:
        without = "DA"
    else:
        return query
    return {
        tag: replace(value, text="") if value.text == "*" and without in (None, value.vr) else value
        for tag, value in query.items()
    }


def move_identifier(level: ResourceType, query: Mapping[int, str]) -> Attributes:
    """The identifier of a C-MOVE: the unique keys, each with a value.

    :raises OrthancError: BAD_REQUEST (400) naming the key that is missing
    """
    tags = _unique_keys(level)
    for tag in tags:
        if not query.get(tag):
            raise OrthancError(ErrorCode.BAD_REQUEST, f"Missing tag {format_tag(tag)}")
    return _retrieve_identifier(level, {tag: query[tag] for tag in tags})


def get_identifier(level: ResourceType, query: Mapping[int, str]) -> Attributes:
    """The identifier of a C-GET: the unique keys that have a value."""
    return _retrieve_identifier(
        level, {tag: query[tag] for tag in _unique_keys(level) if query.get(tag)}
    )


def _retrieve_identifier(level: ResourceType, keys: Mapping[int, str]) -> Attributes:
    return attributes_of({QUERY_RETRIEVE_LEVEL: LEVEL_VALUES[level], **keys})


def _unique_keys(level: ResourceType) -> list[int]:
    """PS3.4 C.6.2: the study root has no patients."""
    if level is ResourceType.PATIENT:
        return [PATIENT_ID]
    return [_KEYS[upper][-1] for upper in _down_to(level) if upper is not ResourceType.PATIENT]


def retrieval_of(level: ResourceType, answer: Mapping[int, str]) -> dict[int, str]:
    """What a retrieval is told of an answer of a query."""
    found = {tag: answer[tag] for tag in RETRIEVAL_TAGS if tag in answer}
    return {**found, QUERY_RETRIEVE_LEVEL: LEVEL_VALUES[level]}


def children_query(level: ResourceType, answer: Mapping[int, str]) -> dict[int, str]:
    """The constraints of a query for what is below an answer at ``level``."""
    tags = [_KEYS[upper][-1] for upper in _down_to(level)]
    return {tag: answer[tag] for tag in tags if tag in answer}


def _down_to(level: ResourceType) -> list[ResourceType]:
    return [upper for upper in ResourceType if upper <= level]


def _allowed(level: ResourceType) -> set[int]:
    allowed = {SPECIFIC_CHARACTER_SET}
    for upper in _down_to(level):
        allowed |= module_tags(upper)
        allowed.update(_KEYS[upper])
    return allowed | set(_COUNTED[level])
