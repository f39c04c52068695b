"""Checks of one value against its option."""

from __future__ import annotations

import json

from orthanc_tw.config.option import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    Json,
    Option,
    Problem,
)
from orthanc_tw.config.rules import is_integer, type_of

_SHOWN = 60


def has_type(option: Option, value: Json) -> bool:
    """Whether a value has the JSON type of an option, whatever its range."""
    if option.type is BOOLEAN:
        return isinstance(value, bool)
    if option.type is INTEGER:
        return is_integer(value) or (isinstance(value, float) and value.is_integer())
    if option.type is NUMBER:
        return is_integer(value) or (isinstance(value, float) and abs(value) != float("inf"))
    if option.type is STRING:
        return isinstance(value, str) or (isinstance(value, bool) and value in option.synonyms)
    if option.type is OBJECT:
        return isinstance(value, dict)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def normalize(option: Option, value: Json) -> Json:
    """The value in its canonical form: whole numbers as int, choices in their own case.

    Only for a value in which `problem` finds nothing.
    """
    if option.type is INTEGER:
        return int(value)
    if option.synonyms and isinstance(value, bool):
        return option.synonyms[value]
    if option.any_case:
        return next(c for c in option.choices if c.casefold() == value.casefold())
    return value


def problem(option: Option, value: Json) -> Problem | None:
    """The first thing that is wrong with a value, or None."""
    if not has_type(option, value):
        return _wrong_type(option, value)
    if isinstance(value, bool):
        return None
    if option.choices:
        fold = str.casefold if option.any_case else str
        if fold(value) not in {fold(choice) for choice in option.choices}:
            return Problem((), option.expected, describe(option, value))
        return None
    size = len(value) if option.type is STRING else value
    too_small = option.minimum is not None and size < option.minimum
    if too_small or (option.maximum is not None and size > option.maximum):
        return Problem((), option.expected, describe(option, value))
    if option.rule:
        return next(iter(option.rule(value)), None)
    return None


def _wrong_type(option: Option, value: Json) -> Problem:
    if option.type.name == "STRINGS" and isinstance(value, list):
        index, item = next((i, v) for i, v in enumerate(value) if not isinstance(v, str))
        return Problem((str(index),), "a string", describe(option, item))
    return Problem((), option.expected, describe(option, value))


def describe(option: Option, value: Json) -> str:
    """What a message says of a value: itself if it is short and no secret, and its type."""
    kind = type_of(value)
    if option.is_secret or isinstance(value, list | dict) or value is None:
        return kind
    text = json.dumps(value, ensure_ascii=False)
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return f"{shown} ({kind})" if isinstance(value, str) else shown
