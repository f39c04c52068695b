"""Opens associations to modalities, and keeps them: `interface.AssociationPool`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall

from orthanc_tw.net.associations import Proposal, ScuAssociation
from orthanc_tw.net.dispatcher import Host
from orthanc_tw.net.errors import AssociationAborted
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scu.association import Association
from orthanc_tw.net.scu.connect import Connect
from orthanc_tw.net.scu.requestor import Requestor, association_request
from orthanc_tw.net.tracing import Trace


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Options.

    :ivar aet: ``DicomAet``
    :ivar timeout_s: ``DicomScuTimeout``, 0: for ever
    :ivar close_delay_s: ``DicomAssociationCloseDelay``, 0: nothing is kept
    :ivar maximum_length: ``MaximumPduLength``, bytes
    """

    aet: str
    timeout_s: float = 10
    close_delay_s: float = 5
    maximum_length: int = 16384


@dataclass(frozen=True, slots=True)
class _Key:
    modality: RemoteModality
    local_aet: str
    timeout_s: float
    proposals: tuple[Proposal, ...]


@dataclass(slots=True)
class _Kept:
    association: Association
    closing: IDelayedCall


class Associations:
    """The associations that this server opens. Reactor thread.

    :param connect: opens a connection
    :param host: answers what peers ask in these associations
    :param clock: ``IReactorTime``
    :param traces: what of messages is told to the log
    """

    def __init__(
        self,
        settings: PoolSettings,
        connect: Connect,
        host: Host,
        *,
        clock: Any,
        traces: Callable[[], Trace],
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._host = host
        self._clock = clock
        self._traces = traces
        self._keys: dict[Association, _Key] = {}
        self._kept: dict[_Key, list[_Kept]] = {}
        self._numbers = count(1)
        self._is_closed = False

    def acquire(
        self,
        modality: RemoteModality,
        proposals: Sequence[Proposal],
        *,
        timeout_s: int | None = None,
        local_aet: str = "",
    ) -> Deferred[ScuAssociation]:
        """An association of its own for the caller, until `give_back`."""
        settings = self._settings
        if timeout_s is None:
            timeout_s = modality.timeout_s or int(settings.timeout_s)
        key = _Key(
            modality,
            local_aet or modality.local_aet or settings.aet,
            timeout_s,
            tuple(proposals),
        )
        return Deferred.fromCoroutine(self._acquire(key))

    async def _acquire(self, key: _Key) -> ScuAssociation:
        if self._is_closed:
            raise AssociationAborted("this server stops")
        kept = self._kept.get(key, [])
        while kept:
            found = kept.pop()
            _cancel(found.closing)
            if found.association.is_open:
                return found.association
        self._release_others(key.modality)
        request = association_request(
            key.modality.aet, key.local_aet, key.proposals, self._settings.maximum_length
        )
        requestor = Requestor(
            key.modality,
            request,
            key.proposals,
            self._host,
            clock=self._clock,
            timeout_s=key.timeout_s,
            traces=self._traces,
            association_id=next(self._numbers),
        )
        await self._connect(key.modality, requestor, key.timeout_s)
        try:
            await requestor.established
        except CancelledError:
            requestor.abort(AssociationAborted("given up"))
            raise
        assert requestor.session is not None
        association = Association(requestor, requestor.session)
        self._keys[association] = key
        association.when_closed(lambda: self._forget(association))
        return association

    def _forget(self, association: Association) -> None:
        key = self._keys.pop(association, None)
        if key is None:
            return
        for kept in self._kept.get(key, []):
            if kept.association is association:
                _cancel(kept.closing)
                self._kept[key].remove(kept)
                break
        if not self._kept.get(key):
            self._kept.pop(key, None)

    def give_back(self, association: ScuAssociation) -> None:
        """The caller needs it no more."""
        assert isinstance(association, Association)
        key = self._keys.get(association)
        if key is None or not association.is_open:
            return
        if association.is_busy:
            association.abort()
        elif self._is_closed or not self._settings.close_delay_s:
            association.release()
        else:
            closing = self._clock.callLater(self._settings.close_delay_s, association.release)
            self._kept.setdefault(key, []).append(_Kept(association, closing))

    def _release_others(self, modality: RemoteModality) -> None:
        """Release the idle associations to a modality: many take but one at a time."""
        peer = (modality.aet, modality.host, modality.port)
        idle = [
            kept.association
            for key, keys in self._kept.items()
            if (key.modality.aet, key.modality.host, key.modality.port) == peer
            for kept in keys
        ]
        for association in idle:
            self._forget(association)
            association.release()

    def close(self) -> Deferred[None]:
        """Release what is kept, abort what is in use."""
        self._is_closed = True
        idle = [kept for keys in self._kept.values() for kept in keys]
        self._kept.clear()
        for kept in idle:
            _cancel(kept.closing)
        releasing = [kept.association.release() for kept in idle]
        resting = {kept.association for kept in idle}
        for association in list(self._keys):
            if association not in resting:
                association.abort()
        done: Deferred[Any] = DeferredList(releasing)
        return done.addCallback(lambda _: None)


def _cancel(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()
