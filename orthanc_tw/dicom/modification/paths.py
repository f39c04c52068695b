"""Elements by path (``dcmodify``'s syntax) and by range, as requests name them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError

_STEP = re.compile(r"(.+?)\[(\*|[0-9]{1,9})\]")
_RANGE = re.compile(r"([0-9a-f]{4}),?([0-9a-f]{4})-([0-9a-f]{4}),?([0-9a-f]{4})", re.IGNORECASE)
_MASK = re.compile(r"([0-9a-fx]{4})[,-]?([0-9a-fx]{4})", re.IGNORECASE)
_MAX_DEPTH = 64
_NO_ENTRIES = UserDictionary()


@dataclass(frozen=True, slots=True)
class TagPath:
    """An element, in all or in one of the items of the sequences that lead to it.

    :ivar steps: ``(sequence, index)`` from the outermost on; index None is each item (``[*]``)
    :ivar tag: the element itself
    """

    steps: tuple[tuple[int, int | None], ...]
    tag: int

    @classmethod
    def of(cls, tag: int) -> TagPath:
        """The path of an element that is in no sequence."""
        return cls((), tag)

    @property
    def is_top(self) -> bool:
        """Whether it is an element of the data set itself."""
        return not self.steps

    def __str__(self) -> str:
        parts = [
            f"{format_tag(tag)}[{'*' if index is None else index}]" for tag, index in self.steps
        ]
        return ".".join([*parts, format_tag(self.tag)])


@dataclass(frozen=True, slots=True)
class TagRange:
    """Elements whose number lies between two, or that match digits (``50xx,xxxx``).

    :ivar first: for digits: those that are given, the others 0
    :ivar last: for digits: the same as ``first``
    :ivar mask: for digits: F where one is given; else None
    """

    first: int
    last: int
    mask: int | None = None

    def __contains__(self, tag: int) -> bool:
        if self.mask is not None:
            return tag & self.mask == self.first
        return self.first <= tag <= self.last

    def __str__(self) -> str:
        if self.mask is None:
            return f"{format_tag(self.first)}-{format_tag(self.last)}"
        digits = "".join(
            digit if given == "f" else "x"
            for digit, given in zip(f"{self.first:08x}", f"{self.mask:08x}", strict=True)
        )
        return f"{digits[:4]},{digits[4:]}"


def parse_path(text: str, dictionary: UserDictionary = _NO_ENTRIES) -> TagPath:
    """Parse ``PatientName``, ``0010,0010`` or ``OtherPatientIDsSequence[*].PatientID``.

    :raises OrthancError: UNKNOWN_DICOM_TAG with the name as details; PARAMETER_OUT_OF_RANGE
    """
    *before, last = text.split(".")
    if len(before) > _MAX_DEPTH:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Path is too deep: {text[:80]}...")
    steps: list[tuple[int, int | None]] = []
    for part in before:
        found = _STEP.fullmatch(part)
        if found is None:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE, f"Index of the item is missing in path: {text}"
            )
        index = None if found[2] == "*" else int(found[2])
        steps.append((parse_tag(found[1], dictionary), index))
    return TagPath(tuple(steps), parse_tag(last, dictionary))


def parse_range(text: str) -> TagRange | None:
    """Parse ``0010,2000-0010,2fff`` or ``50xx,xxxx``; None if it is no range.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if it ends before it begins
    """
    found = _RANGE.fullmatch(text)
    if found is not None:
        first, last = int(found[1] + found[2], 16), int(found[3] + found[4], 16)
        if last < first:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE, f"Range of tags ends before it begins: {text}"
            )
        return TagRange(first, last)
    masked = _MASK.fullmatch(text)
    if masked is None or "x" not in text.lower():
        return None
    digits = (masked[1] + masked[2]).lower()
    given = int(digits.replace("x", "0"), 16)
    mask = int("".join("0" if digit == "x" else "f" for digit in digits), 16)
    return TagRange(given, given, mask)
