"""Writes configuration-options.rst, the tables of options, from their catalogue.

Usage: ``python docs/generate_configuration.py``. A test fails if the file is out of date.
"""

import json
import pathlib
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "configuration-options.rst"


def render() -> str:
    """The whole file."""
    from orthanc_tw.config.options import PLUGIN_SECTIONS, TOPICS

    lines = [
        ".. Written by docs/generate_configuration.py: change the catalogue, not this file.",
        "",
    ]
    for topic in TOPICS:
        lines += [topic.title, "-" * len(topic.title), "", ".. list-table::"]
        lines += ["   :header-rows: 1", "   :widths: 26 16 14 38 6", ""]
        lines += _row("Option", "Type", "Default", "Meaning", "Acts")
        for option in topic.options:
            default = "" if option.default is None else f"``{json.dumps(option.default)}``"
            meaning = f"{_escape(option.meaning)}."
            if option.unit:
                meaning += f" Unit: {option.unit}."
            if option.allowed:
                meaning += f" Allowed: {_escape(option.allowed)}."
            if not option.honoured:
                meaning += f" No effect: {_escape(option.inapplicable or 'not built yet')}."
            kind = option.type.value.removeprefix("an ").removeprefix("a ")
            lines += _row(
                f"``{option.name}``", kind, default, meaning, "yes" if option.honoured else "no"
            )
        lines.append("")
    title = "Sections of plugins"
    lines += [title, "-" * len(title), "", "Accepted, and not used by this server:"]
    lines += [f"``{name}``," for name in sorted(PLUGIN_SECTIONS, key=str.casefold)]
    lines[-1] = lines[-1].removesuffix(",") + "."
    return "\n".join([*lines, ""])


def _row(*cells: str) -> Iterator[str]:
    for index, cell in enumerate(cells):
        yield f"   {'*' if index == 0 else ' '} - {cell}".rstrip()


def _escape(text: str) -> str:
    return text.replace("*", r"\*")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    OUTPUT.write_text(render(), encoding="utf-8")
