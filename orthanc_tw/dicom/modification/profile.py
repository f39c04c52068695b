"""The Basic Application Level Confidentiality Profile (PS3.15 table E.1-1), by edition.

Owns the reading of ``data/basic_profile.tsv``. The codes of the table are read as Orthanc
does, so that results compare: ``X`` and what begins with it removes, ``Z`` and ``D`` empty the
element, ``U`` gives a new UID, ``X/Z/U*`` keeps a sequence and replaces the UIDs in it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from orthanc_tw.dicom.modification.paths import TagRange, parse_range
from orthanc_tw.dicom.tags import parse_tag

EDITIONS = ("2008", "2017c", "2021b", "2023b")
DEFAULT_EDITION = "2023b"
# The table has X; Orthanc keeps what is drawn over the image, as the image itself
_KEPT_RANGES = frozenset(("60xx,3000",))


class Action(enum.Enum):
    """What becomes of an element."""

    KEEP = "keep"
    REMOVE = "remove"
    CLEAR = "clear"
    UID = "uid"
    DUMMY = "dummy"


@dataclass(frozen=True)
class Profile:
    """One edition of the table.

    :ivar actions: by tag, for elements at any depth; what is not named is kept
    :ivar ranges: elements of repeating groups
    """

    edition: str
    actions: Mapping[int, Action]
    ranges: tuple[tuple[TagRange, Action], ...]

    @property
    def method(self) -> str:
        """What DeidentificationMethod says of the profile."""
        suffix = "" if self.edition == "2008" else " Basic Profile"
        return f"PS 3.15-{self.edition} Table E.1-1{suffix}"


@lru_cache(maxsize=len(EDITIONS))
def profile(edition: str) -> Profile:
    """The table of that edition, one of `EDITIONS`; read from disk the first time (some ms).

    :raises ValueError: if the edition is not known
    """
    column = 2 + EDITIONS.index(edition)
    actions: dict[int, Action] = {}
    ranges: list[tuple[TagRange, Action]] = []
    data = files("orthanc_tw.dicom") / "data" / "basic_profile.tsv"
    for line in data.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        fields = line.split("\t")
        action = _action(fields[column])
        found = parse_range(fields[0])
        if found is None:
            if action is not Action.KEEP:
                actions[parse_tag(fields[0])] = action
        elif action is not Action.KEEP and fields[0] not in _KEPT_RANGES:
            ranges.append((found, action))
    return Profile(edition, actions, tuple(ranges))


def _action(code: str) -> Action:
    if code in ("-", "X/Z/U*"):
        return Action.KEEP
    if code.startswith("X"):
        return Action.REMOVE
    return Action.UID if code == "U" else Action.CLEAR
