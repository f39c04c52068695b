"""Main DICOM tags of the index in the three formats of the REST API."""

from __future__ import annotations

from orthanc_tw.dicom.tag_json import TagFormat, add_tag
from orthanc_tw.dicom.tags import parse_tag
from orthanc_tw.index.gateway import Tags
from orthanc_tw.model.json_types import JsonObject


def format_main_tags(tags: Tags, tag_format: TagFormat) -> JsonObject:
    """``{"gggg,eeee": text}`` as ``MainDicomTags`` of an answer."""
    answer: JsonObject = {}
    for tag, value in sorted(tags.items()):
        add_tag(answer, parse_tag(tag), None, "String", value, tag_format)
    return answer
