"""Changes by path, arranged as the sequences that lead to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orthanc_tw.dicom.modification.paths import TagPath
from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.dicom.modification.profile import Action
from orthanc_tw.model.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class NewValue:
    """The value that an element is to get."""

    value: JsonValue


Edit = Action | NewValue


@dataclass(slots=True)
class Edits:
    """What is to be done in one item, or in the data set.

    :ivar leaves: by element of the item
    :ivar steps: by sequence: for the item of that index, or for each (None)
    """

    leaves: dict[int, Edit] = field(default_factory=dict)
    steps: dict[int, list[tuple[int | None, Edits]]] = field(default_factory=dict)

    @classmethod
    def of(cls, modification: Modification) -> Edits | None:
        """Those of all paths that lead into sequences; None if there are none."""
        edits = cls()
        for path in modification.removed:
            edits._add(path, Action.REMOVE)
        for path in modification.kept:
            edits._add(path, Action.KEEP)
        for replacement in modification.replacements:
            edits._add(replacement.path, NewValue(replacement.value))
        return edits if edits.steps else None

    def _add(self, path: TagPath, edit: Edit) -> None:
        if path.is_top:
            return
        place = self
        for tag, index in path.steps:
            below = Edits()
            place.steps.setdefault(tag, []).append((index, below))
            place = below
        place.leaves[path.tag] = edit

    def below(self, tag: int, index: int) -> Edits | None:
        """What is to be done in an item of a sequence; None if nothing."""
        found = [edits for at, edits in self.steps.get(tag, ()) if at in (None, index)]
        if not found:
            return None
        return found[0] if len(found) == 1 else _merged(found)

    def last_index(self, tag: int) -> int:
        """The largest index of an item of that sequence that gets a new value, -1 if none."""
        return max(
            (at for at, edits in self.steps.get(tag, ()) if at is not None and edits.sets),
            default=-1,
        )

    @property
    def sets(self) -> bool:
        """Whether some element gets a new value."""
        return any(isinstance(edit, NewValue) for edit in self.leaves.values()) or any(
            edits.sets for steps in self.steps.values() for _, edits in steps
        )

    def saves(self, tag: int) -> bool:
        """Whether something in that sequence is kept or set, whatever else becomes of it."""
        return any(
            any(edit is not Action.REMOVE for edit in edits.leaves.values())
            or any(edits.saves(nested) for nested in edits.steps)
            for _, edits in self.steps.get(tag, ())
        )


def _merged(found: Iterable[Edits]) -> Edits:
    result = Edits()
    for edits in found:
        result.leaves.update(edits.leaves)
        for tag, steps in edits.steps.items():
            result.steps.setdefault(tag, []).extend(steps)
    return result
