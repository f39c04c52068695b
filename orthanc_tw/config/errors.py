"""What is raised if a configuration cannot be used."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The server cannot start with this configuration. ``str()`` is one line.

    :ivar file: the file, with ``:line`` where that is known, or the environment variable
    :ivar path: the option, with the keys inside it separated by dots; empty for the file itself
    :ivar expected: what should have been there
    :ivar found: what is there
    """

    def __init__(self, file: str, path: str, expected: str, found: str) -> None:
        super().__init__(file, path, expected, found)
        self.file = file
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """``file: path: expected ..., found ...``."""
        where = f"{self.file}: {self.path}" if self.path else self.file
        return " ".join(f"{where}: expected {self.expected}, found {self.found}".split())
