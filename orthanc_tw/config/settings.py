"""What was set, merged from several sources, each value knowing where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.option import Json

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file or an environment variable.

    :ivar name: what messages call it
    :ivar folder: what relative paths in it are relative to
    """

    name: str
    folder: Path


@dataclass(slots=True)
class Settings:
    """A tree of JSON values under construction."""

    values: dict[str, Json] = field(default_factory=dict)
    origins: dict[Keys, Source] = field(default_factory=dict)

    def add(self, document: dict[str, Json], source: Source) -> None:
        """Merge one more file: objects key by key.

        :raises ConfigurationError: a value that is no object is defined already
        """
        self._merge((), self.values, document, source, override=False)

    def override(self, document: dict[str, Json], source: Source) -> None:
        """Merge a document whose values replace those that are there."""
        self._merge((), self.values, document, source, override=True)

    def assign(self, path: Keys, value: Json, source: Source) -> None:
        """Replace the value at a path (at least one key), making the sections above it."""
        node = self.values
        for depth, key in enumerate(path[:-1], 1):
            child = node.get(key)
            if not isinstance(child, dict):
                child = node[key] = {}
                self.origins.pop(path[:depth], None)
            node = child
        node[path[-1]] = value
        self.origins = {k: s for k, s in self.origins.items() if k[: len(path)] != path}
        self.origins[path] = source

    def origin(self, path: Keys) -> Source:
        """Where the value at a path comes from, or else the nearest section that holds it.

        :raises KeyError: nothing is known of the first key of the path
        """
        heads = [path[:length] for length in range(len(path), 0, -1)]
        for head in heads:
            if head in self.origins:
                return self.origins[head]
        for head in heads:
            # A section is not listed itself: it may have been put together from several sources.
            for keys, source in self.origins.items():
                if keys[: len(head)] == head:
                    return source
        raise KeyError(path)

    def _merge(
        self,
        path: Keys,
        into: dict[str, Json],
        document: dict[str, Json],
        source: Source,
        *,
        override: bool,
    ) -> None:
        for key, value in document.items():
            here = (*path, key)
            if key not in into:
                into[key] = value
                self.origins.update((keys, source) for keys in _leaves(here, value))
            elif isinstance(into[key], dict) and isinstance(value, dict):
                self._merge(here, into[key], value, source, override=override)
            elif override:
                self.assign(here, value, source)
            else:
                raise ConfigurationError(
                    source.name,
                    ".".join(here),
                    "one definition",
                    f"it is defined twice, in {self.origin(here).name} and {source.name}",
                )


def _leaves(path: Keys, value: Json) -> Iterator[Keys]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves((*path, key), child)
    else:
        yield path
