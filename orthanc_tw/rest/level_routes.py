"""Routes that are alike at every level: a table of what is below a resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.spec import Spec

#: Method, path below the resource, handler that gets the level first, summary, description.
Line = tuple[str, str, Callable[..., Any], str, Spec]


def level_routes(levels: Iterable[ResourceType], table: Sequence[Line]) -> Iterator[Route]:
    """Every line of the table at every level."""
    for level in levels:
        for method, below, handler, summary, spec in table:
            path = f"/{level.plural}/<public_id>/{below}"
            yield Route(method, path, partial(handler, level), summary, spec=spec)
