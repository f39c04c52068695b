"""What an object in the configuration may hold: one rule a shape.

A rule is given an object that is known to be one and yields its problems. A message names
the JSON type of what it found where the value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from orthanc_tw.config.option import Problem

LEVELS = ("Patient", "Study", "Series", "Instance")
USER_RANGE = range(1024, 65536)
_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def type_of(value: object) -> str:
    """The JSON type of a value, with its article."""
    return _TYPES[type(value)]


def is_integer(value: object) -> bool:
    """Whether a JSON value is an integer; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def users(value: Any) -> Iterator[Problem]:
    """``{login: password}``."""
    for login, password in value.items():
        if not login or ":" in login:
            # Basic authentication (RFC 7617) ends the login at the first colon.
            yield Problem((), "logins that are not empty and have no colon", f'"{login}"')
        if not isinstance(password, str):
            yield Problem((login,), "a string", type_of(password))


def _numbered(items: Iterator[tuple[str, object]], expected: str) -> Iterator[Problem]:
    seen: dict[int, str] = {}
    for name, number in items:
        if not isinstance(number, int) or not is_integer(number) or number not in USER_RANGE:
            yield Problem((name,), expected, str(number) if is_integer(number) else _show(number))
        elif number in seen:
            yield Problem(
                (name,), "a number of its own", f"{number}, which is that of {seen[number]}"
            )
        else:
            seen[number] = name


def _show(value: object) -> str:
    return f"{value} ({type_of(value)})" if isinstance(value, float) else type_of(value)


def user_metadata(value: Any) -> Iterator[Problem]:
    """``{name: number}``, numbers from 1024 to 65535, each once."""
    yield from _numbered(iter(value.items()), "an integer from 1024 to 65535")


def user_content_type(value: Any) -> Iterator[Problem]:
    """``{name: number}`` or ``{name: [number, MIME type]}``, numbers as for metadata."""
    expected = "an integer from 1024 to 65535, or [integer, MIME type]"
    plain: list[tuple[str, object]] = []
    for name, entry in value.items():
        if not isinstance(entry, list):
            plain.append((name, entry))
        elif len(entry) == 2 and isinstance(entry[1], str) and entry[1]:
            plain.append((name, entry[0]))
        else:
            yield Problem((name,), expected, f"an array of {len(entry)}")
    yield from _numbered(iter(plain), expected)


def tags_by_level(value: Any) -> Iterator[Problem]:
    """``{level: [tag, ...]}``."""
    for level, tags in value.items():
        if level not in LEVELS:
            yield Problem((), f"levels among {', '.join(LEVELS)}", f'"{level}"')
        elif not isinstance(tags, list):
            yield Problem((level,), "an array of strings", type_of(tags))
        else:
            for index, tag in enumerate(tags):
                if not isinstance(tag, str):
                    yield Problem((level, str(index)), "a string", type_of(tag))


def booleans(value: Any) -> Iterator[Problem]:
    """``{name: boolean}``."""
    for name, entry in value.items():
        if not isinstance(entry, bool):
            yield Problem((name,), "a boolean", type_of(entry))


def positive_integers(value: Any) -> Iterator[Problem]:
    """``{name: integer}``, at least 1."""
    for name, entry in value.items():
        if not is_integer(entry) or entry < 1:
            found = str(entry) if is_integer(entry) else type_of(entry)
            yield Problem((name,), "an integer, at least 1", found)


RETRY_FIELDS = {
    "MaximumAttempts": (1, 1000),
    "InitialDelay": (0, 86400),
    "MaximumDelay": (0, 86400),
}


def retry(value: dict[str, Any]) -> Iterator[Problem]:
    """``{"MaximumAttempts": integer, "InitialDelay": seconds, "MaximumDelay": seconds}``."""
    for name, entry in value.items():
        if name not in RETRY_FIELDS:
            yield Problem((), f"fields among {', '.join(RETRY_FIELDS)}", f'"{name}"')
            continue
        low, high = RETRY_FIELDS[name]
        kind = "an integer" if name == "MaximumAttempts" else "a number"
        fits = is_integer(entry) or (kind == "a number" and isinstance(entry, float))
        if not fits or not low <= entry <= high:
            found = str(entry) if is_integer(entry) else _show(entry)
            yield Problem((name,), f"{kind}, {low} to {high}", found)


def retries(value: Any) -> Iterator[Problem]:
    """``{job type: {"MaximumAttempts": ...}}``."""
    for name, entry in value.items():
        if not isinstance(entry, dict):
            yield Problem((name,), "an object", type_of(entry))
            continue
        for problem in retry(entry):
            yield problem._replace(path=(name, *problem.path))


# Least and greatest value of each field.
_TRANSFERS = {
    "Threads": (1, 256),
    "BucketSize": (1, 1024 * 1024),
    "CacheSize": (0, 1024 * 1024),
    "MaxPushTransactions": (1, 10000),
    "PushTransactionTimeout": (0, 366 * 86400),
    "MaxHttpRetries": (0, 1000),
    "PeerConnectivityTimeout": (1, 86400),
    "PeerCommitTimeout": (1, 86400),
    "CommitThreadsCount": (1, 256),
}


def transfers(value: Any) -> Iterator[Problem]:
    """``{"Threads": integer, ...}``; fields of other versions are let be."""
    for name, (low, high) in _TRANSFERS.items():
        found = value.get(name, low)
        if not is_integer(found) or not low <= found <= high:
            shown = str(found) if is_integer(found) else type_of(found)
            yield Problem((name,), f"an integer, {low} to {high}", shown)


def modalities(value: Any) -> Iterator[Problem]:
    """``{name: [AET, host, port, ...]}`` or ``{name: {"AET":, "Host":, "Port":}}``."""
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _fields(name, entry, ("AET", "Host", "Port"))
        elif not isinstance(entry, list) or len(entry) < 3:
            yield Problem((name,), "[title, host, port] or an object", type_of(entry))


def worklists(value: Any) -> Iterator[Problem]:
    """``{"Enable": boolean, "Database": folder, ...}``; fields of other versions are let be."""
    for name in ("Enable", "FilterIssuerAet"):
        if not isinstance(value.get(name, False), bool):
            yield Problem((name,), "a boolean", type_of(value[name]))
    if not isinstance(value.get("Database", ""), str):
        yield Problem(("Database",), "a folder", type_of(value["Database"]))
    elif value.get("Enable") is True and not value.get("Database"):
        yield Problem(("Database",), "a folder", "none")
    limit = value.get("LimitAnswers", 0)
    if not is_integer(limit) or limit < 0:
        found = str(limit) if is_integer(limit) else type_of(limit)
        yield Problem(("LimitAnswers",), "an integer, at least 0", found)


def peers(value: Any) -> Iterator[Problem]:
    """``{name: [URL, login, password]}`` or ``{name: {"Url": ...}}``."""
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _fields(name, entry, ("URL",) if "URL" in entry else ("Url",))
        elif not isinstance(entry, list) or not entry:
            yield Problem((name,), "[URL], [URL, login, password] or an object", type_of(entry))


def dictionary(value: Any) -> Iterator[Problem]:
    """``{"gggg,eeee": [VR, name, least, most, private creator]}``, the last three optional."""
    for tag, entry in value.items():
        if not isinstance(entry, list) or not 2 <= len(entry) <= 5:
            yield Problem((tag,), "an array of 2 to 5", type_of(entry))
            continue
        for index, (field, kind) in enumerate(zip(entry, (str, str, int, int, str), strict=False)):
            if not isinstance(field, kind) or isinstance(field, bool):
                expected = "a string" if kind is str else "an integer"
                yield Problem((tag, str(index)), expected, type_of(field))
        if isinstance(entry[0], str) and not re.fullmatch("[A-Z]{2}", entry[0]):
            yield Problem((tag, "0"), "a value representation such as LO", f'"{entry[0]}"')


def _fields(name: str, entry: dict[str, object], needed: tuple[str, ...]) -> Iterator[Problem]:
    for field in needed:
        if field not in entry:
            yield Problem((name, field), "a value", "none")
