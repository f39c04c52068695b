"""What cannot be transcoded, said in the same words everywhere."""

from __future__ import annotations

from orthanc_tw.model.errors import ErrorCode, OrthancError


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
