"""DICOM tags as the REST API writes them: parsing, formatting, names, VRs.

A tag is an ``int``, ``0xggggeeee``. The dictionary is that of PS3.6; names are those of the
REST API, which differ from PS3.6 for retired elements, group lengths and private elements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from orthanc_tw.dicom.private_dictionary import PrivateDictionary
from orthanc_tw.dicom.public_dictionary import entry as public_entry
from orthanc_tw.dicom.public_dictionary import tag_of_keyword
from orthanc_tw.model.errors import ErrorCode, OrthancError

_NUMERIC = re.compile(r"([0-9a-fA-F]{4})[,-]?([0-9a-fA-F]{4})")
_RETIRED = "RETIRED_"
_RETIRED_NAMES = frozenset({0x00324000, 0x300A0082})
UNKNOWN_NAME = "Unknown Tag & Data"
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True, slots=True)
class DictionaryEntry:
    """An element that option ``Dictionary`` adds. ``creator`` is None for public elements."""

    tag: int
    vr: str
    name: str
    creator: str | None = None


@dataclass(frozen=True)
class UserDictionary:
    """What the configuration says of elements, looked up by tag and by name.

    :ivar entries: elements that it adds; of two with one tag the last counts
    :ivar private: vendors' elements, in place of those of the package; None for these
    :ivar default_creator: private creator of elements that name none (``DefaultPrivateCreator``)
    """

    entries: tuple[DictionaryEntry, ...] = ()
    private: PrivateDictionary | None = None
    default_creator: str = ""
    by_tag: Mapping[int, DictionaryEntry] = field(init=False)
    by_name: Mapping[str, DictionaryEntry] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_tag", {entry.tag: entry for entry in self.entries})
        object.__setattr__(self, "by_name", {entry.name: entry for entry in self.entries})

    def __bool__(self) -> bool:
        """Whether it says anything of how elements are read."""
        return bool(self.entries) or self.private is not None


_NO_ENTRIES = UserDictionary()


@lru_cache(maxsize=8192)
def format_tag(tag: int) -> str:
    """``gggg,eeee`` in lower case, as in the REST API."""
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


def is_private(tag: int) -> bool:
    """Say whether the group is odd (PS3.5 7.8)."""
    return bool(tag & 0x10000)


def parse_tag(text: str, dictionary: UserDictionary = _NO_ENTRIES) -> int:
    """Tag of ``PatientName``, ``0010,0010``, ``0010-0010`` or ``00100010``.

    :raises OrthancError: UNKNOWN_DICOM_TAG, with ``text`` as details
    """
    numeric = _NUMERIC.fullmatch(text)
    if numeric is not None:
        return int(numeric[1], 16) << 16 | int(numeric[2], 16)
    entry = dictionary.by_name.get(text)
    if entry is not None:
        return entry.tag
    found = _tag_of_name(text)
    if found is None and dictionary.private is not None:
        found = dictionary.private.tags.get(text)
    if found is None:
        raise OrthancError(ErrorCode.UNKNOWN_DICOM_TAG, text)
    return found


@lru_cache(maxsize=4096)
def _tag_of_name(name: str) -> int | None:
    name = name.removeprefix(_RETIRED)
    if not name:
        return None
    return tag_of_keyword(name)


def keyword(tag: int, dictionary: UserDictionary = _NO_ENTRIES) -> str:
    """Name of an element in the REST API, `UNKNOWN_NAME` if it has none.

    Names of vendors' private elements are not looked for: they depend on the private creator.
    """
    entry = dictionary.by_tag.get(tag)
    if entry is not None:
        return entry.name
    return _name_of_tag(tag)


@lru_cache(maxsize=8192)
def _name_of_tag(tag: int) -> str:
    if is_private(tag):
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "PrivateCreator"
        return "GenericGroupLength" if tag & 0xFFFF == 0 else UNKNOWN_NAME
    entry = public_entry(tag)
    name = entry[4] if entry else ""
    if name:
        return _RETIRED + name if tag in _RETIRED_NAMES else name
    return "GenericGroupLength" if tag & 0xFFFF == 0 else UNKNOWN_NAME


def vr_of(tag: int, dictionary: UserDictionary = _NO_ENTRIES) -> str:
    """VR that the dictionary gives an element of an implicit VR data set; ``UN`` if unknown.

    Of several (``US or SS``) it is the first.
    """
    entry = dictionary.by_tag.get(tag)
    if entry is not None:
        return entry.vr
    return _vr_of_tag(tag)


@lru_cache(maxsize=8192)
def _vr_of_tag(tag: int) -> str:
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    entry = public_entry(tag)
    return entry[0][:2] if entry else "UN"
