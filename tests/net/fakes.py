"""A pool of associations in memory, whose answers a test scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed

from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.values import Dataset, InstanceFile, MoveOriginator, Reply

EXPLICIT = "1.2.840.10008.1.2.1"
MODALITY = RemoteModality("REMOTE", "localhost", 104)


class FakeAssociation:
    """A `ScuAssociation`. ``log`` of the pool tells what it was asked.

    Everything is answered by ``pool.replies``, else with success.
    """

    def __init__(self, pool: FakePool, proposals: Sequence[Proposal]) -> None:
        self.pool = pool
        self.id = len(pool.opened)
        self.is_open = True
        self.contexts = {
            (proposal.abstract_syntax, syntax)
            for proposal in proposals
            for syntax in proposal.transfer_syntaxes
            if pool.accepts(proposal.abstract_syntax, syntax)
        }

    def accepted(self, abstract_syntax: str) -> Sequence[str]:
        return [syntax for uid, syntax in self.contexts if uid == abstract_syntax]

    def echo(self) -> Deferred[Reply]:
        return self.pool.answer("echo")

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        return self.pool.answer("store", instance, originator)

    def find(
        self,
        sop_class_uid: str,
        identifier: Callable[[str], bytes],
        answer: Callable[[Dataset], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        def found() -> Deferred[Reply]:
            for content in self.pool.found.pop(0) if self.pool.found else ():
                answer(Dataset(EXPLICIT, content))
            return self.pool.answer("find", sop_class_uid, identifier(EXPLICIT))

        return maybeDeferred(found)

    def move(
        self,
        sop_class_uid: str,
        destination: str,
        identifier: Callable[[str], bytes],
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        self.pool.during(progress)
        return self.pool.answer("move", sop_class_uid, destination, identifier(EXPLICIT))

    def get(
        self,
        sop_class_uid: str,
        identifier: Callable[[str], bytes],
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        self.pool.during(progress)
        return self.pool.answer("get", sop_class_uid, identifier(EXPLICIT))

    def action(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        action_type_id: int,
        information: Callable[[str], bytes] | None,
    ) -> Deferred[Reply]:
        assert information is not None
        return self.pool.answer("action", sop_class_uid, information(EXPLICIT))


class FakePool:
    """An `AssociationPool`.

    :ivar log: operations, with what they were given
    :ivar opened: the proposals of each association, with the modality
    :ivar replies: of the next operations: responses, errors or Deferreds
    :ivar found: answers of the next C-FINDs
    :ivar refused: what opening the next associations fails with
    """

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.opened: list[tuple[RemoteModality, Sequence[Proposal]]] = []
        self.given_back = 0
        self.replies: list[Reply | Exception | Deferred[Reply]] = []
        self.found: list[Sequence[bytes]] = []
        self.refused: list[Exception] = []
        self.accepts: Callable[[str, str], bool] = lambda uid, syntax: True
        self.during: Callable[[Callable[[Reply], object]], object] = lambda progress: None

    def acquire(
        self,
        modality: RemoteModality,
        proposals: Sequence[Proposal],
        *,
        timeout_s: int | None = None,
        local_aet: str = "",
    ) -> Deferred[Any]:
        if self.refused:
            return fail(self.refused.pop(0))
        self.opened.append((modality, proposals))
        return succeed(FakeAssociation(self, proposals))

    def give_back(self, association: Any) -> None:
        self.given_back += 1

    def close(self) -> Deferred[None]:
        return succeed(None)

    def answer(self, *asked: Any) -> Deferred[Reply]:
        self.log.append(asked)
        reply = self.replies.pop(0) if self.replies else Reply(0)
        if isinstance(reply, Deferred):
            return reply
        return fail(reply) if isinstance(reply, Exception) else succeed(reply)
