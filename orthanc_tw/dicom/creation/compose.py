"""The elements of a new data set: those of the parent, those that are given, and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.creation.dataset import (
    ENCODING,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    NewDataset,
)
from orthanc_tw.dicom.modification.copying import Copier
from orthanc_tw.dicom.modification.new_values import ValueRules, encode_value
from orthanc_tw.dicom.modification.rewrite import piece_chunks
from orthanc_tw.dicom.modification.rope import Rope
from orthanc_tw.dicom.modules import module_tags
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_names import dictionary_vr
from orthanc_tw.dicom.tags import PIXEL_DATA, UserDictionary, format_tag, is_private, parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType

_CHARSET = 0x00080005
_PATIENT_ID, _STUDY, _SERIES = 0x00100020, 0x0020000D, 0x0020000E
_IDENTIFIERS = (_PATIENT_ID, _STUDY, _SERIES)
# Dates and times of instance, study, series, acquisition and content: (date, time, level)
_MOMENTS = (
    (0x00080012, 0x00080013, ResourceType.INSTANCE),
    (0x00080020, 0x00080030, ResourceType.STUDY),
    (0x00080021, 0x00080031, ResourceType.SERIES),
    (0x00080022, 0x00080032, ResourceType.INSTANCE),
    (0x00080023, 0x00080033, ResourceType.INSTANCE),
)
# What may be given although it is there already
_REPLACEABLE = {tag for date, time, _ in _MOMENTS for tag in (date, time)}
_INHERITED_BYTES = 16 * 1024 * 1024
_UNKNOWN_TAG_STATUS = 400


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


@dataclass(frozen=True, slots=True)
class Given:
    """What the client says of tags; see `core.creation.request.Creation`.

    :ivar tags: pairs of name and value; later ones win
    """

    tags: Mapping[str, JsonValue]
    private_creator: str | None
    force: bool
    rules: ValueRules


@dataclass(frozen=True, slots=True)
class Fresh:
    """Values that are made for a request.

    :ivar date: DA
    :ivar time: TM
    """

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    date: str
    time: str


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


def compose_deprecated(given: Given, fresh: Fresh, settings: ComposeSettings) -> NewDataset:
    """The elements of an instance that a deprecated body asks for: given ones and identifiers.

    :raises OrthancError: as `compose`
    """
    dataset = NewDataset()
    charset = charsets_of(None, settings.default_encoding)
    for name, value in given.tags.items():
        tag = known_tag(name, settings.dictionary)
        if tag >> 16 > 2:
            _set(dataset, tag, value, charset, given, settings)
    _identify(dataset, fresh)
    return dataset


def compose(
    given: Given, inherited: Inherited, fresh: Fresh, settings: ComposeSettings
) -> NewDataset:
    """All elements but those that the content and the instance make; see `add_tags`.

    :raises OrthancError: see `add_tags`; PARAMETER_OUT_OF_RANGE for an unknown
        SpecificCharacterSet; CREATE_DICOM_OVERRIDE_TAG with a tag that is not the client's to set
    """
    dataset = NewDataset(dict(inherited.elements))
    term = _charset_term(given, inherited, settings)
    dataset.set_text(_CHARSET, "CS", term)
    if not given.force:
        _check(given, inherited, settings)
    add_tags(dataset, given, settings)
    _identify(dataset, fresh)
    for date, time, level in _MOMENTS:
        if inherited.level is not None and level <= inherited.level:
            continue  # it is the parent's, which may have none
        if date not in dataset.elements:
            dataset.set_text(date, "DA", fresh.date)
        if time not in dataset.elements:
            dataset.set_text(time, "TM", fresh.time)
    return dataset


def add_tags(dataset: NewDataset, given: Given, settings: ComposeSettings) -> None:
    """Set given elements, in the character set of the data set.

    :raises OrthancError: UNKNOWN_DICOM_TAG (400); CREATE_DICOM_USE_CONTENT;
        BAD_PARAMETER_TYPE, BAD_FILE_FORMAT with the tag if a value does not fit
    """
    charset = charsets_of(_text(dataset, _CHARSET), settings.default_encoding)
    for name in sorted(given.tags):
        tag = known_tag(name, settings.dictionary)
        if tag == PIXEL_DATA:
            raise OrthancError(ErrorCode.CREATE_DICOM_USE_CONTENT)
        if tag >> 16 <= 2 or tag == _CHARSET:
            continue  # the meta information is not the client's; see `_charset_term`
        _set(dataset, tag, given.tags[name], charset, given, settings)


def known_tag(name: str, dictionary: UserDictionary) -> int:
    """The tag of a name of a request.

    :raises OrthancError: UNKNOWN_DICOM_TAG as the client's mistake
    """
    try:
        return parse_tag(name, dictionary)
    except OrthancError as error:
        raise OrthancError(error.code, error.details, http_status=_UNKNOWN_TAG_STATUS) from None


def identify_instance(dataset: NewDataset, sop_instance_uid: str) -> None:
    """Give the instance its UID, unless the client did; and tell the meta header."""
    if SOP_INSTANCE_UID not in dataset.elements:
        dataset.set_text(SOP_INSTANCE_UID, "UI", sop_instance_uid)
    dataset.sop_instance_uid = _text(dataset, SOP_INSTANCE_UID)
    dataset.sop_class_uid = _text(dataset, SOP_CLASS_UID)


def check_instance_tags(tags: Mapping[str, JsonValue], dictionary: UserDictionary) -> None:
    """Refuse what would take an instance of a series out of it.

    :raises OrthancError: CREATE_DICOM_OVERRIDE_TAG with the name
    """
    for name in sorted(tags):
        tag = known_tag(name, dictionary)
        if tag in _IDENTIFIERS or tag == _CHARSET:
            raise OrthancError(ErrorCode.CREATE_DICOM_OVERRIDE_TAG, name)


def _check(given: Given, inherited: Inherited, settings: ComposeSettings) -> None:
    for name in sorted(given.tags):
        tag = known_tag(name, settings.dictionary)
        if tag in _REPLACEABLE or tag == _CHARSET:
            continue
        if tag == _PATIENT_ID:
            is_other = given.tags[name] != inherited.patient_id
            overrides = inherited.level is not None and is_other
        else:
            overrides = tag in inherited.elements or tag in (_STUDY, _SERIES, SOP_INSTANCE_UID)
        if overrides:
            raise OrthancError(ErrorCode.CREATE_DICOM_OVERRIDE_TAG, name)


def _charset_term(given: Given, inherited: Inherited, settings: ComposeSettings) -> str:
    """SpecificCharacterSet of the new data set: the parent's, else what the client says."""
    default = settings.default_encoding.specific_character_set
    if inherited.level is not None:
        if inherited.charset is not None:
            return inherited.charset
    else:
        for name, value in given.tags.items():
            if known_tag(name, settings.dictionary) == _CHARSET and isinstance(value, str):
                if value and _is_unknown(value):
                    raise OrthancError(
                        ErrorCode.PARAMETER_OUT_OF_RANGE,
                        f"Unknown specific character set: {value}",
                    )
                return value or "ISO_IR 6"
    return "ISO_IR 192" if default is None else default or "ISO_IR 6"


def _is_unknown(term: str) -> bool:
    known = charsets_of(term, Encoding.ASCII).encoding is not Encoding.ASCII
    return not known and term not in ("ISO_IR 6", "ISO 2022 IR 6")


def _identify(dataset: NewDataset, fresh: Fresh) -> None:
    if _PATIENT_ID not in dataset.elements:
        dataset.set_text(_PATIENT_ID, "LO", fresh.patient_id)
    if _STUDY not in dataset.elements:
        dataset.set_text(_STUDY, "UI", fresh.study_instance_uid)
    if _SERIES not in dataset.elements:
        dataset.set_text(_SERIES, "UI", fresh.series_instance_uid)


def _set(
    dataset: NewDataset,
    tag: int,
    value: JsonValue,
    charset: CharacterSet,
    given: Given,
    settings: ComposeSettings,
) -> None:
    creator = given.private_creator or settings.dictionary.default_creator or None
    creator = creator if is_private(tag) and tag & 0xFFFF >= 0x1000 else None
    vr = dictionary_vr(tag, creator, dictionary=settings.dictionary)
    if vr == "UN" and isinstance(value, list):
        vr = "SQ"
    try:
        data = encode_value(tag, vr, value, ENCODING, charset, settings.dictionary, given.rules)
    except OrthancError as error:
        if not isinstance(value, str) or error.code is not ErrorCode.BAD_PARAMETER_TYPE:
            raise
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            f"While creating a DICOM instance, tag ({format_tag(tag)}) has out-of-range value: "
            f'"{value[:64]}"',
        ) from None
    dataset.set(tag, vr, data)
    if creator is not None:
        _reserve(dataset, tag, creator, charset)


def _reserve(dataset: NewDataset, tag: int, creator: str, charset: CharacterSet) -> None:
    """The element that reserves the block of a private element (PS3.5 7.8.1)."""
    reserving = tag & 0xFFFF0000 | tag >> 8 & 0xFF
    if reserving not in dataset.elements:
        dataset.set(reserving, "LO", charset.encode(creator))


def _text(dataset: NewDataset, tag: int) -> str:
    """Text of an element of a short VR that was set here."""
    return dataset.elements.get(tag, b"")[8:].decode("ascii", "replace").strip(" \0")
