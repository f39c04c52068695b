"""Answers the requests of one association: finds the service, looks whether it is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed

from orthanc_tw.core.store import InstanceStore
from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet, DatasetSink
from orthanc_tw.net.operation import Observe, Operation
from orthanc_tw.net.scp.store import InstanceSink, Swallow
from orthanc_tw.net.service import Service
from orthanc_tw.net.session import Context, DatasetCollector, Session
from orthanc_tw.net.slots import Slots
from orthanc_tw.net.user_items import Malformed
from orthanc_tw.net.values import AssociationInfo, Command, Reply, Status

# Asynchronous operations are never agreed to, but some peers send ahead.
_MOST_AT_ONCE = 16
_REFUSED = Reply(Status.REFUSED_NOT_AUTHORIZED, "not allowed")


@dataclass(frozen=True, slots=True)
class Host:
    """What all associations share.

    :ivar store: where instances go, None: C-STORE is refused
    :ivar may_store: who may C-STORE
    :ivar services: all that is offered but C-STORE
    :ivar observe: told of each operation
    """

    store: InstanceStore | None
    may_store: Callable[[AssociationInfo], bool]
    services: Sequence[Service]
    slots: Slots
    observe: Observe
    in_thread: Callable[..., Deferred[Any]]


class Dispatcher:
    """`session.RequestReceiver` of one association."""

    def __init__(self, host: Host, info: AssociationInfo) -> None:
        self._host = host
        self._info = info
        self._session: Session | None = None
        self._running: dict[int, Operation] = {}

    def attach(self, session: Session) -> None:
        """The session whose requests these are."""
        self._session = session

    @property
    def is_busy(self) -> bool:
        """Whether the peer waits for an answer of ours."""
        return bool(self._running)

    def begin(self, context: Context, command: CommandSet) -> DatasetSink | None:
        """A request has begun."""
        field = dimse.number(command, dimse.COMMAND_FIELD)
        if field == Command.C_CANCEL:
            running = self._running.get(dimse.number(command, dimse.MESSAGE_ID_RESPONDED_TO, -1))
            if running is not None:
                running.cancel()
            return None
        message_id = dimse.number(command, dimse.MESSAGE_ID, -1)
        if message_id < 0 or message_id in self._running:
            raise Malformed(f"a request with the message number {message_id}")
        if len(self._running) >= _MOST_AT_ONCE:
            raise Malformed("too many requests at once")
        if not context.peer_requests and field != Command.N_EVENT_REPORT:
            raise Malformed("a request against the roles that were negotiated")
        assert self._session is not None
        operation = Operation(self._session, context, command, self._info, self._host.observe)
        if field == Command.C_STORE:
            return self._store(operation)
        has_dataset = dimse.number(command, dimse.DATA_SET_TYPE, dimse.NO_DATA_SET)
        return DatasetCollector(
            lambda content: self._dispatch(operation, content),
            is_expected=has_dataset != dimse.NO_DATA_SET,
        )

    def _store(self, operation: Operation) -> DatasetSink:
        host = self._host
        if dimse.number(operation.command, dimse.DATA_SET_TYPE) == dimse.NO_DATA_SET:
            raise Malformed("a C-STORE without data set")
        slots = host.slots.storage
        if host.store is None or not host.may_store(self._info):
            return Swallow(lambda: self._start(operation, "c-store", slots, _refuse))
        return InstanceSink(
            host.store,
            self._info,
            operation.context,
            operation.command,
            lambda run: self._start(operation, "c-store", slots, run),
        )

    def _dispatch(self, operation: Operation, content: bytes | None) -> None:
        if content is not None and self._session is not None:
            self._session.trace_identifier("received", operation.context.id, content)
        request = operation.request(content)
        if request is None:
            reply = Reply(Status.UNRECOGNIZED_OPERATION)
            self._start(operation, "unknown", None, lambda: succeed(reply))
            return
        service = self._service(operation.context, request.command)
        if service is None:
            reply = Reply(Status.UNRECOGNIZED_OPERATION)
            name = request.command.name.lower().replace("_", "-")
            self._start(operation, name, None, lambda: succeed(reply))
        elif not service.is_allowed(self._info):
            self._start(operation, service.name, None, _refuse)
        else:
            handle = service.handler.handle
            is_short = request.command is Command.C_ECHO
            self._start(
                operation,
                service.name,
                None if is_short else self._host.slots.services,
                lambda: _deferred(handle(request, operation)),
            )

    def _service(self, context: Context, command: Command) -> Service | None:
        for service in self._host.services:
            if service.command is command and context.abstract_syntax in service.sop_classes:
                return service
        return None

    def _start(
        self,
        operation: Operation,
        name: str,
        slots: DeferredSemaphore | None,
        run: Callable[[], Deferred[Reply]],
    ) -> None:
        self._running[operation.message_id] = operation
        operation.start(name, slots, run, self._finished)

    def _finished(self, operation: Operation) -> None:
        self._running.pop(operation.message_id, None)

    def ended(self) -> None:
        """The association is over: whatever runs is cancelled."""
        # The last one first: what waits for a slot must not begin because another one ends.
        for operation in reversed(list(self._running.values())):
            operation.end()


def _refuse() -> Deferred[Reply]:
    return succeed(_REFUSED)


def _deferred(work: Any) -> Deferred[Reply]:
    if isinstance(work, Deferred):
        return work
    return Deferred.fromCoroutine(work)
