"""Values that follow from several options, and options that contradict each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orthanc_tw.config.configuration import Configuration
from orthanc_tw.config.option import Problem


def authentication_enabled(configuration: Configuration) -> bool:
    """Whether a login is asked for: as it is set, else if other machines may come in."""
    explicit = configuration.optional_boolean("AuthenticationEnabled")
    return configuration.boolean("RemoteAccessAllowed") if explicit is None else explicit


def storage_directory(configuration: Configuration) -> Path:
    """Absolute path of the attachments."""
    path = configuration.path("StorageDirectory")
    if path is None:
        raise ValueError("StorageDirectory is empty")  # validation asks for a character
    return path


def index_directory(configuration: Configuration) -> Path:
    """Absolute path of the database, by default beside the attachments."""
    return configuration.path("IndexDirectory") or storage_directory(configuration)


def stable_age_s(configuration: Configuration) -> int:
    """Seconds until a resource is stable; Orthanc takes 0 for the default."""
    return configuration.integer("StableAge") or 60


def concurrent_jobs(configuration: Configuration) -> int:
    """Number of jobs that run at a time; 0 in the file stands for one a processor."""
    return configuration.integer("ConcurrentJobs") or os.cpu_count() or 1


def contradictions(configuration: Configuration) -> Iterator[Problem]:
    """Combinations the server refuses to start with; a path begins with the option."""
    if (
        configuration.boolean("HttpServerEnabled")
        and configuration.boolean("RemoteAccessAllowed")
        and authentication_enabled(configuration)
        and not configuration.mapping("RegisteredUsers")
    ):
        yield Problem(
            ("RegisteredUsers",),
            "at least one user, since other machines have access (RemoteAccessAllowed) and "
            "must log in (AuthenticationEnabled is true or unset)",
            "none",
        )


def remarks(configuration: Configuration) -> Iterator[str]:
    """Combinations that are worth a warning."""
    if configuration.boolean("HttpServerEnabled") and configuration.boolean("RemoteAccessAllowed"):
        if not authentication_enabled(configuration):
            yield "insecure: other machines have access, and nobody must log in"
        elif not configuration.boolean("SslEnabled"):
            yield "insecure: other machines have access, and passwords travel without SslEnabled"
    elif authentication_enabled(configuration) and not configuration.mapping("RegisteredUsers"):
        yield "AuthenticationEnabled is true without RegisteredUsers: nobody can log in"
