"""The data sets of storage commitment: N-ACTION and N-EVENT-REPORT (PS3.4 J.3.2, J.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orthanc_tw.core.storage_commitment import FailedReference, FailureReason, Reference
from orthanc_tw.dicom.attributes import Attribute, Attributes
from orthanc_tw.dicom.attributes_writer import encode_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.model.errors import ErrorCode, OrthancError

TRANSACTION_UID = 0x00081195
_FAILURE_REASON = 0x00081197
_FAILED_SOP_SEQUENCE = 0x00081198
_REFERENCED_SOP_SEQUENCE = 0x00081199
_REFERENCED_SOP_CLASS_UID = 0x00081150
_REFERENCED_SOP_INSTANCE_UID = 0x00081155
REQUEST_STORAGE_COMMITMENT = 1
"""Action Type ID (PS3.4 J.3.2)."""
STORAGE_COMMITMENT_SUCCESSFUL = 1
"""Event Type ID (PS3.4 J.3.3): all is committed."""
STORAGE_COMMITMENT_FAILURES = 2
"""Event Type ID (PS3.4 J.3.3): some is not."""


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """What an N-EVENT-REPORT says."""

    transaction_uid: str
    success: Sequence[Reference] = ()
    failures: Sequence[FailedReference] = ()

    @property
    def event_type_id(self) -> int:
        """See PS3.4 J.3.3."""
        return STORAGE_COMMITMENT_FAILURES if self.failures else STORAGE_COMMITMENT_SUCCESSFUL


def request_information(
    transaction_uid: str, references: Iterable[Reference]
) -> Callable[[str], bytes]:
    """Action Information of a request, to be encoded in the transfer syntax it is given."""
    return _encoder(
        {
            TRANSACTION_UID: Attribute("UI", transaction_uid),
            _REFERENCED_SOP_SEQUENCE: _sequence(_item(*reference) for reference in references),
        }
    )


def report_information(result: CommitmentResult) -> Callable[[str], bytes]:
    """Event Information of a report. A sequence without items is left out (PS3.4 J.3.3.1.1)."""
    attributes: Attributes = {TRANSACTION_UID: Attribute("UI", result.transaction_uid)}
    if result.success:
        attributes[_REFERENCED_SOP_SEQUENCE] = _sequence(_item(*done) for done in result.success)
    if result.failures:
        attributes[_FAILED_SOP_SEQUENCE] = _sequence(
            {
                **_item(failed.sop_class_uid, failed.sop_instance_uid),
                _FAILURE_REASON: Attribute("US", str(failed.reason)),
            }
            for failed in result.failures
        )
    return _encoder(attributes)


def read_request(information: Attributes) -> tuple[str, list[Reference]]:
    """Transaction UID and references of a request.

    :raises OrthancError: BAD_FILE_FORMAT that names what is missing
    """
    references = [
        Reference(*_reference(item)) for item in _items(information, _REFERENCED_SOP_SEQUENCE)
    ]
    return _transaction_uid(information), references


def read_report(information: Attributes) -> CommitmentResult:
    """What a report says.

    :raises OrthancError: BAD_FILE_FORMAT that names what is missing
    """
    return CommitmentResult(
        _transaction_uid(information),
        [Reference(*_reference(item)) for item in _items(information, _REFERENCED_SOP_SEQUENCE)],
        [
            FailedReference(*_reference(item), _reason(item))
            for item in _items(information, _FAILED_SOP_SEQUENCE)
        ],
    )


def _encoder(attributes: Attributes) -> Callable[[str], bytes]:
    return lambda syntax: encode_attributes(attributes, syntax, Encoding.ASCII)


def _sequence(items: Iterable[Attributes]) -> Attribute:
    return Attribute("SQ", items=tuple(items))


def _item(sop_class_uid: str, sop_instance_uid: str) -> Attributes:
    return {
        _REFERENCED_SOP_CLASS_UID: Attribute("UI", sop_class_uid),
        _REFERENCED_SOP_INSTANCE_UID: Attribute("UI", sop_instance_uid),
    }


def _transaction_uid(information: Attributes) -> str:
    return _text(information, TRANSACTION_UID, "TransactionUID")


def _items(information: Attributes, tag: int) -> Sequence[Attributes]:
    attribute = information.get(tag)
    return () if attribute is None else attribute.items or ()


def _reference(item: Attributes) -> tuple[str, str]:
    return (
        _text(item, _REFERENCED_SOP_CLASS_UID, "ReferencedSOPClassUID"),
        _text(item, _REFERENCED_SOP_INSTANCE_UID, "ReferencedSOPInstanceUID"),
    )


def _text(attributes: Attributes, tag: int, name: str) -> str:
    attribute = attributes.get(tag)
    if attribute is None or not attribute.text:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Storage commitment without {name}")
    return attribute.text


def _reason(item: Attributes) -> int:
    attribute = item.get(_FAILURE_REASON)
    if attribute is None or not attribute.text.isdecimal():
        return FailureReason.PROCESSING_FAILURE
    return int(attribute.text)
