"""What a step of `WriteTransaction.take_back` has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Result of `WriteTransaction.take_back`.

    :ivar removed: storage UUIDs that no row names any more
    :ivar is_over: whether nothing is left of the transfer
    """

    removed: Sequence[str]
    is_over: bool
