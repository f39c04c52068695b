"""Who may connect, and who may ask for what.

Source: options ``DicomCheckCalledAet``, ``StrictAetComparison``, ``DicomCheckModalityHost``,
``DicomAlwaysAllow*`` and the permissions of each modality. An operation that is always allowed
is so for those modalities too whose own permission says no, as the reference has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orthanc_tw.net.associations import Modalities
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.values import AssociationInfo

#: Permission of a modality, by the operation that it is asked for.
_OF_MODALITY: dict[str, Callable[[RemoteModality], bool]] = {
    "echo": lambda modality: modality.allow_echo,
    "store": lambda modality: modality.allow_store,
    "find": lambda modality: modality.allow_find,
    "find-worklist": lambda modality: modality.allow_find_worklist,
    "get": lambda modality: modality.allow_get,
    "move": lambda modality: modality.allow_move,
    "n-action": lambda modality: modality.allow_n_action,
    "n-event-report": lambda modality: modality.allow_n_event_report,
}


@dataclass(frozen=True, slots=True)
class PermissionSettings:
    """Options.

    :ivar aet: ``DicomAet``
    :ivar always_allowed: operations (``echo``, ``store``, ``find``, ``find-worklist``, ``get``,
        ``move``) that unknown modalities may ask for
    """

    aet: str
    check_called_aet: bool = False
    strict_aet_comparison: bool = False
    check_modality_host: bool = False
    always_allowed: frozenset[str] = frozenset(("echo", "store"))


class Permissions:
    """Answers by the modalities as they are known now."""

    def __init__(self, settings: PermissionSettings, modalities: Modalities) -> None:
        self._settings = settings
        self._modalities = modalities

    def is_same_aet(self, one: str, other: str) -> bool:
        """Compare titles (``StrictAetComparison``)."""
        one, other = one.strip(), other.strip()
        if self._settings.strict_aet_comparison:
            return one == other
        return one.upper() == other.upper()

    def is_called(self, called_aet: str) -> bool:
        """Whether a client may call this server so."""
        settings = self._settings
        return not settings.check_called_aet or self.is_same_aet(called_aet, settings.aet)

    def identify(self, calling_aet: str, called_aet: str, remote_ip: str) -> AssociationInfo:
        """Who it is. Of several modalities with the same title the one of that address."""
        found = [
            (name, modality)
            for name, modality in self._modalities().items()
            if self.is_same_aet(modality.aet, calling_aet)
        ]
        of_host = [item for item in found if item[1].host == remote_ip]
        if self._settings.check_modality_host or len(found) > 1:
            found = of_host or ([] if self._settings.check_modality_host else found)
        name, modality = found[0] if found else ("", None)
        return AssociationInfo(calling_aet, called_aet, remote_ip, name, modality)

    def may_connect(self, info: AssociationInfo) -> bool:
        """Whether there is anything that this one may ask for."""
        return bool(self._settings.always_allowed) or info.modality is not None

    def may(self, operation: str, info: AssociationInfo) -> bool:
        """Whether this one may ask for the operation (``echo``, ``find-worklist``...)."""
        if operation in self._settings.always_allowed:
            return True
        return info.modality is not None and _OF_MODALITY[operation](info.modality)
