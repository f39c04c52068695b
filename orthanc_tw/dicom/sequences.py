"""Main DICOM sequences as the "full" JSON format of the REST API.

Rare in ingest and small (`scan.MAX_SEQUENCE_BYTES`), so pydicom parses them.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.scan import UNDEFINED, Layout
from orthanc_tw.dicom.tags import UserDictionary, format_tag, is_private, keyword, vr_of
from orthanc_tw.dicom.values import main_tag_of, text_of
from orthanc_tw.model.json_types import JsonValue

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

log = logging.getLogger(__name__)


def sequence_as_json(
    raw: bytes,
    layout: Layout,
    charset: CharacterSet,
    dictionary: UserDictionary,
    *,
    is_undefined_length: bool,
) -> list[JsonValue] | None:
    """Items of a sequence, each ``{"gggg,eeee": {"Name", "Type", "Value"}}``.

    :param raw: the value of the sequence, with its delimiter if it has one
    :param charset: that of the data set around it, for items that name none
    :return: None if pydicom cannot parse it
    """
    from pydicom.filereader import read_sequence  # rare, and not small

    try:
        items = read_sequence(
            BytesIO(raw),
            not layout.is_explicit,
            layout.is_little_endian,
            UNDEFINED if is_undefined_length else len(raw),
            "iso8859",
        )
        return _items(items, layout, charset, dictionary)
    except Exception as error:
        # Nothing checked the content of the sequence, and pydicom raises anything on bad input;
        # an instance is not refused for a sequence that the index would like to keep.
        log.warning("A main DICOM sequence cannot be parsed: %s", error)
        return None


def _items(
    items: Any, layout: Layout, charset: CharacterSet, dictionary: UserDictionary
) -> list[JsonValue]:
    return [_item(item, layout, charset, dictionary) for item in items]


def _item(
    item: Dataset, layout: Layout, charset: CharacterSet, dictionary: UserDictionary
) -> dict[str, JsonValue]:
    own = item.get_item(0x00080005) if 0x00080005 in item else None
    if own is not None and isinstance(own.value, bytes):
        charset = charsets_of(own.value.decode("ascii", "replace"), Encoding.ASCII)
    result: dict[str, JsonValue] = {}
    for tag in sorted(item.keys()):
        raw = item.get_item(tag)
        vr = raw.VR or vr_of(int(tag), dictionary)
        name = keyword(int(tag), dictionary)
        entry: dict[str, JsonValue] = {"Name": name}
        if is_private(int(tag)) and raw.tag.element > 0xFF:
            creator = item.get(raw.tag.private_creator)
            if creator is not None and isinstance(creator.value, str):
                entry["PrivateCreator"] = creator.value
        if vr == "SQ":
            entry["Type"] = "Sequence"
            entry["Value"] = _items(item[tag].value, layout, charset, dictionary)
        else:
            text = None
            if isinstance(raw.value, bytes):
                text = text_of(
                    int(tag),
                    vr,
                    raw.value,
                    charset,
                    is_little_endian=layout.is_little_endian,
                    dictionary=dictionary,
                )
            elif raw.value is None:
                text = ""
            kept = main_tag_of(text)
            if text is not None and kept is None:
                entry["Type"] = "TooLong"
            else:
                entry["Type"] = "Null" if text is None else "String"
            entry["Value"] = kept
        result[format_tag(int(tag))] = entry
    return result
