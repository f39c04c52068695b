"""From files and environment to a configuration. Blocking I/O; before the reactor runs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orthanc_tw.config import derived, environment
from orthanc_tw.config.configuration import Configuration
from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.option import Json
from orthanc_tw.config.options import OPTIONS, PLUGIN_SECTIONS
from orthanc_tw.config.parse import parse
from orthanc_tw.config.settings import Settings, Source
from orthanc_tw.config.validate import normalize, problem


def load(paths: Sequence[Path], environ: Mapping[str, str]) -> Configuration:
    """Read, merge and check a configuration.

    :param paths: files, and folders that stand for all their ``*.json`` in sorted order; none:
        the defaults
    :param environ: variables to substitute, and those that set options
    :raises ConfigurationError: it cannot be read, or the server cannot start with it
    """
    settings = Settings()
    warnings: list[str] = []
    folder = Path.cwd()
    for index, file in enumerate(_files(paths)):
        source = Source(str(file), file.absolute().parent)
        document, found = parse(_read(file), source.name, environ)
        warnings += found
        settings.add(document, source)
        if index == 0:
            folder = source.folder
    warnings += environment.apply(settings, environ, folder)
    return check(settings, folder, warnings)


def check(settings: Settings, folder: Path, warnings: Sequence[str] = ()) -> Configuration:
    """Check what was set.

    :param folder: what the relative paths among the defaults are relative to
    :raises ConfigurationError: the server cannot start with it
    """
    values = dict(_checked(settings))
    folders = {n: settings.origin((n,)).folder for n in values if _is_path(n)}
    configuration = Configuration(values, folders, folder, (*warnings, *_remarks(settings, values)))
    for path, expected, found in derived.contradictions(configuration):
        known = path[0] in settings.values
        # Nothing says where the absence of an option is: any file will do.
        source = settings.origin(path).name if known else _any_source(settings)
        raise ConfigurationError(source, ".".join(path), expected, found)
    late = tuple(derived.remarks(configuration))
    return Configuration(values, folders, folder, configuration.warnings + late)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        # os.path, since Path.is_dir raises where a folder above may not be entered.
        if not os.path.isdir(path):
            yield path
            continue
        try:
            files = sorted(p for p in path.iterdir() if p.suffix == ".json" and p.is_file())
        except OSError as error:
            raise _unreadable(path, error) from None
        if not files:
            raise ConfigurationError(str(path), "", "*.json files in this folder", "none")
        yield from files


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    reason = error.strerror or str(error)
    return ConfigurationError(str(path), "", "a readable file or folder", reason)


def _checked(settings: Settings) -> Iterator[tuple[str, Json]]:
    for name, value in settings.values.items():
        option = OPTIONS.get(name)
        if option is None:
            yield name, value
            continue
        wrong = problem(option, value)
        if wrong:
            path = (name, *wrong.path)
            raise ConfigurationError(
                settings.origin(path).name, ".".join(path), wrong.expected, wrong.found
            )
        yield name, normalize(option, value)


def _remarks(settings: Settings, values: Mapping[str, Json]) -> Iterator[str]:
    folded = {name.casefold(): name for name in (*OPTIONS, *PLUGIN_SECTIONS)}
    for name, value in values.items():
        where = f"{settings.origin((name,)).name}: {name}"
        option = OPTIONS.get(name)
        if option is not None:
            if not option.honoured and value != option.default:
                why = option.inapplicable or "known to Orthanc, not honoured by this version"
                yield f"{where}: {why}"
        elif name in PLUGIN_SECTIONS:
            yield f"{where}: read by a plugin of Orthanc, not used by this server"
        else:
            near = difflib.get_close_matches(name.casefold(), folded, 1, 0.75)
            hint = f"; is {folded[near[0]]} meant?" if near else ""
            yield f"{where}: unknown option, ignored{hint}"


def _is_path(name: str) -> bool:
    return name in OPTIONS and OPTIONS[name].is_path


def _any_source(settings: Settings) -> str:
    for name in ("RemoteAccessAllowed", "AuthenticationEnabled"):
        if name in settings.values:
            return settings.origin((name,)).name
    return "configuration"
