"""What the metrics say of the transfers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orthanc_tw.core.transfers.concatenation import InflatedFiles
from orthanc_tw.metrics import BYTES_PER_MB


@dataclass(slots=True)
class PushFigures:
    """Counted since the start. Reactor thread.

    :ivar reception_ms: time that receiving buckets took; several at a time count each
    """

    created: int = 0
    committed: int = 0
    aborted: int = 0
    received_bytes: int = 0
    reception_ms: float = 0
    commit_ms: float = 0


def transfer_values(
    figures: PushFigures, available: Callable[[], int], cache: InflatedFiles
) -> Callable[[], Mapping[str, float]]:
    """A source of `orthanc_tw.metrics.Metrics`.

    :param available: how many push transactions there are
    """

    def values() -> Mapping[str, float]:
        prefix = "orthanc_transfers_"
        return {
            f"{prefix}used_cache_size": cache.used_bytes / BYTES_PER_MB,
            f"{prefix}cache_hit_count": cache.hits,
            f"{prefix}cache_miss_count": cache.misses,
            f"{prefix}available_push_count": available(),
            f"{prefix}created_push_count": figures.created,
            f"{prefix}committed_push_count": figures.committed,
            f"{prefix}aborted_push_count": figures.aborted,
            f"{prefix}push_total_received_bytes_count": figures.received_bytes,
            f"{prefix}push_total_time_spent_in_reception_ms": figures.reception_ms,
            f"{prefix}push_total_time_spent_in_commit_ms": figures.commit_ms,
        }

    return values
