"""What a modification does to an instance, tag by tag: the answer of a dry run."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT, REMOVED, CLEARED, REPLACED = "Kept", "Removed", "Cleared", "Replaced"
OUTCOMES = (REMOVED, CLEARED, REPLACED, KEPT)


@dataclass(slots=True)
class Report:
    """Outcomes by the path of an element: ``0040,0275[*].0040,0007``.

    An element that is kept in some instances and changed in others counts for each.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, name: str, outcome: str, number: int = 1) -> None:
        """Count elements.

        :param name: of the element, as the REST API has it
        """
        key = (outcome, path)
        self.counts[key] = self.counts.get(key, 0) + number
        self.names[path] = name
