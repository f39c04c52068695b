"""Modules of the levels (``/studies/{id}/module``...): which tags belong to them.

Patient module (PS3.3 C.7.1.1), General Study (C.7.2.1), General Series (C.7.3.1) and SOP Common
(C.12.1), with the attributes that Orthanc knows of them.
"""

from __future__ import annotations

from typing import BinaryIO

from orthanc_tw.dicom.document import Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, item_json
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType

_MODULES = {
    ResourceType.PATIENT: """
        0008,1120 0010,0010 0010,0020 0010,0021 0010,0024 0010,0030 0010,0032 0010,0040 0010,1000
        0010,1001 0010,1002 0010,2160 0010,2201 0010,2202 0010,2292 0010,2293 0010,2294 0010,2297
        0010,2298 0010,2299 0010,4000 0012,0062 0012,0063 0012,0064
    """,
    ResourceType.STUDY: """
        0008,0020 0008,0030 0008,0050 0008,0051 0008,0090 0008,0096 0008,1030 0008,1032 0008,1048
        0008,1049 0008,1060 0008,1062 0008,1110 0020,000D 0020,0010 0032,1034 0040,1012
    """,
    ResourceType.SERIES: """
        0008,0021 0008,0031 0008,0060 0008,103E 0008,103F 0008,1050 0008,1052 0008,1070 0008,1072
        0008,1111 0008,1250 0010,2210 0018,0015 0018,1030 0018,5100 0020,000E 0020,0011 0020,0060
        0028,0108 0040,0244 0040,0245 0040,0253 0040,0254 0040,0260 0040,0275 0040,0280
    """,
    ResourceType.INSTANCE: """
        0008,0005 0008,0012 0008,0013 0008,0014 0008,0016 0008,0018 0008,001A 0008,001B 0008,0110
        0008,0201 0018,A001 0020,0013 0028,0303 0040,A390 0100,0410 0100,0420 0100,0424 0100,0426
        0400,0500 0400,0561 4FFE,0001
    """,
}
_TAGS = {
    level: frozenset(int(tag.replace(",", ""), 16) for tag in tags.split())
    for level, tags in _MODULES.items()
}


def module_tags(level: ResourceType) -> frozenset[int]:
    """Tags (``0xggggeeee``) of the module of a level."""
    return _TAGS[level]


def module_json(
    file: BinaryIO,
    level: ResourceType,
    tag_format: TagFormat = TagFormat.FULL,
    options: TagOptions | None = None,
) -> JsonObject:
    """The module of a level in one instance; ``/module`` shows that of any of the resource.

    Blocks on the file: call it in a thread.

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
    """
    options = options or TagOptions()
    document = read_document(file, stop_at_pixels=True, dictionary=options.dictionary)
    try:
        dataset = document.dataset
        tags = _TAGS[level]
        module = Item(
            {tag: element for tag, element in dataset.elements.items() if tag in tags},
            dataset.little_endian,
            dataset.specific_character_set,
        )
        return item_json(document, module, tag_format, options)
    finally:
        document.close()
