"""Names and numbers of metadata and of attachments, with those that the configuration registers.

Source: REST API, ``UserMetadata`` and ``UserContentType``; built-in numbers are in
`orthanc_tw.model.registries`.
"""

from __future__ import annotations

from collections.abc import Mapping

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import ContentType, MetadataType

USER_MINIMUM = 1024
USER_MAXIMUM = 65535
OCTET_STREAM = "application/octet-stream"


class Names:
    """A two-way map of names and numbers.

    :param builtin: name -> number of the built-in entries
    :param user: name -> number of the registered ones, in [1024, 65535]
    """

    def __init__(self, builtin: Mapping[str, int], user: Mapping[str, int]) -> None:
        self._numbers = {**builtin, **user}
        self._labels = {number: name for name, number in self._numbers.items()}

    def number(self, name: str) -> int:
        """Number of a name; a decimal number stands for itself.

        :raises OrthancError: INEXISTENT_ITEM if the name is not registered
        """
        found = self._numbers.get(name)
        if found is not None:
            return found
        if name.isascii() and name.isdigit() and len(name) <= 9:
            return int(name)
        raise OrthancError(ErrorCode.INEXISTENT_ITEM)

    def label(self, number: int) -> str:
        """Name of a number, or the number itself as text if it has none."""
        return self._labels.get(number) or str(number)


def is_user_number(number: int) -> bool:
    """Whether clients may write metadata or attachments of this number."""
    return USER_MINIMUM <= number <= USER_MAXIMUM


def metadata_names(user: Mapping[str, int]) -> Names:
    """Names of metadata; ``user`` is option ``UserMetadata``."""
    return Names({item.label: int(item) for item in MetadataType}, user)


class AttachmentNames(Names):
    """Names of attachments and their media types.

    :param user: option ``UserContentType``: name -> number, or (number, media type)
    """

    def __init__(self, user: Mapping[str, int | tuple[int, str]]) -> None:
        numbers: dict[str, int] = {}
        self._mime: dict[int, str] = {
            ContentType.DICOM: "application/dicom",
            ContentType.DICOM_AS_JSON: "application/json",
            ContentType.DICOM_UNTIL_PIXEL_DATA: "application/dicom",
        }
        for name, value in user.items():
            number, mime = (value, OCTET_STREAM) if isinstance(value, int) else value
            numbers[name] = number
            self._mime[number] = mime
        super().__init__({item.label: int(item) for item in ContentType}, numbers)

    def mime(self, number: int) -> str:
        """Media type that the attachment is sent with."""
        return self._mime.get(number, OCTET_STREAM)
