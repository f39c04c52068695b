"""Data sets of DIMSE messages from and to pydicom. Small ones: identifiers, action information."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

from orthanc_tw.dicom.uids import transfer_syntax
from orthanc_tw.net.errors import ProtocolError
from orthanc_tw.net.values import Dataset

if TYPE_CHECKING:
    from pydicom import Dataset as PydicomDataset


def encoder(dataset: PydicomDataset) -> Callable[[str], bytes]:
    """A function that encodes the data set in the transfer syntax that was negotiated."""
    return lambda syntax: encode(dataset, syntax).content


def encode(dataset: PydicomDataset, syntax: str) -> Dataset:
    """Encode without meta header.

    :raises ValueError: if a value cannot be encoded, or the transfer syntax is not known
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    known = transfer_syntax(syntax)
    if known is None or known.is_deflated:
        raise ValueError(f"no data set can be encoded in {syntax}")
    file = DicomBytesIO()
    file.is_implicit_VR = not known.is_explicit
    file.is_little_endian = known.is_little_endian
    write_dataset(file, dataset)
    return Dataset(syntax, file.getvalue())


def decode(dataset: Dataset) -> PydicomDataset:
    """Read it. Values are converted when they are asked for, which may raise by itself.

    :raises ProtocolError: if it is malformed
    """
    from pydicom.filereader import read_dataset

    known = transfer_syntax(dataset.transfer_syntax)
    if known is None or known.is_deflated:
        raise ProtocolError(f"a data set in the transfer syntax {dataset.transfer_syntax}")
    try:
        return read_dataset(
            BytesIO(dataset.content),
            not known.is_explicit,
            known.is_little_endian,
            len(dataset.content),
        )
    except (Exception, RecursionError) as error:
        raise ProtocolError(f"a data set that cannot be read: {error}") from None
