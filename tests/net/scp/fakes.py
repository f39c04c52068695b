"""The other end of an association, in memory: requests of it and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset as PydicomDataset
from twisted.internet.defer import Deferred, fail, succeed

from orthanc_tw.net.datasets import decode, encode
from orthanc_tw.net.errors import NoPresentationContext
from orthanc_tw.net.scp.sop_classes import STUDY_ROOT_FIND
from orthanc_tw.net.service import ServiceRequest
from orthanc_tw.net.values import AssociationInfo, Command, InstanceFile, MoveOriginator, Reply

EXPLICIT = "1.2.840.10008.1.2.1"


def dataset(**values: Any) -> PydicomDataset:
    """A data set of these keywords."""
    made = PydicomDataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def request(
    identifier: PydicomDataset | None,
    command: Command = Command.C_FIND,
    *,
    sop_class: str = STUDY_ROOT_FIND,
    syntax: str = EXPLICIT,
    caller: str = "CALLER",
    **fields: Any,
) -> ServiceRequest:
    """A request as the transport hands it over."""
    return ServiceRequest(
        command,
        fields.pop("association", AssociationInfo(caller, "ORTHANC", "10.0.0.7")),
        fields.pop("message_id", 5),
        sop_class,
        fields.pop("sop_instance", ""),
        syntax,
        None if identifier is None else encode(identifier, syntax),
        **fields,
    )


class FakeResponder:
    """Keeps what is answered.

    :ivar replies: pending responses
    :ivar stored: instances of C-STORE sub-operations, with their bytes
    :ivar statuses: what a C-STORE is answered, by SOP instance UID; 0 otherwise
    :ivar accepted: classes and syntaxes that `store` has a context for; None: all
    """

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.stored: list[tuple[InstanceFile, bytes]] = []
        self.statuses: dict[str, int] = {}
        self.accepted: set[tuple[str, str]] | None = None
        self.is_cancelled = False
        self.cancel_after: int | None = None
        self.blocked: Deferred[None] | None = None
        self._calls: list[Callable[[], object]] = []

    @property
    def answers(self) -> list[PydicomDataset]:
        """Data sets of the pending responses."""
        return [decode(reply.dataset) for reply in self.replies if reply.dataset is not None]

    def on_cancel(self, call: Callable[[], object]) -> None:
        """As the interface says."""
        if self.is_cancelled:
            call()
        else:
            self._calls.append(call)

    def cancel(self) -> None:
        """A C-CANCEL comes."""
        self.is_cancelled = True
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def pending(self, reply: Reply) -> Deferred[None]:
        """Keep a response; `cancel_after` so many."""
        self.replies.append(reply)
        if len(self.replies) == self.cancel_after:
            self.cancel()
        return succeed(None) if self.blocked is None else self.blocked

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """Keep an instance."""
        if not self.accepts(instance.sop_class_uid, instance.transfer_syntax):
            return fail(NoPresentationContext("none"))
        with instance.open() as file:
            self.stored.append((instance, file.read()))
        return succeed(Reply(self.statuses.get(instance.sop_instance_uid, 0)))

    def accepts(self, sop_class_uid: str, transfer_syntax: str) -> bool:
        """Whether there is a context."""
        return self.accepted is None or (sop_class_uid, transfer_syntax) in self.accepted
