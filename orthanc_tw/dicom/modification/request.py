"""Parsing of the bodies of ``/modify`` and ``/anonymize``; refusals are those of Orthanc."""

from __future__ import annotations

from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType


def parse_modify(
    body: JsonValue, level: ResourceType, settings: ModificationSettings, *, seed: str
) -> Modification:
    """The modification that the body of ``/modify`` asks for.

    Fields of the submission (``Priority``, ``Asynchronous``...) are not looked at.

    :param body: the parsed JSON
    :param level: of the resource
    :param seed: `Modification.seed`, random and hexadecimal
    :raises OrthancError: what the client is to be answered, naming the field or the tag
    """
    raise NotImplementedError


def parse_anonymize(
    body: JsonValue, level: ResourceType, settings: ModificationSettings, *, seed: str
) -> Modification:
    """The modification that the body of ``/anonymize`` asks for; the same as `parse_modify`.

    If it `Modification.wants_patient_name`, the caller gives it one by `Modification.named`.
    """
    raise NotImplementedError
