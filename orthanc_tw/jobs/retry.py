"""When a job whose step has failed for what may pass is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from orthanc_tw.model.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with jitter.

    :ivar maximum_attempts: how often a job is tried altogether; 1 is no second try
    :ivar initial_delay_s: before the second try, seconds; doubled for each further one
    :ivar maximum_delay_s: what doubling ends at, seconds
    """

    maximum_attempts: int = 5
    initial_delay_s: float = 1.0
    maximum_delay_s: float = 300.0

    @property
    def is_enabled(self) -> bool:
        """Whether there is a second try at all."""
        return self.maximum_attempts > 1

    def delay_s(self, attempts: int, chance: float) -> float:
        """Seconds to wait after so many tries (at least 1).

        :param chance: random, 0 to 1: half of the delay is jitter, so that jobs that failed
            together do not come back together
        """
        # 2.0 ** 1024 would overflow.
        doubled = self.initial_delay_s * 2.0 ** min(attempts - 1, 64)
        return min(doubled, self.maximum_delay_s) * (0.5 + 0.5 * chance)

    def to_json(self) -> JsonObject:
        """As it is saved."""
        return {
            "MaximumAttempts": self.maximum_attempts,
            "InitialDelay": self.initial_delay_s,
            "MaximumDelay": self.maximum_delay_s,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> RetryPolicy:
        """Of an object whose values were checked; what it does not name has its default."""
        values = cast("Mapping[str, float]", saved)
        return cls(
            int(values.get("MaximumAttempts", DEFAULT_RETRY.maximum_attempts)),
            float(values.get("InitialDelay", DEFAULT_RETRY.initial_delay_s)),
            float(values.get("MaximumDelay", DEFAULT_RETRY.maximum_delay_s)),
        )


DEFAULT_RETRY: Final = RetryPolicy()
