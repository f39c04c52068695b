r"""How a value of a query matches text: PS3.4 C.2.2.2 as Orthanc reads it.

Empty: universal. ``*`` and ``?``: wildcards, where the VR allows them. ``\\``: a list of
values. ``-`` in a date or time: a range, inclusive. Anything else: equality.
"""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_tw.dicom.tags import format_tag, vr_of
from orthanc_tw.index.gateway import TagConstraint
from orthanc_tw.index.normalize import normalize
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType

_RANGES = frozenset(("DA", "DT", "TM"))
_NO_WILDCARDS = frozenset(
    (
        *("AS", "AT", "DA", "DS", "DT", "FD", "FL", "IS", "OB", "OD", "OF", "OL", "OV", "OW"),
        *("SL", "SS", "SV", "TM", "UI", "UL", "US", "UV"),
    )
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One value of a query; exactly one of the fields is set (or ``lower`` and ``upper``).

    Values are normalized unless the query is case-sensitive.
    """

    case_sensitive: bool
    values: tuple[str, ...] = ()
    wildcard: str | None = None
    lower: str | None = None
    upper: str | None = None

    def matches(self, text: str) -> bool:
        """Whether a text that is there matches (an absent one never does)."""
        if not self.case_sensitive:
            text = normalize(text)
        if self.wildcard is not None:
            return matches_wildcard(self.wildcard, text)
        if self.values:
            return text in self.values
        return (self.lower is None or text >= self.lower) and (
            self.upper is None or text <= self.upper
        )

    def on(self, tag: str, level: ResourceType) -> TagConstraint:
        """The same as a constraint that the index understands."""
        return TagConstraint(
            tag,
            level,
            self.case_sensitive,
            self.values,
            self.wildcard,
            self.lower,
            self.upper,
        )


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether ``*`` (any characters) and ``?`` (one) of a pattern can stand for ``text``.

    Steps back to the last star only, which is enough: the time is that of the product of the
    lengths at worst, where a regular expression may take for ever.
    """
    position, place = 0, 0
    star, mark = -1, 0
    while position < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, mark = place, position
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[position]):
            place += 1
            position += 1
        elif star >= 0:
            mark += 1
            place, position = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[place:])


def tag_matcher(tag: int, value: str, *, case_sensitive: bool) -> Matcher | None:
    """Matcher of one tag of a query; None if it matches everything.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE for wildcards on a VR that has none
    """
    vr = vr_of(tag)
    if vr in _RANGES and "-" in value:
        lower, _, upper = value.partition("-")
        if not lower and not upper:
            return None
        return Matcher(case_sensitive, lower=lower or None, upper=upper or None)
    if vr in _NO_WILDCARDS and "\\" not in value and ("*" in value or "?" in value):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f"Wildcards are not allowed on tag {format_tag(tag)}",
        )
    return text_matcher(value, case_sensitive=case_sensitive)


def list_matcher(value: str, *, case_sensitive: bool) -> Matcher | None:
    """Matcher of a list of values without wildcards; None if it matches everything."""
    if not value:
        return None
    values = value.split("\\")
    return Matcher(
        case_sensitive, values=tuple(values if case_sensitive else map(normalize, values))
    )


def text_matcher(value: str, *, case_sensitive: bool) -> Matcher | None:
    """Matcher of free text: a list, wildcards, or equality; None if it matches everything."""
    if value and "\\" not in value and ("*" in value or "?" in value):
        return Matcher(case_sensitive, wildcard=value if case_sensitive else normalize(value))
    return list_matcher(value, case_sensitive=case_sensitive)
