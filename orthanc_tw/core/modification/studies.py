"""Splitting a study, and merging into one: which modification that is.

Both make new series of instances in another study; of the patient and study modules (PS3.3
C.7.1.1, C.7.2.1) the instances have what that study says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.paths import TagPath, parse_path
from orthanc_tw.dicom.modification.plan import Modification, Replacement
from orthanc_tw.dicom.modules import module_tags
from orthanc_tw.dicom.tag_names import tag_name
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.index.gateway import ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource

_STUDY_UID, _SERIES_UID, _SOP_UID = 0x0020000D, 0x0020000E, 0x00080018
_OF_STUDY = module_tags(ResourceType.PATIENT) | module_tags(ResourceType.STUDY)


def refuse_tags_of_split(modification: Modification) -> None:
    """Refuse other tags than those that a new study may have of its own.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE naming the tag
    """
    allowed = _OF_STUDY - {_STUDY_UID}
    named = [item.path for item in modification.replacements] + list(modification.removed)
    for path in named:
        if not path.is_top or path.tag not in allowed:
            raise _refused("modify", path.tag, "not in the patient/study modules")
    for path in modification.kept:
        if not path.is_top or path.tag not in (_SERIES_UID, _SOP_UID):
            raise _refused("keep", path.tag, "not the SeriesInstanceUID or SOPInstanceUID")
    for tags in (*modification.removed_ranges, *modification.kept_ranges):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f"Cannot take a range of tags while splitting a study: {tags}",
        )


def _refused(what: str, tag: int, why: str) -> OrthancError:
    return OrthancError(
        ErrorCode.PARAMETER_OUT_OF_RANGE,
        f"Cannot {what} the following tag while splitting a study ({why}): "
        f"{tag_name(tag)} ({format_tag(tag)})",
    )


def split_into(modification: Modification, study_uid: str) -> tuple[Modification, str]:
    """The same for instances of a new study, and its StudyInstanceUID.

    :param study_uid: of the study that is split
    """
    new_uid = Identity(bytes.fromhex(modification.seed)).uid(study_uid)
    return _in_study(modification, {_STUDY_UID: new_uid}), new_uid


def merge_into(modification: Modification, target: Mapping[str, JsonValue]) -> Modification:
    """The same for instances of an existing study.

    :param target: the patient and study modules of an instance of it, by ``gggg,eeee``
    """
    values = {parse_path(name).tag: value for name, value in target.items()}
    known = {tag: value for tag, value in values.items() if value is not None}
    removed = tuple(TagPath.of(tag) for tag in sorted(_OF_STUDY - values.keys()))
    return replace(_in_study(modification, known), removed=removed)


def _in_study(modification: Modification, values: Mapping[int, JsonValue]) -> Modification:
    added = tuple(Replacement(TagPath.of(tag), value) for tag, value in sorted(values.items()))
    return replace(modification, replacements=(*modification.replacements, *added))


def members_of(
    tx: ReadTransaction, study: str, series: Sequence[str], instances: Sequence[str]
) -> list[Resource]:
    """The series and instances of a study that are to be split off it.

    :raises OrthancError: UNKNOWN_RESOURCE naming what does not belong to the study
    """
    found = []
    for level, name, public_ids in (
        (ResourceType.SERIES, "series", series),
        (ResourceType.INSTANCE, "instance", instances),
    ):
        for public_id in sorted(set(public_ids)):
            row = tx.lookup(public_id, level)
            if row is None or study_of(tx, row) != study:
                raise OrthancError(
                    ErrorCode.UNKNOWN_RESOURCE,
                    f"This {name} does not belong to the study to be split: {public_id}",
                )
            found.append(Resource(level, public_id))
    return found


def others_than(tx: ReadTransaction, study: str, public_ids: Sequence[str]) -> list[Resource]:
    """The studies, series and instances that are to be merged into a study.

    :raises OrthancError: UNKNOWN_RESOURCE naming what is not there, or is of that study
    """
    found = []
    for public_id in sorted(set(public_ids)):
        row = tx.lookup(public_id)
        if row is None or row.level is ResourceType.PATIENT:
            raise OrthancError(
                ErrorCode.UNKNOWN_RESOURCE, f"Cannot find this resource: {public_id}"
            )
        if study_of(tx, row) == study:
            raise OrthancError(
                ErrorCode.UNKNOWN_RESOURCE,
                f"Cannot merge a study into the same study: {public_id}",
            )
        found.append(Resource(row.level, public_id))
    return found


def study_of(tx: ReadTransaction, row: ResourceRow) -> str | None:
    """Public identifier of the study of a resource, or its own."""
    for one in (row, *tx.ancestors(row)):
        if one.level is ResourceType.STUDY:
            return one.public_id
    return None
