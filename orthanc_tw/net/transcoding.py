"""Transcoding without codecs: between the little endian transfer syntaxes that are not compressed.

Another implementation of `orthanc_tw.net.store_session.Transcoder` takes the place of this one
where there are codecs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any, BinaryIO, cast

from twisted.internet.defer import Deferred

from orthanc_tw.dicom.uids import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.interface import InstanceFile

_SOURCES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, DEFLATED_EXPLICIT_LITTLE_ENDIAN)
_TARGETS = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
# The whole instance is in memory, in a thread, for as long as this takes.
MAXIMUM_BYTES = 512 * 1024 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024


class UncompressedTranscoder:
    """Writes the elements anew; the values stay as they are.

    :param in_thread: runs a blocking function in a thread, Deferred of its result
    """

    def __init__(self, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._in_thread = in_thread

    async def transcode(
        self, instance: InstanceFile, syntaxes: Sequence[str]
    ) -> InstanceFile | None:
        """See `Transcoder`: None for what would need a codec, or another byte order."""
        target = next((uid for uid in _TARGETS if uid in syntaxes), None)
        if target is None or instance.transfer_syntax not in _SOURCES:
            return None
        file = await self._in_thread(rewritten, instance.open, target)
        return replace(instance, transfer_syntax=target, open=lambda: file)


def rewritten(open_source: Callable[[], BinaryIO], target: str) -> BinaryIO:
    """The file in explicit or implicit VR little endian, open at its start. Blocks.

    :raises OrthancError: BAD_FILE_FORMAT if it cannot be read, NOT_ENOUGH_MEMORY if it is too large
    """
    from pydicom import dcmread  # rare, and not small
    from pydicom.filewriter import dcmwrite
    from pydicom.uid import UID

    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
    try:
        with open_source() as source:
            if source.seek(0, 2) > MAXIMUM_BYTES:
                raise OrthancError(
                    ErrorCode.NOT_ENOUGH_MEMORY, "An instance is too large to be transcoded"
                )
            source.seek(0)
            dataset = dcmread(source, force=True)
            dataset.file_meta.TransferSyntaxUID = UID(target)
            dcmwrite(
                file,
                dataset,
                implicit_vr=target == IMPLICIT_LITTLE_ENDIAN,
                little_endian=True,
                force_encoding=True,
            )
    except OrthancError:
        file.close()
        raise
    except Exception as error:
        # pydicom raises whatever comes to hand for a malformed element
        file.close()
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"An instance cannot be transcoded: {error}"
        ) from None
    file.seek(0)
    return cast(BinaryIO, file)
