"""Private data elements: names and value representations by private creator.

Owns the reading of ``data/private.dic``, DCMTK's dictionary (see the licence beside it),
whose names are the ones that Orthanc's clients know. A definition is
``(gggg,"CREATOR",ee)`` for an element of any reserved block (PS3.5 section 7.8.1),
``(gggg,"CREATOR",eeee)`` for one element, and ``(gggg-o-gggg,...)`` for odd groups of a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_DEFINITION = re.compile(
    r'\(([0-9a-f]{4})(?:-[ou]-([0-9a-f]{4}))?,"([^"]*)",([0-9a-f]{2,4})\)\t(\w\w)\t([^\t]+)\t',
    re.IGNORECASE,
)


#: The first element that a private creator can reserve a block of (PS3.5 section 7.8.1).
_FIRST_BLOCK = 0x1000


@dataclass(frozen=True, slots=True)
class PrivateEntry:
    """What is known of a private element."""

    vr: str
    name: str


class PrivateDictionary:
    """Look-up of private elements; made once, immutable, for any thread.

    :param text: the definitions
    :param fallback: whether what they lack is looked up in the dictionary of the package
    :ivar tags: elements of one group by their names, in the first block that can be reserved
    """

    def __init__(self, text: str, *, fallback: bool = False) -> None:
        self._fallback = fallback
        self.tags: dict[str, int] = {}
        self._exact: dict[tuple[str, int, int], PrivateEntry] = {}
        self._in_range: dict[tuple[str, int], list[tuple[int, int, PrivateEntry]]] = {}
        for match in _DEFINITION.finditer(text):
            first, last, creator, element, vr, name = match.groups()
            # Two digits: the element within its block. Four: the element itself
            number = int(element, 16)
            # One name of the dictionary has a space by mistake
            entry = PrivateEntry(vr, name.replace(" ", ""))
            if last is None:
                group = int(first, 16)
                self._exact.setdefault((creator, group, number), entry)
                place = number if number > 0xFF else _FIRST_BLOCK | number
                self.tags.setdefault(entry.name, group << 16 | place)
            else:
                self._in_range.setdefault((creator, number), []).append(
                    (int(first, 16), int(last, 16), entry)
                )

    def __len__(self) -> int:
        return len(self._exact) + sum(map(len, self._in_range.values()))

    def find(self, tag: int, creator: str) -> PrivateEntry | None:
        """The entry of element ``tag`` of that creator, or None."""
        group, element = tag >> 16, tag & 0xFFFF
        for number in (element, element & 0xFF):
            entry = self._exact.get((creator, group, number))
            if entry is not None:
                return entry
            for first, last, entry in self._in_range.get((creator, number), ()):
                if first <= group <= last:
                    return entry
        return private_dictionary().find(tag, creator) if self._fallback else None


@lru_cache(maxsize=1)
def private_dictionary() -> PrivateDictionary:
    """The dictionary of the package; read from disk the first time (some 10 ms)."""
    data = files("orthanc_tw.dicom") / "data" / "private.dic"
    return PrivateDictionary(data.read_text(encoding="latin-1"))
