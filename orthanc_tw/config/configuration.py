"""The configuration of a server that starts: immutable, every value checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orthanc_tw.config.option import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    STRINGS,
    Json,
    JsonType,
)
from orthanc_tw.config.options import OPTIONS


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is set, and the defaults of all else.

    An accessor raises KeyError for a name that is no option, TypeError for an option of
    another type, and ValueError if the option is not set and has no default: mistakes of the
    program, not of who wrote the file. Safe in any thread.

    :ivar warnings: lines to be logged when the server starts
    """

    _values: Mapping[str, Json] = field(repr=False)
    _folders: Mapping[str, Path]
    _folder: Path
    warnings: tuple[str, ...] = ()

    def boolean(self, name: str) -> bool:
        """Value of a boolean option."""
        value: bool = self._needed(name, BOOLEAN)
        return value

    def integer(self, name: str) -> int:
        """Value of an integer option."""
        value: int = self._needed(name, INTEGER)
        return value

    def number(self, name: str) -> float:
        """Value of a number option, or of an integer one."""
        return float(self._needed(name, INTEGER, NUMBER))

    def text(self, name: str) -> str:
        """Value of a string option."""
        value: str = self._needed(name, STRING)
        return value

    def optional_boolean(self, name: str) -> bool | None:
        """Value of a boolean option, None if it is not set and has no default."""
        value: bool | None = self._get(name, BOOLEAN)
        return value

    def optional_text(self, name: str) -> str | None:
        """Value of a string option, None if it is not set and has no default."""
        value: str | None = self._get(name, STRING)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """Values of an array option; empty if it is not set (`is_set` tells)."""
        return tuple(self._get(name, STRINGS) or ())

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A copy of an object option; its default has what is not set in it."""
        default = OPTIONS[name].default or {}
        return copy.deepcopy({**default, **(self._get(name, OBJECT) or {})})

    def path(self, name: str) -> Path | None:
        """Absolute path of a file or folder option, None if it is not set or empty."""
        value = self.optional_text(name)
        if not OPTIONS[name].is_path:
            raise TypeError(f"{name} is no path")
        return self._folders.get(name, self._folder) / value if value else None

    def folder_of(self, name: str) -> Path:
        """Where relative paths inside the value of an option start."""
        return self._folders.get(name, self._folder)

    def paths(self, name: str) -> tuple[Path, ...]:
        """Absolute paths of an array of files or folders."""
        if not OPTIONS[name].is_path:
            raise TypeError(f"{name} is no array of paths")
        folder = self._folders.get(name, self._folder)
        return tuple(folder / value for value in self.strings(name))

    def is_set(self, name: str) -> bool:
        """Whether the option was set, be it to its default."""
        OPTIONS[name]  # KeyError for a name that is no option
        return name in self._values

    def to_json(self) -> dict[str, Any]:
        """A copy of all that was set, with the sections of plugins. It holds secrets."""
        return copy.deepcopy(dict(self._values))

    def _get(self, name: str, *types: JsonType) -> Json:
        option = OPTIONS[name]
        if option.type not in types:
            raise TypeError(f"{name} is {option.type.value}")
        return self._values.get(name, option.default)

    def _needed(self, name: str, *types: JsonType) -> Json:
        value = self._get(name, *types)
        if value is None:
            raise ValueError(f"{name} has no default: ask for the optional value")
        return value
