"""Modality worklists from a folder of ``.wl`` files: DICOM files of one worklist item each.

The folder is read when a query comes, in a thread; what was parsed is kept as long as the file
stays what it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.worklist_matching import WorklistQuery, for_station
from orthanc_tw.dicom.attributes import Attributes, read_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.model.errors import ErrorCode, OrthancError

_log = Logger()
InThread = Callable[..., Deferred[Any]]


@dataclass(frozen=True, slots=True)
class WorklistSettings:
    """Section ``Worklists``.

    :ivar folder: ``Database``, absolute
    :ivar filter_issuer_aet: ``FilterIssuerAet``: a station gets the steps scheduled for it
    :ivar limit_answers: ``LimitAnswers``, 0 for all
    :ivar maximum_file_bytes: larger files are passed over
    """

    folder: str
    filter_issuer_aet: bool = False
    limit_answers: int = 0
    case_sensitive_pn: bool = False
    maximum_file_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorklistAnswers:
    """What a query found; ``is_truncated`` if ``LimitAnswers`` held some back."""

    answers: Sequence[Attributes]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class _File:
    mtime_ns: int
    size_bytes: int
    encoding: Encoding
    item: Attributes | None


class Worklists:
    """Finds worklist items. Called in the reactor thread, works in others."""

    def __init__(
        self, settings: WorklistSettings, options: RuntimeOptions, in_thread: InThread
    ) -> None:
        self._settings = settings
        self._options = options
        self._in_thread = in_thread
        self._lock = Lock()
        self._files: dict[str, _File] = {}

    def find(self, identifier: Attributes, issuer_aet: str) -> Deferred[WorklistAnswers]:
        """The items that match, in the order of the names of their files.

        :param issuer_aet: title of the one who asks
        :raises OrthancError: (as a failure) DIRECTORY_EXPECTED if the folder is not there, and
            as `WorklistQuery.of`
        """
        if self._settings.filter_issuer_aet:
            identifier = for_station(identifier, issuer_aet)
        found: Deferred[WorklistAnswers] = self._in_thread(self._find, identifier)
        return found

    def _find(self, identifier: Attributes) -> WorklistAnswers:
        query = WorklistQuery.of(identifier, case_sensitive_pn=self._settings.case_sensitive_pn)
        limit = self._settings.limit_answers
        answers: list[Attributes] = []
        for item in self._items():
            if not query.matches(item):
                continue
            if limit and len(answers) == limit:
                return WorklistAnswers(answers, True)
            answers.append(query.answer(item))
        return WorklistAnswers(answers, False)

    def _items(self) -> list[Attributes]:
        with self._lock:
            self._files = self._scan(self._files)
            return [file.item for _, file in sorted(self._files.items()) if file.item is not None]

    def _scan(self, known: dict[str, _File]) -> dict[str, _File]:
        encoding = self._options.default_encoding
        found: dict[str, _File] = {}
        try:
            with os.scandir(self._settings.folder) as entries:
                for entry in entries:
                    if not entry.name.lower().endswith(".wl"):
                        continue
                    try:
                        status = entry.stat()
                    except FileNotFoundError:
                        continue  # taken away meanwhile
                    kept = known.get(entry.name)
                    state = (status.st_mtime_ns, status.st_size, encoding)
                    if kept is None or (kept.mtime_ns, kept.size_bytes, kept.encoding) != state:
                        kept = _File(*state, self._read(entry.path, status.st_size, encoding))
                    found[entry.name] = kept
        except OSError as error:
            raise OrthancError(
                ErrorCode.DIRECTORY_EXPECTED,
                f"The folder of worklists cannot be read: {error.strerror}",
            ) from error
        return found

    def _read(self, path: str, size_bytes: int, encoding: Encoding) -> Attributes | None:
        if size_bytes > self._settings.maximum_file_bytes:
            _log.warn("A worklist file is too large: {path}", path=path)
            return None
        try:
            with open(path, "rb") as file:
                return read_attributes(file, encoding)
        except (OSError, OrthancError) as error:
            _log.warn("A worklist file cannot be read: {path}: {error}", path=path, error=error)
            return None
