"""What is refused before anything is done, because of what is stored or configured."""

from __future__ import annotations

from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.dicom.modules import module_tags
from orthanc_tw.dicom.tags import parse_tag
from orthanc_tw.dicom.transcoding.refusal import refuse_syntax
from orthanc_tw.index.gateway import ExpandParts, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import hash_identifier
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource

_PATIENT_ID, _STUDY, _SERIES, _SOP = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
_NO_PARTS = ExpandParts(children=False, metadata=False, attachments=False, labels=False)

_IN_PLACE = (
    "When keeping StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID tag, you must have the "
    "'OverwriteInstances' Orthanc configuration set to true in order to replace the modified "
    "resources"
)
_OTHER_STUDIES = (
    "Trying to change patient tags in a study.  The Patient already exists and has other "
    "studies.  All the 'Replace' tags should match the existing patient main dicom tags and you "
    "should specify all Patient MainDicomTags in your query.  Try using /patients/../modify "
    "instead to modify the patient. "
)


def refuse_in_place(modification: Modification, level: ResourceType) -> None:
    """Refuse what would put results in the place of their sources, where that is not allowed.

    :param level: of the resources
    :raises OrthancError: BAD_REQUEST
    """
    if modification.keeps(_SERIES) and modification.keeps(_SOP) and modification.keeps(_STUDY):
        raise OrthancError(ErrorCode.BAD_REQUEST, _IN_PLACE)
    if modification.is_anonymization or level < ResourceType.SERIES:
        return
    renewed = (_SERIES, _SOP) if level is ResourceType.SERIES else (_SOP,)
    fixed = [tag for tag in (_PATIENT_ID, _STUDY, _SERIES) if tag not in renewed]
    if all(map(modification.keeps, renewed)) and not any(
        modification.replacement(tag) is not None for tag in fixed
    ):
        raise OrthancError(ErrorCode.BAD_REQUEST, _IN_PLACE)


def refuse_transcoding(modification: Modification) -> None:
    """Refuse a transfer syntax that nothing here writes.

    Whether the pixels of an instance fit into it is found out when it is transcoded.

    :raises OrthancError: NOT_IMPLEMENTED (501)
    """
    if modification.transcode is not None:
        refuse_syntax(modification.transcode)


def refuse_other_patient(tx: ReadTransaction, modification: Modification, study: Resource) -> None:
    """Refuse to give a study a patient that exists, but is told otherwise there.

    :raises OrthancError: BAD_REQUEST naming the first tag of the patient that does not match
    """
    row = tx.lookup(study.public_id, ResourceType.STUDY)
    replaced = {item.path.tag: item.value for item in modification.replacements if item.path.is_top}
    if row is None or not replaced.keys() & module_tags(ResourceType.PATIENT):
        return
    patient: ResourceRow | None = tx.ancestors(row)[0]
    if _PATIENT_ID in replaced:
        patient = tx.lookup(hash_identifier(str(replaced[_PATIENT_ID])), ResourceType.PATIENT)
    if patient is None:
        return
    others = tx.descendants(patient, ResourceType.STUDY, limit=2)
    if all(other.internal_id == row.internal_id for other in others):
        return
    (record,) = tx.expand([patient], _NO_PARTS)
    for text, value in sorted(record.tags.items()):
        tag = parse_tag(text)
        if tag not in replaced:
            if not value:
                continue
            details = f"{_OTHER_STUDIES}Missing tag in the 'Replace' tags: {text}"
            raise OrthancError(ErrorCode.BAD_REQUEST, details)
        if replaced[tag] != value:
            raise OrthancError(ErrorCode.BAD_REQUEST, f"{_OTHER_STUDIES}Failing tag: {text}")
