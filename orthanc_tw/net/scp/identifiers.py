"""Identifiers of requests and answers as text (PS3.4 C.4.1.1.3), with their character sets."""

from __future__ import annotations

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.attributes import (
    SPECIFIC_CHARACTER_SET,
    Attribute,
    Attributes,
    parse_attributes,
)
from orthanc_tw.dicom.attributes_writer import encode_attributes, encoding_for
from orthanc_tw.dicom.charset import charsets_of
from orthanc_tw.dicom.tags import UserDictionary, vr_of
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.service import ServiceRequest
from orthanc_tw.net.values import Dataset

QUERY_RETRIEVE_LEVEL = 0x00080052


class Identifiers:
    """Reads and writes identifiers.

    :param options: has the default encoding of this moment
    :param dictionary: elements that option ``Dictionary`` adds
    """

    def __init__(self, options: RuntimeOptions, dictionary: UserDictionary | None = None) -> None:
        self._options = options
        self._dictionary = dictionary

    def read(self, request: ServiceRequest) -> Attributes:
        """The identifier of a request.

        :raises OrthancError: BAD_REQUEST if there is none, BAD_FILE_FORMAT if it is malformed
        """
        if request.dataset is None:
            raise OrthancError(ErrorCode.BAD_REQUEST, "The request has no identifier")
        return parse_attributes(
            request.dataset.content,
            request.dataset.transfer_syntax,
            self._options.default_encoding,
            self._dictionary,
        )

    def write(self, answer: Attributes, query: Attributes, transfer_syntax: str) -> Dataset:
        """An answer, in the default encoding.

        Where that lacks a character: in the encoding of the query, else in UTF-8. So nothing is
        lost, and who never leaves the default encoding gets what Orthanc sends.
        """
        default = self._options.default_encoding
        asked = query.get(SPECIFIC_CHARACTER_SET)
        candidates = [default]
        if asked is not None and asked.text:
            candidates.append(charsets_of(asked.text, default).encoding)
        encoding = encoding_for(answer, candidates)
        return Dataset(transfer_syntax, encode_attributes(answer, transfer_syntax, encoding))

    def vr(self, tag: int, asked: Attribute) -> str:
        """VR of an attribute in an answer: the dictionary's, or that of the query."""
        known = vr_of(tag, self._dictionary) if self._dictionary else vr_of(tag)
        return asked.vr if known == "UN" else known


def level_of(identifier: Attributes) -> ResourceType | None:
    """The level that QueryRetrieveLevel (0008,0052) names, None if there is none.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if it is no level
    """
    attribute = identifier.get(QUERY_RETRIEVE_LEVEL)
    if attribute is None or not attribute.text:
        return None
    try:
        return ResourceType.from_label(attribute.text)
    except ValueError:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f"No level of queries: {attribute.text}"
        ) from None


def required_level(identifier: Attributes) -> ResourceType:
    """As `level_of`.

    :raises OrthancError: BAD_REQUEST if there is none
    """
    level = level_of(identifier)
    if level is None:
        raise OrthancError(
            ErrorCode.BAD_REQUEST, "The request has no QueryRetrieveLevel (0008,0052)"
        )
    return level


def text_keys(identifier: Attributes) -> dict[int, str]:
    """Text by tag, sequences left out."""
    return {tag: key.text for tag, key in identifier.items() if key.items is None}
