"""Remote modalities: what is known of an application entity, and its JSON forms.

Source: option ``DicomModalities``, ``/modalities`` (topic 40 of the corpus).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orthanc_tw.model.errors import ErrorCode, OrthancError


class Manufacturer(enum.Enum):
    """``Manufacturer``: whose deviations from the standard are to be respected."""

    GENERIC = "Generic"
    GENERIC_NO_WILDCARD_IN_DATES = "GenericNoWildcardInDates"
    GENERIC_NO_UNIVERSAL_WILDCARD = "GenericNoUniversalWildcard"
    VITREA = "Vitrea"
    GE = "GE"


# Names of older versions, which mean a plain modality today.
_OBSOLETE = frozenset(("ClearCanvas", "Dcm4Chee", "MedInria", "EFilm2", "SyngoVia", "AgfaImpax"))


class RetrieveMethod(enum.Enum):
    """``RetrieveMethod`` of a modality."""

    SYSTEM_DEFAULT = "SystemDefault"
    C_MOVE = "C-MOVE"
    C_GET = "C-GET"


@dataclass(frozen=True, slots=True)
class RemoteModality:
    """An application entity.

    :ivar aet: its AE title
    :ivar host: name or address
    :ivar port: TCP port
    :ivar timeout_s: how long it may be silent, 0: ``DicomScuTimeout``
    :ivar local_aet: how this server calls itself to it, '': ``DicomAet``
    :ivar use_tls: ``UseDicomTls``
    """

    aet: str
    host: str
    port: int
    manufacturer: Manufacturer = Manufacturer.GENERIC
    allow_echo: bool = True
    allow_find: bool = True
    allow_find_worklist: bool = True
    allow_get: bool = True
    allow_move: bool = True
    allow_store: bool = True
    allow_n_action: bool = True
    allow_n_event_report: bool = True
    allow_transcoding: bool = True
    use_tls: bool = False
    local_aet: str = ""
    timeout_s: int = 0
    retrieve_method: RetrieveMethod = RetrieveMethod.SYSTEM_DEFAULT

    @staticmethod
    def from_json(value: Any) -> RemoteModality:
        """Of ``[AET, host, port, manufacturer]`` or of an object.

        :raises OrthancError: BAD_FILE_FORMAT, PARAMETER_OUT_OF_RANGE, BAD_PARAMETER_TYPE
        """
        if isinstance(value, list):
            return _of_list(value)
        if isinstance(value, dict):
            return _of_object(value)
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)

    def to_json(self) -> dict[str, Any]:
        """The object that ``/modalities/{id}/configuration`` answers."""
        return {
            "AET": self.aet,
            "Host": self.host,
            "Port": self.port,
            "Manufacturer": self.manufacturer.value,
            **{name: getattr(self, field) for name, field in _BOOLEANS.items()},
            "LocalAet": self.local_aet,
            "Timeout": self.timeout_s,
            "RetrieveMethod": self.retrieve_method.value,
        }


_BOOLEANS = {
    "AllowEcho": "allow_echo",
    "AllowFind": "allow_find",
    "AllowFindWorklist": "allow_find_worklist",
    "AllowGet": "allow_get",
    "AllowMove": "allow_move",
    "AllowStore": "allow_store",
    "AllowNAction": "allow_n_action",
    "AllowEventReport": "allow_n_event_report",
    "AllowTranscoding": "allow_transcoding",
    "UseDicomTls": "use_tls",
}
_MAXIMUM_TIMEOUT_S = 2**32 - 1
# Read under either name, written under the other.
_NAMES = {"AllowEventReport": "AllowNEventReport"}


def _of_list(value: list[Any]) -> RemoteModality:
    if len(value) not in (3, 4) or not all(
        isinstance(text, str) for text in (*value[:2], *value[3:])
    ):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    manufacturer = _manufacturer(value[3]) if len(value) == 4 else Manufacturer.GENERIC
    return RemoteModality(value[0], value[1], _port(value[2]), manufacturer)


def _of_object(value: Mapping[str, Any]) -> RemoteModality:
    aet, host = _text(value, "AET"), _text(value, "Host")
    if "Port" not in value:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    return RemoteModality(
        aet,
        host,
        _port(value["Port"]),
        _manufacturer(_text(value, "Manufacturer", Manufacturer.GENERIC.value)),
        local_aet=_text(value, "LocalAet", ""),
        timeout_s=_timeout(value.get("Timeout", 0)),
        retrieve_method=_method(_text(value, "RetrieveMethod", "SystemDefault")),
        **dict(_booleans(value)),
    )


def _text(value: Mapping[str, Any], name: str, default: str | None = None) -> str:
    found = value.get(name, default)
    if not isinstance(found, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
    return found


def _booleans(value: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    # AllowStorageCommitment stands for both, and each may say otherwise.
    both = _boolean(value, "AllowStorageCommitment", True)
    for name, field in _BOOLEANS.items():
        default = both if field in ("allow_n_action", "allow_n_event_report") else True
        if field == "use_tls":
            default = False
        found = _boolean(value, name, default)
        if name in _NAMES and name not in value:
            found = _boolean(value, _NAMES[name], default)
        yield field, found


def _boolean(value: Mapping[str, Any], name: str, default: bool) -> bool:
    found = value.get(name, default)
    if not isinstance(found, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Boolean value expected in field: {name}")
    return found


def _port(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    if not 1 <= value <= 65534:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f"A TCP port number must be in range [1..65534], but found: {value}",
        )
    return value


def _timeout(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, "Unsigned integer value expected in field: Timeout"
        )
    if value < 0:
        raise OrthancError(
            ErrorCode.BAD_PARAMETER_TYPE,
            "Negative value found while expecting an unsigned int in field 'Timeout'",
        )
    if value > _MAXIMUM_TIMEOUT_S:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Timeout is too large: {value}")
    return value


def _manufacturer(name: str) -> Manufacturer:
    if name in _OBSOLETE:
        return Manufacturer.GENERIC
    try:
        return Manufacturer(name)
    except ValueError:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f'Unknown modality manufacturer: "{name}"'
        ) from None


def _method(name: str) -> RetrieveMethod:
    try:
        return RetrieveMethod(name)
    except ValueError:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f'RetrieveMethod can be "C-MOVE", "C-GET" or "SystemDefault": {name}',
        ) from None
