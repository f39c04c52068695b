"""DIMSE over one association that stands: requests of the peer, our own, and the responses.

The same for both ends: an SCP asks too (C-STORE of a C-GET), an SCU is asked (the same).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from twisted.logger import Logger

from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet, DatasetSink, MessageReader
from orthanc_tw.net.errors import AssociationAborted, AssociationError
from orthanc_tw.net.sender import MessageSender
from orthanc_tw.net.tracing import Trace, shown
from orthanc_tw.net.user_items import Malformed
from orthanc_tw.net.values import Dataset

#: The longest data set that is collected in memory (an identifier, a list of references), bytes.
MAXIMUM_DATASET_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that was accepted.

    :ivar we_request: whether we may send requests in it (our role is SCU)
    :ivar peer_requests: whether the peer may
    """

    id: int
    abstract_syntax: str
    transfer_syntax: str
    we_request: bool
    peer_requests: bool


class RequestReceiver(Protocol):
    """Answers the requests of the peer."""

    def begin(self, context: Context, command: CommandSet) -> DatasetSink | None:
        """A request has begun, who takes its data set? ``end`` is called even without one.

        :raises Malformed: if it may not be here: the association is aborted
        """
        ...

    def ended(self) -> None:
        """The association is over."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether the peer waits for an answer of ours."""
        ...


class ReplyReceiver(Protocol):
    """Gets the responses to one request of ours."""

    def replied(self, command: CommandSet, dataset: Dataset | None) -> None:
        """One came."""
        ...

    def failed(self, error: AssociationError) -> None:
        """None will come."""
        ...


class DatasetCollector:
    """`DatasetSink` in memory, up to `MAXIMUM_DATASET_BYTES`."""

    def __init__(self, ended: Callable[[bytes | None], None], *, is_expected: bool) -> None:
        self._ended = ended
        self._is_expected = is_expected
        self._content = bytearray()

    def write(self, fragment: bytes) -> None:
        """Take more.

        :raises Malformed: if it is too much
        """
        self._content += fragment
        if len(self._content) > MAXIMUM_DATASET_BYTES:
            raise Malformed(f"a data set of more than {MAXIMUM_DATASET_BYTES} bytes")

    def end(self) -> None:
        """Hand it over."""
        self._ended(bytes(self._content) if self._is_expected else None)

    def discard(self) -> None:
        """Forget it."""
        self._content.clear()


class Session:
    """DIMSE over one association.

    :param contexts: those that were accepted, by number
    :param requests: answers the peer
    :param abort: aborts the association
    :param traces: what of messages is told to the log
    :param label: who is at the other end, for the log
    """

    _log = Logger()

    def __init__(
        self,
        sender: MessageSender,
        contexts: Mapping[int, Context],
        requests: RequestReceiver,
        *,
        abort: Callable[[AssociationError], None],
        traces: Callable[[], Trace],
        label: str,
    ) -> None:
        self.contexts = contexts
        self.abort = abort
        self.sender = sender
        self._requests = requests
        self._traces = traces
        self._label = label
        self._reader = MessageReader(self._begin)
        self._operations: dict[int, ReplyReceiver] = {}
        self._last_id = 0
        self._is_over = False

    @property
    def waits(self) -> bool:
        """Whether it is the peer's turn."""
        return bool(self._operations) or self._reader.is_amid or not self._requests.is_busy

    @property
    def expects_reply(self) -> bool:
        """Whether a request of ours is not answered."""
        return bool(self._operations) or self._reader.is_amid

    @property
    def is_busy(self) -> bool:
        """Whether an operation of either side runs."""
        return bool(self._operations) or self._reader.is_amid or self._requests.is_busy

    def received(self, context_id: int, control: int, fragment: bytes) -> None:
        """A presentation data value came.

        :raises Malformed: if it may not be here: the association is to be aborted
        """
        self._reader.feed(context_id, control, fragment)

    def _begin(self, context_id: int, command: CommandSet) -> DatasetSink | None:
        context = self.contexts.get(context_id)
        if context is None:
            raise Malformed(f"presentation context {context_id} was not accepted")
        if self._traces():
            self._log.debug(
                "{label}: received {command}", label=self._label, command=dimse.describe(command)
            )
        if not dimse.number(command, dimse.COMMAND_FIELD) & dimse.RESPONSE:
            return self._requests.begin(context, command)
        responded = dimse.number(command, dimse.MESSAGE_ID_RESPONDED_TO, -1)
        operation = self._operations.get(responded)
        if operation is None:
            raise Malformed(f"a response to message {responded}, which nobody sent")
        has_dataset = dimse.number(command, dimse.DATA_SET_TYPE, dimse.NO_DATA_SET)
        return DatasetCollector(
            lambda content: operation.replied(
                command, None if content is None else self._dataset(context, content)
            ),
            is_expected=has_dataset != dimse.NO_DATA_SET,
        )

    def _dataset(self, context: Context, content: bytes) -> Dataset:
        self.trace_identifier("received", context.id, content)
        return Dataset(context.transfer_syntax, content)

    def trace_identifier(self, verb: str, context_id: int, content: bytes) -> None:
        """Tell what a query or its answer says, if that is asked for."""
        if self._traces() < Trace.IDENTIFIERS:
            return
        self._log.debug(
            "{label}: {verb} {identifier}",
            label=self._label,
            verb=verb,
            identifier=shown(content, self.contexts[context_id].transfer_syntax),
        )

    def respond(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Send a response."""
        self._trace(command)
        if dataset is not None:
            self.trace_identifier("sent", context_id, dataset)
        self.sender.send(context_id, command, dataset)

    def open_operation(self, receiver: ReplyReceiver) -> int:
        """The number of a new request; its responses go to ``receiver`` until it is closed.

        :raises AssociationAborted: if the association is over
        """
        if self._is_over:
            raise AssociationAborted("the association has ended")
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._operations:
                break
        self._operations[self._last_id] = receiver
        return self._last_id

    def close_operation(self, message_id: int) -> None:
        """No more responses to that request."""
        self._operations.pop(message_id, None)

    def request(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Send a request whose number `open_operation` gave."""
        self._trace(command)
        if dataset is not None:
            self.trace_identifier("sent", context_id, dataset)
        self.sender.send(context_id, command, dataset)

    async def stream(
        self, context_id: int, command: CommandSet, open_dataset: Callable[[], BinaryIO]
    ) -> None:
        """Send a request whose data set is read from a file. See `MessageSender.stream`."""
        self._trace(command)
        await self.sender.stream(context_id, command, open_dataset)

    def _trace(self, command: CommandSet) -> None:
        if self._traces():
            self._log.debug(
                "{label}: sent {command}", label=self._label, command=dimse.describe(command)
            )

    def ended(self, error: AssociationError) -> None:
        """The association is over: tell all that wait."""
        if self._is_over:
            return
        self._is_over = True
        self._reader.end()
        operations, self._operations = self._operations, {}
        for operation in operations.values():
            operation.failed(error)
        self._requests.ended()
