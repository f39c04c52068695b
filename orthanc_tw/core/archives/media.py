"""The DICOMDIR of a media archive, filled while its instances are written."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, cast

from orthanc_tw.core.archives.plan import Member
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from orthanc_tw.dicom.dicomdir import DicomDirectory

_LAST_TAG = 0x00200013
_DEFERRED_BYTES = 4096


class DicomdirBuilder:
    """See `orthanc_tw.core.archives.writer.MediaDirectory`."""

    def __init__(self, *, extended: bool) -> None:
        """``extended``: with the attributes of type 3."""
        self._extended = extended
        self._made: DicomDirectory | None = None

    @property
    def _directory(self) -> DicomDirectory:
        if self._made is None:
            from orthanc_tw.dicom.dicomdir import DicomDirectory  # with all of pydicom

            self._made = DicomDirectory(extended=self._extended)
        return self._made

    def read_header(self, source: BinaryIO) -> object:
        """The dataset up to InstanceNumber; ``source`` is at its start.

        :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
        """
        # In the thread that reads files: the first time, most of it is the import of pydicom
        from pydicom.errors import InvalidDicomError
        from pydicom.filereader import read_partial

        try:
            # what comes behind is not wanted, and may be long; large values are left unread
            return read_partial(source, _is_behind, _DEFERRED_BYTES, force=True)
        except (InvalidDicomError, ValueError, EOFError, KeyError, NotImplementedError) as error:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, "A stored file cannot be read as DICOM"
            ) from error

    def add(self, member: Member, header: object) -> None:
        """Add an instance under the name of its member.

        :raises OrthancError: BAD_FILE_FORMAT if a value does not fit into a record
        """
        self._directory.add(cast("Dataset", header), member.name.decode("ascii").split("/"))

    def content(self) -> bytes:
        """The DICOMDIR; some hundred bytes an instance."""
        file = BytesIO()
        self._directory.write(file)
        return file.getvalue()


def _is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _LAST_TAG)
