"""From the raw values of a scan to an `InstanceSummary`: identifiers, main DICOM tags, facts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.main_tags import FACTS, MainDicomTags
from orthanc_tw.dicom.meta_header import MetaHeader
from orthanc_tw.dicom.scan import Layout, Scanned
from orthanc_tw.dicom.sequences import sequence_as_json
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.dicom.tags import keyword
from orthanc_tw.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    transfer_syntax,
)
from orthanc_tw.dicom.values import short_texts
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType

_UNSIGNED = re.compile(r"\+?[0-9]{1,10}")
_MAX_EXPECTED_INSTANCES = 0x7FFFFFFF
_LEVELS = tuple(ResourceType)
_WHITE_SPACE = " \t\n\v\f\r\0"


def summarize(
    scanned: Scanned,
    meta: MetaHeader,
    layout: Layout,
    main_tags: MainDicomTags,
    default_encoding: Encoding,
) -> InstanceSummary:
    """Make the summary of one scanned file.

    :raises OrthancError: INEXISTENT_TAG if a study, series or SOP instance UID is missing;
        BAD_FILE_FORMAT if one is empty; BAD_PARAMETER_TYPE if one or PatientID is no short text
    """
    _, terms = scanned.values.get(FACTS["SpecificCharacterSet"], (b"", None))
    charset = charsets_of(
        None if terms is None else terms.decode("ascii", "replace"), default_encoding
    )
    texts = short_texts(
        scanned.values,
        charset,
        is_little_endian=layout.is_little_endian,
        dictionary=main_tags.dictionary,
    )
    identifiers = _identifiers(scanned, texts)
    by_level: tuple[dict[str, str], ...] = ({}, {}, {}, {})
    all_places = main_tags.places
    for tag, text in texts.items():
        if tag in all_places:
            for level, name in all_places[tag]:
                by_level[level - 1][name] = text
    syntax = transfer_syntax(meta.transfer_syntax)
    # The reference knows the offset of pixel data in files of a plain structure only.
    has_offset = syntax is not None and not syntax.is_deflated and meta.has_prefix
    return InstanceSummary(
        identifiers=identifiers,
        tags=dict(zip(_LEVELS, by_level, strict=True)),
        sequences=_sequences(scanned, layout, charset, main_tags),
        transfer_syntax=meta.transfer_syntax or _syntax_of(layout),
        sop_class_uid=texts.get(FACTS["SOPClassUID"], ""),
        pixel_data_offset=scanned.pixel_data_offset if has_offset else None,
        pixel_data_vr=_pixel_data_vr(scanned, meta, layout, texts) if has_offset else None,
        expected_instances=expected_instances(texts),
        index_in_series=_index_in_series(texts),
        has_meta_header=meta.has_prefix and meta.has_meta_header,
    )


def _identifiers(scanned: Scanned, texts: Mapping[int, str]) -> DicomIdentifiers:
    parts = []
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        tag = FACTS[name]
        text = texts.get(tag)
        if text is None:
            if tag in scanned.values:
                # There, but binary or too long: not to be taken for a patient without identifier.
                raise OrthancError(ErrorCode.BAD_PARAMETER_TYPE)
            if name != "PatientID":
                raise OrthancError(ErrorCode.INEXISTENT_TAG)
            text = ""
        elif not text and name != "PatientID":
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                "missing StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID",
            )
        parts.append(text)
    return DicomIdentifiers(*parts)


def _sequences(
    scanned: Scanned, layout: Layout, charset: CharacterSet, main_tags: MainDicomTags
) -> dict[ResourceType, dict[str, JsonValue]]:
    sequences: dict[ResourceType, dict[str, JsonValue]] = {}
    for tag, places in main_tags.sequence_places.items():
        vr, raw = scanned.values.get(tag, (b"", None))
        if raw is None or vr != b"SQ":
            continue
        items = sequence_as_json(
            raw,
            layout,
            charset,
            main_tags.dictionary,
            is_undefined_length=tag in scanned.undefined_length,
        )
        if items is not None:
            entry: JsonValue = {
                "Name": keyword(tag, main_tags.dictionary),
                "Type": "Sequence",
                "Value": items,
            }
            for level, name in places:
                sequences.setdefault(level, {})[name] = entry
    return sequences


def _syntax_of(layout: Layout) -> str:
    """UID of the transfer syntax of a data set that none is named for."""
    if not layout.is_little_endian:
        return EXPLICIT_BIG_ENDIAN
    return EXPLICIT_LITTLE_ENDIAN if layout.is_explicit else IMPLICIT_LITTLE_ENDIAN


def _pixel_data_vr(
    scanned: Scanned, meta: MetaHeader, layout: Layout, texts: Mapping[int, str]
) -> str | None:
    """VR of the pixel data unless it is the one that goes without saying (PS3.5 A.1 to A.4)."""
    syntax = transfer_syntax(meta.transfer_syntax)
    is_encapsulated = syntax is not None and syntax.is_encapsulated
    is_bytes = layout.is_explicit and _unsigned(texts, "BitsAllocated") in range(1, 9)
    usual = "OB" if is_encapsulated or is_bytes else "OW"
    return None if scanned.pixel_data_vr == usual else scanned.pixel_data_vr


def _unsigned(texts: Mapping[int, str], name: str) -> int | None:
    text = texts.get(FACTS[name])
    if text is None or not _UNSIGNED.fullmatch(text):
        return None
    return int(text)


def expected_instances(texts: Mapping[int, str]) -> int | None:
    """How many instances the series of this one should have; None if it does not say so.

    Images in acquisition times temporal positions (MR); slices times time slices (PET); number
    of images of a cardiac cycle: the first that the file has. Nothing, if it is zero or absurd.

    :param texts: values by tag
    """
    for names in (
        ("ImagesInAcquisition", "NumberOfTemporalPositions"),
        ("NumberOfSlices", "NumberOfTimeSlices"),
        ("CardiacNumberOfImages",),
    ):
        expected = 1
        for name in names:
            number = _unsigned(texts, name)
            if number is None:
                break
            expected *= number
        else:
            return expected if 0 < expected <= _MAX_EXPECTED_INSTANCES else None
    return None


def _index_in_series(texts: Mapping[int, str]) -> str | None:
    for name in ("InstanceNumber", "ImageIndex"):
        text = texts.get(FACTS[name])
        if text is not None:
            return text.strip(_WHITE_SPACE)
    return None
