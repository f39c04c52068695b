"""The numbers of metadata and attachments that clients may write."""

from __future__ import annotations

from orthanc_tw.core.names import Names, is_user_number
from orthanc_tw.rest.errors import BareError


def user_number(names: Names, name: str) -> int:
    """The number of a name that clients may write.

    :raises OrthancError: INEXISTENT_ITEM if there is no such name
    :raises BareError: 403 if it is the server's own
    """
    number = names.number(name)
    if not is_user_number(number):
        raise BareError(403)
    return number
