"""The commented sample configuration: every option with its default."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from orthanc_tw.config.option import Json, Option
from orthanc_tw.config.options import TOPICS

_WIDTH = 78
_HEAD = (
    "Configuration of orthanc-tw: every option, with its default. Options without a default "
    "are commented out and show an example. A file needs to hold only what differs. "
    "Comments and ${VARIABLE:-default} are allowed; relative paths are relative to this file."
)


def sample() -> str:
    """A file that sets every option to its default, to be read by people and by `load`."""
    lines = ["{", *_comment(_HEAD, "  ")]
    # The last value of the document must not be followed by a comma in strict JSON.
    last = [o for topic in TOPICS for o in topic.options if o.default is not None][-1]
    for topic in TOPICS:
        lines += ["", f"  // {'-' * 8} {topic.title} {'-' * 8}"]
        for option in topic.options:
            lines += ["", *_comment(describe(option), "  "), *_entry(option, option is not last)]
    return "\n".join([*lines, "}", ""])


def describe(option: Option) -> str:
    """Meaning, unit, allowed values, and why the option has no effect, as sentences."""
    parts = [f"{option.meaning}."]
    if option.unit:
        parts.append(f"Unit: {option.unit}.")
    if option.allowed:
        parts.append(f"Allowed: {option.allowed}.")
    if not option.honoured:
        parts.append(f"No effect: {option.inapplicable or 'not built yet'}.")
    return " ".join(parts)


def _comment(text: str, indent: str) -> list[str]:
    # A name or an address broken in two could no longer be found.
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{indent}// ",
        subsequent_indent=f"{indent}// ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _entry(option: Option, comma: bool) -> Iterator[str]:
    unset = option.default is None
    text = f"{json.dumps(option.name)}: {_value(option.example if unset else option.default)}"
    lines = (text + ("," if comma or unset else "")).splitlines()
    yield from (f"  // {line}" if unset else f"  {line}" for line in lines)


def _value(value: Json) -> str:
    one_line = json.dumps(value)
    return one_line if len(one_line) <= 70 else json.dumps(value, indent=2)
