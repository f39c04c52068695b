"""From the text of a configuration file to a JSON object.

Orthanc reads its files with jsoncpp, which is more tolerant than RFC 8259: comments, a
trailing comma, text after the document. Environment variables are replaced in the text
before it is parsed, so that they can stand for numbers and whole objects too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NoReturn

from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.option import Json

_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*[\s\S]*?\*/")
_TRAILING_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])")
_VARIABLE = re.compile(r"\$\{([^:}]*)(?::-([^}]*))?\}")


def parse(data: bytes, name: str, environ: Mapping[str, str]) -> tuple[dict[str, Json], list[str]]:
    """Read one document.

    :param data: the file, UTF-8, with or without a byte order mark
    :param name: what messages call it
    :param environ: variables for ``${NAME}`` and ``${NAME:-default}``
    :return: the object, and warnings
    :raises ConfigurationError: it is no UTF-8, no JSON, or no object
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{name}:{line}", "", "UTF-8", f"byte 0x{data[error.start]:02x}"
        ) from None
    warnings: list[str] = []
    # Comments go first: a variable that is only mentioned in one deserves no warning.
    text = _COMMENT.sub(_blank, text)
    text = _substitute(text, name, environ, warnings)
    text = _TRAILING_COMMA.sub(lambda m: m[0] if m[0] != "," else " ", text)
    return _decode(text, name, warnings), warnings


def _blank(match: re.Match[str]) -> str:
    """A string as it is, a comment as nothing but its lines, so that these keep their numbers."""
    return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])


def _substitute(text: str, name: str, environ: Mapping[str, str], warnings: list[str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] in environ:
            return environ[match[1]]
        if match[2] is None:
            warnings.append(f"{name}: the environment variable {match[1]} is not set: empty")
        return match[2] or ""

    return _VARIABLE.sub(value, text)


def _decode(text: str, name: str, warnings: list[str]) -> dict[str, Json]:
    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for key, value in pairs:
            if key in result:
                warnings.append(f"{name}: {key} is there twice, the last one counts")
            result[key] = value
        return result

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON number")

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse, strict=False)
    start = len(text) - len(text.lstrip())
    try:
        document, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{name}:{error.lineno}", "", "JSON", f"{error.msg} (column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(name, "", "JSON", str(error)) from None
    if not isinstance(document, dict):
        raise ConfigurationError(name, "", "an object", f"{text[start : start + 20]!r}")
    rest = text[end:].lstrip()
    if rest:
        line = text.count("\n", 0, len(text) - len(rest)) + 1
        warnings.append(f"{name}:{line}: what follows the end of the document is ignored")
    return document
