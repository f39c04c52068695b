"""The names that a server gives to those it anonymizes: ``Anonymized1``, ``Anonymized2``..."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from orthanc_tw.index.gateway import Index, WriteTransaction

_SEQUENCE = "AnonymizationSequence"


def next_anonymized_name(index: Index) -> Deferred[str]:
    """The next name; none is given twice, whatever happens. Reactor thread."""

    def write(tx: WriteTransaction) -> str:
        number = int(tx.global_property(_SEQUENCE) or 0) + 1
        tx.set_global_property(_SEQUENCE, str(number))
        return f"Anonymized{number}"

    return index.write(write)
