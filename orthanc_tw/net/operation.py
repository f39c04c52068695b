"""A request of the peer that is being answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet
from orthanc_tw.net.errors import AssociationAborted
from orthanc_tw.net.responses import response
from orthanc_tw.net.service import ServiceRequest
from orthanc_tw.net.session import Context, Session
from orthanc_tw.net.store_user import StoreUser
from orthanc_tw.net.values import (
    AssociationInfo,
    Command,
    Dataset,
    InstanceFile,
    MoveOriginator,
    Reply,
    Status,
)

#: Told of each operation: name, who asked, status.
Observe = Callable[[str, AssociationInfo, int], None]


class Operation:
    """A request that is being answered; `interface.Responder` of its handler."""

    _log = Logger()

    def __init__(
        self,
        session: Session,
        context: Context,
        command: CommandSet,
        info: AssociationInfo,
        observe: Observe,
    ) -> None:
        self.context = context
        self.command = command
        self.message_id = dimse.number(command, dimse.MESSAGE_ID)
        self._session = session
        self._info = info
        self._observe = observe
        self._name = ""
        self._is_cancelled = False
        self._is_ended = False
        self._on_cancel: list[Callable[[], object]] = []
        self._work: Deferred[Any] | None = None

    def request(self, content: bytes | None) -> ServiceRequest | None:
        """The request as its handler sees it; None if its command is not known."""
        command = self.command
        try:
            field = Command(dimse.number(command, dimse.COMMAND_FIELD))
        except ValueError:
            return None
        syntax = self.context.transfer_syntax
        return ServiceRequest(
            command=field,
            association=self._info,
            message_id=self.message_id,
            sop_class_uid=dimse.text(command, dimse.AFFECTED_SOP_CLASS_UID)
            or dimse.text(command, dimse.REQUESTED_SOP_CLASS_UID),
            sop_instance_uid=dimse.text(command, dimse.AFFECTED_SOP_INSTANCE_UID)
            or dimse.text(command, dimse.REQUESTED_SOP_INSTANCE_UID),
            transfer_syntax=syntax,
            dataset=None if content is None else Dataset(syntax, content),
            priority=dimse.number(command, dimse.PRIORITY),
            move_destination=dimse.text(command, dimse.MOVE_DESTINATION),
            action_type_id=dimse.number(command, dimse.ACTION_TYPE_ID)
            or dimse.number(command, dimse.EVENT_TYPE_ID),
        )

    def start(
        self,
        name: str,
        slots: DeferredSemaphore | None,
        run: Callable[[], Deferred[Reply]],
        finished: Callable[[Operation], None],
    ) -> None:
        """Run it in a slot and answer."""
        self._name = name
        self._work = Deferred.fromCoroutine(self._run(slots, run))
        self._work.addErrback(self._broken)
        self._work.addCallback(lambda _: finished(self))

    def _broken(self, failure: Failure) -> None:
        """What no handler is to blame for: the peer shall not wait for ever."""
        self._log.failure("Answering {name}", failure, name=self._name)
        self._session.abort(AssociationAborted("an error of this server"))

    async def _run(
        self, slots: DeferredSemaphore | None, run: Callable[[], Deferred[Reply]]
    ) -> None:
        if slots is not None:
            try:
                await slots.acquire()
            except CancelledError:
                return
        try:
            reply = await run()
        except CancelledError:
            reply = Reply(Status.CANCEL)
        except OrthancError as error:
            reply = Reply(Status.CANNOT_UNDERSTAND, str(error))
        except Exception:
            self._log.failure("{name} of {aet} failed", name=self._name, aet=self._info.calling_aet)
            reply = Reply(Status.CANNOT_UNDERSTAND, "an error of this server")
        finally:
            if slots is not None:
                slots.release()
        self._observe(self._name, self._info, reply.status)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        if not self._is_ended:
            content = None if reply.dataset is None else reply.dataset.content
            self._session.respond(self.context.id, response(self.command, reply), content)

    # --- Responder ---

    @property
    def is_cancelled(self) -> bool:
        """Whether a C-CANCEL came, or the association ended."""
        return self._is_cancelled

    def on_cancel(self, call: Callable[[], object]) -> None:
        """Call once when that happens; at once if it has."""
        if self._is_cancelled:
            call()
        else:
            self._on_cancel.append(call)

    def cancel(self) -> None:
        """A C-CANCEL came: the handler sees it, and answers 0xFE00 by itself."""
        if not self._is_cancelled:
            self._is_cancelled = True
            waiting, self._on_cancel = self._on_cancel, []
            for call in waiting:
                call()

    def end(self) -> None:
        """The association ended: nothing is answered, the handler is cancelled."""
        self._is_ended = True
        self.cancel()
        if self._work is not None:
            self._work.cancel()

    def pending(self, reply: Reply) -> Deferred[None]:
        """Send a pending response."""
        if self._is_ended:
            return fail(AssociationAborted("the association has ended"))
        self._send(reply)
        return self._session.sender.drained()

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """C-STORE sub-operation over this association."""
        return StoreUser(self._session).store(instance, originator)

    def accepts(self, sop_class_uid: str, transfer_syntax: str) -> bool:
        """Whether `store` has a presentation context for it."""
        return StoreUser(self._session).context(sop_class_uid, transfer_syntax) is not None
