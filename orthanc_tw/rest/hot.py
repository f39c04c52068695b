"""Look-up of the few routes that are matched ahead of Klein."""

from __future__ import annotations

from collections.abc import Iterable

from orthanc_tw.rest.http import Route

Pattern = tuple[tuple[str, ...], Route]


class HotRoutes:
    """Routes by method and number of segments: a short list to compare with for each."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[bytes, int, str], list[Pattern]] = {}

    def add(self, route: Route, rivals: Iterable[Route]) -> None:
        """Add a route.

        :param rivals: the routes that share its first segment
        :raises ValueError: if a converter is used, or a rival with a static segment where
            this one has a variable would be hidden by it
        """
        segments = tuple(segment for segment in route.path.split("/") if segment)
        if any("<" in segment and not _is_plain(segment) for segment in segments):
            raise ValueError(f"A hot route has plain variables only: {route.path}")
        for rival in rivals:
            if rival.method == route.method and not rival.hot and _hides(segments, rival.path):
                raise ValueError(f"The hot route {route.path} hides {rival.path}")
        key = (route.method.encode("ascii"), len(segments), segments[0] if segments else "")
        patterns = self._patterns.setdefault(key, [])
        patterns.append((segments, route))
        # The most specific first: "/jobs/<id>/pause" before "/jobs/<id>/<key>".
        patterns.sort(key=lambda pattern: sum(part[0] == "<" for part in pattern[0]))

    def find(self, method: bytes, segments: list[str]) -> tuple[Route, dict[str, str]] | None:
        """The hot route of a request and its arguments, or None."""
        key = (method, len(segments), segments[0] if segments else "")
        for pattern, route in self._patterns.get(key, ()):
            arguments: dict[str, str] = {}
            for expected, found in zip(pattern, segments, strict=True):
                if expected[0] == "<":
                    arguments[expected[1:-1]] = found
                elif expected != found:
                    break
            else:
                return route, arguments
        return None


def _is_plain(segment: str) -> bool:
    return segment[0] == "<" and segment[-1] == ">" and segment[1:-1].isidentifier()


def _hides(hot: tuple[str, ...], rival_path: str) -> bool:
    rival = [segment for segment in rival_path.split("/") if segment]
    if len(rival) != len(hot):
        return False
    return all(
        mine == theirs or mine[0] == "<" for mine, theirs in zip(hot, rival, strict=True)
    ) and any(mine[0] == "<" and theirs[0] != "<" for mine, theirs in zip(hot, rival, strict=True))
