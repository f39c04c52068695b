"""Options that the REST API changes while the server runs, as one shared object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.charset import Encoding


@dataclass(slots=True)
class RuntimeOptions:
    """Set in the reactor thread only; whoever needs one reads it when it needs it.

    :ivar default_encoding: of DICOM files that name no character set (``DefaultEncoding``)
    :ivar accepted_transfer_syntaxes: UIDs (``AcceptedTransferSyntaxes``, patterns expanded)
    :ivar unknown_sop_class_accepted: ``UnknownSopClassAccepted``
    """

    default_encoding: Encoding
    accepted_transfer_syntaxes: Sequence[str]
    accepted_sop_classes: Sequence[str] = ()
    unknown_sop_class_accepted: bool = False
