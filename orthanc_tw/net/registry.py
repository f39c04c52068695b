"""The remote modalities by symbolic name, as ``/modalities`` changes them.

Source: options ``DicomModalities``, ``DicomModalitiesInDatabase``; topic 40 of the corpus. All
of it is called in the reactor thread.
"""

from __future__ import annotations

from typing import Any

from orthanc_tw.core.named_registry import NamedRegistry
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.net.modalities import RemoteModality


class ModalityRegistry(NamedRegistry[RemoteModality]):
    """The modalities that are known now. See `NamedRegistry`."""

    noun = "Modality"
    property_name = "Modalities"

    def parsed(self, name: str, value: Any) -> RemoteModality:
        """See `RemoteModality.from_json`."""
        return RemoteModality.from_json(value)

    def saved(self, value: RemoteModality) -> JsonObject:
        """See `RemoteModality.to_json`."""
        return value.to_json()

    def missing(self, name: str) -> OrthancError:
        """404."""
        return OrthancError(ErrorCode.INEXISTENT_ITEM, f"No modality with symbolic name: {name}")

    def missing_to_remove(self, name: str) -> OrthancError:
        """404."""
        return OrthancError(
            ErrorCode.INEXISTENT_ITEM, f"Unknown DICOM modality with symbolic name: {name}"
        )
