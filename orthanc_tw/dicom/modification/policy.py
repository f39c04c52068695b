"""What becomes of each element of a data set: the profile, and what the request adds to it."""

from __future__ import annotations

from orthanc_tw.dicom.modification.iod_types import AS_ORTHANC, required_actions
from orthanc_tw.dicom.modification.paths import TagRange
from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.dicom.modification.profile import Action, profile
from orthanc_tw.dicom.tags import is_private

_CONTENT = 0x0040A730
_BLOCK_MASK = 0xFFFFFF00
_ODD_GROUP = 0x10000
# The ranges of the profile are in groups 50xx and 60xx
_REPEATING_GROUPS = 0x50000000


class Policy:
    """Answers the `Action` for an element by its tag. For one instance after the other.

    In an anonymization elements that are named without a path count at any depth, as those of
    the profile do; in a modification only those of the data set itself.

    :param sop_class: of the instance, for `Modification.conformant`
    """

    def __init__(self, modification: Modification, sop_class: str = "") -> None:
        self._modification = modification
        self.is_anonymization = modification.is_anonymization
        self._actions: dict[int, Action] = {}
        self._ranges: list[tuple[TagRange, Action]] = []
        if modification.edition is not None:
            basic = profile(modification.edition)
            self._actions.update(basic.actions)
            self._ranges.extend(basic.ranges)
        # What the request says comes before the profile, what it keeps before what it removes
        has_ranges = modification.kept_ranges or modification.removed_ranges
        for tag in list(self._actions) if has_ranges else ():
            if any(tag in kept for kept in modification.kept_ranges):
                self._actions[tag] = Action.KEEP
            elif any(tag in removed for removed in modification.removed_ranges):
                self._actions[tag] = Action.REMOVE
        self._actions.update(
            (path.tag, Action.REMOVE) for path in modification.removed if path.is_top
        )
        named = [path.tag for path in modification.kept if path.is_top]
        self._actions.update((tag, Action.KEEP) for tag in named)
        self._named = frozenset(named)
        # By whether it is in an item: what the profile may not take away as the request may
        self._required: list[dict[int, Action]] = []
        conformant = modification.conformant
        if conformant is None:
            conformant = sop_class not in AS_ORTHANC
        if conformant and modification.is_anonymization:
            top = required_actions(sop_class, nested=False)
            self._required = [{**top}, {}]
            if modification.conformant or _CONTENT in top:
                # Content sequences are in content sequences
                self._required[1].update(required_actions(sop_class, nested=True))
                self._required[1].update(top)
        self._decided: set[int] = set()
        if self._required and modification.edition is not None:
            basic = profile(modification.edition)
            self._decided.update(
                tag for tag, action in self._actions.items() if action is not basic.actions.get(tag)
            )
            self._decided.update(path.tag for path in modification.removed if path.is_top)
        # A private element means nothing without the element that reserves its block
        self._kept_blocks = frozenset(
            tag & _BLOCK_MASK for tag in named if is_private(tag) and tag & 0xFFFF >= 0x1000
        )

        # Most elements of most files: worth a shorter way
        self._is_plain = not (named or modification.kept_ranges or modification.removed_ranges)
        self._removes_private = modification.remove_private

    def action(self, tag: int, depth: int) -> Action:
        """What becomes of an element.

        :param depth: 0 for an element of the data set, more in items
        """
        if depth and not self.is_anonymization:
            if self._modification.remove_private and is_private(tag):
                return self._other(tag)
            return Action.KEEP
        found = self._actions.get(tag)
        if found is None:
            found = self._other(tag)
            self._actions[tag] = found
        elif self._required and tag not in self._decided:
            return self._required[depth > 0].get(tag, found)
        return found

    def is_kept_by_name(self, tag: int) -> bool:
        """Whether the request names the element as one to keep."""
        return tag in self._named or any(tag in kept for kept in self._modification.kept_ranges)

    def _other(self, tag: int) -> Action:
        modification = self._modification
        if self._is_plain:
            if tag & _ODD_GROUP:
                return Action.REMOVE if self._removes_private else Action.KEEP
            if tag < _REPEATING_GROUPS:
                return Action.KEEP
        if self.is_kept_by_name(tag):
            return Action.KEEP
        if any(tag in removed for removed in modification.removed_ranges):
            return Action.REMOVE
        if is_private(tag) and modification.remove_private:
            return Action.KEEP if self._reserves_kept_block(tag) else Action.REMOVE
        for tags, action in self._ranges:
            if tag in tags:
                return action
        return Action.KEEP

    def _reserves_kept_block(self, tag: int) -> bool:
        if not 0x10 <= tag & 0xFFFF <= 0xFF:
            return False
        block = tag & 0xFFFF0000 | (tag & 0xFF) << 8
        return block in self._kept_blocks or any(
            _meets(kept, block) for kept in self._modification.kept_ranges
        )


def _meets(tags: TagRange, block: int) -> bool:
    if tags.mask is not None:
        mask = tags.mask & _BLOCK_MASK
        return block & mask == tags.first & mask
    return tags.first <= block | 0xFF and block <= tags.last
