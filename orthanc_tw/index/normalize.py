"""How values are normalized for matching, and which tags are kept that way.

Whoever builds a `TagConstraint` with ``case_sensitive`` false passes its values through
`normalize` first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from orthanc_tw.model.levels import ResourceType

_ACCENTS = frozenset(chr(c) for c in range(0x0300, 0x0370))

#: Tags of each level that have a row in ``identifiers``: the unique keys and what clinical
#: queries name. Instances, which are most of the rows, have but their UID.
IDENTIFIER_TAGS: Mapping[ResourceType, frozenset[str]] = {
    ResourceType.PATIENT: frozenset({"0010,0010", "0010,0020", "0010,0030"}),
    ResourceType.STUDY: frozenset(
        {"0008,0020", "0008,0050", "0008,0080", "0008,0090", "0008,1030", "0020,000d"}
    ),
    ResourceType.SERIES: frozenset({"0008,0060", "0008,103e", "0020,000e"}),
    ResourceType.INSTANCE: frozenset({"0008,0018"}),
}

#: Tags of free text that also have a trigram index, and their slot in its row number.
TRIGRAM_SLOTS: Mapping[str, int] = {
    "0010,0010": 0,
    "0010,0020": 1,
    "0008,0050": 2,
    "0008,0080": 3,
    "0008,0090": 4,
    "0008,1030": 5,
    "0008,103e": 6,
}

#: Row number of a trigram row: ``internal_id * TRIGRAM_STRIDE + slot``.
TRIGRAM_STRIDE = 16


def normalize(text: str) -> str:
    """Upper case, Latin, Greek and Cyrillic letters without their accents; spaces are kept.

    Marks of other scripts stay: a kana without its voicing mark is another word.
    """
    if text.isascii():
        return text.upper()
    decomposed = unicodedata.normalize("NFD", text)
    stripped = "".join(c for c in decomposed if c not in _ACCENTS)
    return unicodedata.normalize("NFC", stripped).upper()


def tag_number(tag: str) -> int:
    """``gggg,eeee`` as group * 65536 + element."""
    return int(tag[:4], 16) << 16 | int(tag[5:9], 16)
