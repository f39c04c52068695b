"""What is known of one configuration option: a value, no behaviour of the server."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# A JSON value as the standard library reads it: validation tells its type at run time.
Json = Any


class JsonType(enum.Enum):
    """The JSON type of an option; the value is how a message calls it."""

    BOOLEAN = "a boolean"
    INTEGER = "an integer"
    NUMBER = "a number"
    STRING = "a string"
    STRINGS = "an array of strings"
    OBJECT = "an object"


BOOLEAN = JsonType.BOOLEAN
INTEGER = JsonType.INTEGER
NUMBER = JsonType.NUMBER
STRING = JsonType.STRING
STRINGS = JsonType.STRINGS
OBJECT = JsonType.OBJECT


class Problem(NamedTuple):
    """Something wrong inside the value of an option.

    :ivar path: keys below the option, from outer to inner
    :ivar expected: what should have been there
    :ivar found: what is there, never a secret
    """

    path: tuple[str, ...]
    expected: str
    found: str


Rule = Callable[[Json], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the configuration file.

    :ivar name: as it is written in the file, case included
    :ivar type: its JSON type
    :ivar default: the value if it is not set; None: it has none
    :ivar meaning: one line
    :ivar honoured: whether this version acts on it
    :ivar inapplicable: why there is nothing here that the option could act on; empty otherwise
    :ivar unit: such as ``MB`` or ``s``; empty for none
    :ivar minimum: smallest number allowed, or shortest string
    :ivar maximum: largest number allowed, or longest string
    :ivar choices: the strings allowed; compared without case if ``any_case``
    :ivar synonyms: booleans accepted in place of a string, and the string each stands for
    :ivar is_path: a file or folder, relative to the folder of the file that names it
    :ivar is_secret: the value is never repeated in a message
    :ivar rule: finds what is wrong inside an object
    :ivar example: shown in the sample for an option without default
    """

    name: str
    type: JsonType
    default: Json
    meaning: str
    honoured: bool = False
    inapplicable: str = ""
    unit: str = ""
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    any_case: bool = False
    synonyms: Mapping[bool, str] = field(default_factory=dict)
    is_path: bool = False
    is_secret: bool = False
    rule: Rule | None = None
    example: Json = None

    @property
    def allowed(self) -> str:
        """The range or the values, for documentation; empty if anything of the type will do."""
        if self.choices:
            return ", ".join([*self.choices, *(str(b).lower() for b in self.synonyms)])
        if self.minimum is None and self.maximum is None:
            return ""
        what = " characters" if self.type is JsonType.STRING else ""
        if self.type is STRING and (self.minimum, self.maximum) == (1, None):
            return "not empty"
        if self.maximum is None:
            return f"at least {self.minimum}{what}"
        if self.minimum is None:
            return f"at most {self.maximum}{what}"
        return f"{self.minimum} to {self.maximum}{what}"

    @property
    def expected(self) -> str:
        """What a value should be, for messages."""
        if self.choices:
            return f"one of {self.allowed}"
        return f"{self.type.value}, {self.allowed}" if self.allowed else self.type.value


@dataclass(frozen=True, slots=True)
class Topic:
    """Options that belong together, under a heading."""

    title: str
    options: tuple[Option, ...]
