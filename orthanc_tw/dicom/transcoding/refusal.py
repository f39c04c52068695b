"""What cannot be transcoded, said in the same words everywhere."""

from __future__ import annotations

from orthanc_tw.dicom.codecs.encoding import ENCODINGS
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES
from orthanc_tw.model.errors import ErrorCode, OrthancError


def refuse_syntax(target: str) -> None:
    """Refuse a transfer syntax that nothing here writes.

    :raises OrthancError: NOT_IMPLEMENTED (501)
    """
    if target not in NATIVE_SYNTAXES and target not in ENCODINGS:
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED,
            f"Transcode: there is no encoder for the transfer syntax {target}",
            http_status=501,
        )


def refusal(source: str, target: str, reason: str) -> OrthancError:
    """The error for what cannot be transcoded; 501 if a request asks for it.

    :param source: UID of the transfer syntax that the file has
    :param target: UID of the wanted one
    :param reason: what stands in the way
    """
    return OrthancError(
        ErrorCode.NOT_IMPLEMENTED,
        f"Transcode: cannot transcode from {source} to {target}: {reason}",
        http_status=501,
    )
