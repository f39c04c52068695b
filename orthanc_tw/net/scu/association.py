"""The operations of an association that this server opened: `interface.ScuAssociation`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from orthanc_tw.net import dimse
from orthanc_tw.net.errors import AssociationAborted, AssociationError, NoPresentationContext
from orthanc_tw.net.scp.echo import VERIFICATION
from orthanc_tw.net.scu.replies import ReplyQueue
from orthanc_tw.net.scu.requestor import Requestor
from orthanc_tw.net.session import Context, Session
from orthanc_tw.net.store_user import StoreUser
from orthanc_tw.net.values import Command, Dataset, InstanceFile, MoveOriginator, Reply

Encoder = Callable[[str], bytes]
CommandElements = dict[int, "int | str"]


class Association:
    """An association that stands."""

    def __init__(self, requestor: Requestor, session: Session) -> None:
        self._requestor = requestor
        self._session = session
        self._cancellable: tuple[int, int] | None = None  # presentation context, message
        self._when_closed: list[Callable[[], None]] = []
        self._released: Deferred[None] | None = None
        requestor.closed = self._closed

    @property
    def id(self) -> int:
        """Its number."""
        return self._requestor.id

    @property
    def is_open(self) -> bool:
        """Whether operations are possible."""
        return not self._requestor.is_over and self._requestor.can_send

    @property
    def is_busy(self) -> bool:
        """Whether an operation runs."""
        return self._session.is_busy

    def when_closed(self, call: Callable[[], None]) -> None:
        """Call once when it is over."""
        self._when_closed.append(call)

    def _closed(self) -> None:
        waiting, self._when_closed = self._when_closed, []
        for call in waiting:
            call()

    def accepted(self, abstract_syntax: str) -> Sequence[str]:
        """Transfer syntaxes in which the peer accepted it."""
        return [
            context.transfer_syntax
            for context in self._session.contexts.values()
            if context.abstract_syntax == abstract_syntax
        ]

    def echo(self) -> Deferred[Reply]:
        """C-ECHO."""
        command: CommandElements = {
            dimse.COMMAND_FIELD: Command.C_ECHO,
            dimse.AFFECTED_SOP_CLASS_UID: VERIFICATION,
        }
        return self._start(self._single(VERIFICATION, command, None))

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """C-STORE of a file, streamed."""
        return self._start(_awaited(StoreUser(self._session).store(instance, originator)))

    def find(
        self,
        sop_class_uid: str,
        identifier: Encoder,
        answer: Callable[[Dataset], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-FIND."""

        def pending(reply: Reply) -> object:
            return answer(reply.dataset) if reply.dataset is not None else None

        command = _query(Command.C_FIND, sop_class_uid, priority)
        return self._start(self._many(sop_class_uid, command, identifier, pending))

    def move(
        self,
        sop_class_uid: str,
        destination: str,
        identifier: Encoder,
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-MOVE."""
        command = _query(Command.C_MOVE, sop_class_uid, priority)
        command[dimse.MOVE_DESTINATION] = destination
        return self._start(self._many(sop_class_uid, command, identifier, progress))

    def get(
        self,
        sop_class_uid: str,
        identifier: Encoder,
        progress: Callable[[Reply], object],
        *,
        priority: int = 0,
    ) -> Deferred[Reply]:
        """C-GET."""
        command = _query(Command.C_GET, sop_class_uid, priority)
        return self._start(self._many(sop_class_uid, command, identifier, progress))

    def action(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        action_type_id: int,
        information: Encoder | None,
    ) -> Deferred[Reply]:
        """N-ACTION."""
        command: CommandElements = {
            dimse.COMMAND_FIELD: Command.N_ACTION,
            dimse.REQUESTED_SOP_CLASS_UID: sop_class_uid,
            dimse.REQUESTED_SOP_INSTANCE_UID: sop_instance_uid,
            dimse.ACTION_TYPE_ID: action_type_id,
        }
        return self._start(self._single(sop_class_uid, command, information))

    def event_report(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        event_type_id: int,
        information: Encoder | None,
    ) -> Deferred[Reply]:
        """N-EVENT-REPORT."""
        command: CommandElements = {
            dimse.COMMAND_FIELD: Command.N_EVENT_REPORT,
            dimse.AFFECTED_SOP_CLASS_UID: sop_class_uid,
            dimse.AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
            dimse.EVENT_TYPE_ID: event_type_id,
        }
        return self._start(self._single(sop_class_uid, command, information))

    def cancel(self) -> None:
        """C-CANCEL of what runs."""
        if self._cancellable is not None:
            context_id, message_id = self._cancellable
            self._session.request(
                context_id,
                {
                    dimse.COMMAND_FIELD: Command.C_CANCEL,
                    dimse.MESSAGE_ID_RESPONDED_TO: message_id,
                    dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
                },
            )

    def release(self) -> Deferred[None]:
        """A-RELEASE."""
        if self._released is None:
            self._released = Deferred()
            if self._requestor.is_over:
                self._released.callback(None)
            else:
                released = self._released
                self.when_closed(lambda: released.callback(None))
                self._requestor.release()
        waiting: Deferred[None] = Deferred()
        self._released.chainDeferred(waiting)
        return waiting

    def abort(self) -> None:
        """A-ABORT."""
        self._requestor.abort(AssociationAborted("aborted by this server"))

    # --- how operations run ---

    def _start(self, work: Coroutine[Any, Any, Reply]) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, Reply]) -> Reply:
        try:
            return await work
        except CancelledError:
            self.abort()
            raise

    def _context(self, sop_class_uid: str, command: object) -> Context:
        for context in self._session.contexts.values():
            # Reports come from the SCP, who is no SCU in its own association (PS3.4 J.3.3).
            may_request = context.we_request or command == Command.N_EVENT_REPORT
            if may_request and context.abstract_syntax == sop_class_uid:
                return context
        raise NoPresentationContext(f"{sop_class_uid} was not accepted")

    async def _single(
        self, sop_class_uid: str, command: CommandElements, information: Encoder | None
    ) -> Reply:
        return await self._many(sop_class_uid, command, information, lambda reply: None)

    async def _many(
        self,
        sop_class_uid: str,
        command: CommandElements,
        identifier: Encoder | None,
        pending: Callable[[Reply], object],
    ) -> Reply:
        context = self._context(sop_class_uid, command[dimse.COMMAND_FIELD])
        content = None if identifier is None else identifier(context.transfer_syntax)
        session = self._session
        replies = ReplyQueue(self._requestor.hold, self._requestor.go_on)
        message_id = session.open_operation(replies)
        command[dimse.MESSAGE_ID] = message_id
        command[dimse.DATA_SET_TYPE] = dimse.NO_DATA_SET if content is None else dimse.HAS_DATA_SET
        self._cancellable = context.id, message_id
        try:
            session.request(context.id, command, content)
            return await self._collect(replies, pending)
        finally:
            self._cancellable = None
            self._requestor.go_on()
            session.close_operation(message_id)

    async def _collect(self, replies: ReplyQueue, pending: Callable[[Reply], object]) -> Reply:
        broken: Exception | None = None
        while True:
            reply = await replies.next()
            if not reply.is_pending:
                break
            if broken is None:
                try:
                    result = pending(reply)
                    if isinstance(result, Awaitable):
                        await result
                except (AssociationError, CancelledError):
                    raise
                except Exception as error:
                    broken = error
                    self.cancel()
        if broken is not None:
            raise broken
        return reply


async def _awaited(deferred: Deferred[Reply]) -> Reply:
    return await deferred


def _query(command: Command, sop_class_uid: str, priority: int) -> CommandElements:
    return {
        dimse.COMMAND_FIELD: command,
        dimse.AFFECTED_SOP_CLASS_UID: sop_class_uid,
        dimse.PRIORITY: priority,
    }
