"""Main DICOM tags of a resource in the formats of the REST API.

``MainDicomTags``, ``PatientMainDicomTags`` and ``RequestedTags`` of a resource, from what the
index holds: text by tag, sequences in the ``full`` format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orthanc_tw.dicom.shared_tags import convert
from orthanc_tw.dicom.tag_json import TagFormat, add_tag
from orthanc_tw.dicom.tag_names import tag_name
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.model.json_types import JsonObject, JsonValue

_TEXT = frozenset({str})


def format_main_tags(
    tags: Mapping[str, JsonValue],
    tag_format: TagFormat = TagFormat.SIMPLIFY,
    dictionary: UserDictionary | None = None,
) -> JsonObject:
    """Tags of the index as JSON.

    :param tags: ``{"gggg,eeee": value}``; text; None for a tag that no file has (null); a
        sequence as the list of its items, or its whole entry, in the ``full`` format
    :param dictionary: elements that the configuration adds
    :param tag_format: resources are shown in `TagFormat.SIMPLIFY` unless asked otherwise
    """
    if (
        tag_format is TagFormat.SIMPLIFY
        and not dictionary
        and _TEXT.issuperset(map(type, tags.values()))
    ):
        return plain_tags(tags)
    target: JsonObject = {}
    for key, value in sorted(tags.items()):
        tag = int(key.replace(",", ""), 16)
        kind = "Null" if value is None else "String"
        if isinstance(value, Mapping):
            value = value["Value"]
        if isinstance(value, Sequence) and not isinstance(value, str):
            kind = "Sequence"
            value = [convert(item, tag_format) for item in value if isinstance(item, Mapping)]
        known = dictionary.by_tag.get(tag) if dictionary else None
        creator = known.creator if known else None
        add_tag(target, tag, creator, kind, value, tag_format, dictionary)
    return target


def plain_tags(tags: Mapping[str, JsonValue]) -> JsonObject:
    """`format_main_tags` of text in `TagFormat.SIMPLIFY` without a dictionary.

    That is nearly all tags of nearly all lists.
    """
    names = _NAMES
    return {names[key]: value for key, value in tags.items()}


class _Names(dict[str, str]):
    """Names by ``gggg,eeee``, filled as they are asked for. A look-up is no call."""

    def __missing__(self, key: str) -> str:
        if len(self) > _MOST_NAMES:
            self.clear()
        self[key] = name = tag_name(int(key.replace(",", ""), 16))
        return name


_MOST_NAMES = 4096
_NAMES = _Names()
