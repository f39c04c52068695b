"""Verbosity of the log by category, changed while the server runs (``/tools/log-level*``).

`LogLevels` is a `twisted.logger` predicate: ``FilteringLogObserver(observer, [levels])``
gives it effect. Events of other libraries pass; those of this package need the level of
their category: ``default`` shows warnings and worse, ``verbose`` information, ``trace`` all.
"""

from __future__ import annotations

from typing import Any

from constantly import NamedConstant  # type: ignore[import-untyped]
from twisted.logger import ILogFilterPredicate, LogEvent, LogLevel, PredicateResult
from zope.interface import implementer

DEFAULT, VERBOSE, TRACE = "default", "verbose", "trace"
_MINIMUM = {DEFAULT: LogLevel.warn, VERBOSE: LogLevel.info, TRACE: LogLevel.debug}
_ORDER = {LogLevel.debug: 0, LogLevel.info: 1, LogLevel.warn: 2, LogLevel.error: 3}
_PACKAGE = "orthanc_tw"
_CATEGORY_OF = {
    "rest": "http",
    "index": "sqlite",
    "storage": "generic",
    "dicom": "dicom",
    "net": "dicom",
    "jobs": "jobs",
}
CATEGORIES = ("generic", "plugins", "http", "sqlite", "dicom", "jobs", "lua")


@implementer(ILogFilterPredicate)
class LogLevels:
    """The level of each category. Set in the reactor thread, read in any."""

    def __init__(self) -> None:
        self._levels = dict.fromkeys(CATEGORIES, DEFAULT)

    def get(self, category: str) -> str:
        """``default``, ``verbose`` or ``trace`` of a category.

        :raises KeyError: if there is no such category
        """
        return self._levels[category]

    def loudest(self) -> str:
        """The most verbose level of all categories."""
        levels = set(self._levels.values())
        return next((level for level in (TRACE, VERBOSE) if level in levels), DEFAULT)

    def set(self, level: str, category: str | None = None) -> None:
        """Set one category, or all.

        :raises ValueError: if the level is none of the three
        :raises KeyError: if there is no such category
        """
        if level not in _MINIMUM:
            raise ValueError(level)
        for name in CATEGORIES if category is None else (category,):
            if name not in self._levels:
                raise KeyError(name)
            self._levels[name] = level

    def shows(self, level: NamedConstant, category: str) -> bool:
        """Whether events of a level are written: what is costly to tell need not be told.

        :raises KeyError: if there is no such category
        """
        return _ORDER[level] >= _ORDER[_MINIMUM[self._levels[category]]]

    def __call__(self, event: LogEvent) -> Any:
        """Say whether an event is written (`twisted.logger.ILogFilterPredicate`)."""
        package, _, rest = str(event.get("log_namespace", "")).partition(".")
        if package != _PACKAGE:
            return PredicateResult.maybe
        category = _CATEGORY_OF.get(rest.partition(".")[0], "generic")
        minimum = _MINIMUM[self._levels[category]]
        level = event.get("log_level", LogLevel.info)
        if _ORDER.get(level, 3) >= _ORDER[minimum]:
            return PredicateResult.maybe
        return PredicateResult.no
