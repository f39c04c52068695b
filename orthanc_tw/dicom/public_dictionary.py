"""The data dictionary of PS3.6 and its UIDs: pydicom's tables, without the rest of pydicom.

``import pydicom`` brings its pixel handlers, with them NumPy and Pillow where they are
installed, and an HTTP client: 30 MB and a third of the start of a server that may never need
them. The two modules of tables import nothing, so they are loaded by their files.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import cast

#: VR, VM, name, "Retired" or "", keyword.
Entry = tuple[str, str, str, str, str]


def entry(tag: int) -> Entry | None:
    """The entry of a public element, also of one of a repeating group (``60xx``); None if unknown.

    Alternatives of VR are joined as in ``US or SS``.
    """
    found = cast("Entry | None", _tables().DicomDictionary.get(tag))
    if found is None and not tag & 0x10000:
        for value, mask, repeated in _repeaters():
            if (tag ^ value) & mask == 0:
                return repeated
    return found


def tag_of_keyword(keyword: str) -> int | None:
    """The element of that keyword, of a repeating group the first; None if there is none."""
    return _keywords().get(keyword)


def uid_name(uid: str) -> str:
    """The name that PS3.6 annex A gives a UID, or the UID."""
    return uid_entry(uid)[0] or uid


def uid_entry(uid: str) -> tuple[str, str]:
    """Name and type (``Transfer Syntax``...) of a UID, both empty if it is unknown."""
    found = _uids().UID_dictionary.get(uid, ("", ""))
    return found[0], found[1]


@lru_cache(maxsize=1)
def _tables() -> ModuleType:
    return _module("_dicom_dict")


@lru_cache(maxsize=1)
def _uids() -> ModuleType:
    return _module("_uid_dict")


@lru_cache(maxsize=1)
def _repeaters() -> tuple[tuple[int, int, Entry], ...]:
    """Each with the digits that are given, and the mask of these digits."""
    return tuple(
        (
            int(pattern.replace("x", "0"), 16),
            int("".join("0" if digit == "x" else "F" for digit in pattern), 16),
            found,
        )
        for pattern, found in _tables().RepeatersDictionary.items()
    )


@lru_cache(maxsize=1)
def _keywords() -> dict[str, int]:
    """A keyword of a single element comes before the same one of a repeating group."""
    repeated = {found[4]: value for value, _, found in _repeaters()}
    return {**repeated, **{found[4]: tag for tag, found in _tables().DicomDictionary.items()}}


def _module(name: str) -> ModuleType:
    package = find_spec("pydicom")  # does not import it
    places = package.submodule_search_locations if package else None
    spec = PathFinder.find_spec(name, places) if places else None
    if spec is None or spec.loader is None:
        # Another layout: then it comes with all else
        return importlib.import_module(f"pydicom.{name}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
