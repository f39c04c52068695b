"""Makes the dictionary of the configuration: ``Dictionary`` and the options beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orthanc_tw.config import Configuration
from orthanc_tw.dicom.private_dictionary import PrivateDictionary
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary, is_private, parse_tag
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.startup import StartupError

# A line of a dictionary of DCMTK: (gggg,eeee), VR, name, VM, where it is from; tabs between.
_PUBLIC = re.compile(r"^\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\)\t(\w\w)\t(\w+)(?:\t|$)", re.MULTILINE)


def user_dictionary(configuration: Configuration) -> UserDictionary:
    """Elements that the configuration adds to those of DICOM.

    :raises StartupError: if a tag is malformed, or a file cannot be read
    """
    creator = configuration.text("DefaultPrivateCreator")
    texts = [_read(path) for path in configuration.paths("ExternalDictionaries")]
    entries = [entry for text in texts for entry in _external(text)]
    entries += _configured(configuration.mapping("Dictionary"), creator)
    private = None
    if not configuration.boolean("LoadPrivateDictionary"):
        private = PrivateDictionary("")
    elif texts:
        private = PrivateDictionary("\n".join(texts), fallback=True)
    return UserDictionary(tuple(entries), private, creator)


def _configured(values: Mapping[str, Any], creator: str) -> Iterator[DictionaryEntry]:
    for name, fields in values.items():
        try:
            tag = parse_tag(name)
        except OrthancError:
            raise StartupError(f'Dictionary.{name}: a tag "gggg,eeee" was expected') from None
        vr, label, *rest = fields
        its_creator = rest[2] if len(rest) > 2 else creator
        yield DictionaryEntry(tag, vr, label, its_creator or None if is_private(tag) else None)


def _external(text: str) -> Iterator[DictionaryEntry]:
    for group, element, vr, name in _PUBLIC.findall(text):
        yield DictionaryEntry(int(group + element, 16), _DCMTK_VRS.get(vr, vr), name)


# DCMTK's own codes for "OB or OW" and "US or SS".
_DCMTK_VRS = {"ox": "OW", "px": "OW", "xs": "US", "lt": "OW", "up": "UL"}


def _read(path: Path) -> str:
    try:
        return path.read_text("latin-1")
    except OSError as error:
        raise StartupError(f"ExternalDictionaries: {path}: {error.strerror}") from None
