"""Paths of fields: `address.city`, `items[0].price`; for parameters also `items[].price`.

With `[]` every position in a list is meant. A key that is no plain word stands in brackets, as it
is written in JSON: `["a.b"]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, NamedTuple, cast

from thinktwice.errors import UsageError

_STEP: Final = re.compile(r'(?:^|\.)([^.\[\]"]+)|\[([0-9]*)\]|\[("(?:[^"\\]|\\.)*")\]')
_PLAIN: Final = re.compile(r'[^.\[\]"]+')


class Name(NamedTuple):
    """The path of a field.

    Attributes:
        path: As it is shown: `items[0].price`.
        pattern: With every position left open: `items[].price`.
    """

    path: str = ""
    pattern: str = ""

    def of(self, key: Hashable, *, position: bool) -> Name:
        """The path of a part."""
        if position:
            return Name(f"{self.path}[{key}]", f"{self.pattern}[]")
        if isinstance(key, str) and _PLAIN.fullmatch(key):
            return Name(*(f"{start}.{key}" if start else key for start in self))
        shown = json.dumps(key, ensure_ascii=False) if isinstance(key, str) else repr(key)
        return Name(*(f"{start}[{shown}]" for start in self))

    def is_in(self, paths: Sequence[str]) -> bool:
        """Whether one of these paths is this one, or stands for it."""
        return self.path in paths or self.pattern in paths


@dataclass(frozen=True)
class Coupling:
    """Fields that vote as one: the pattern of the object that holds all, and the keys below it."""

    pattern: str
    members: tuple[tuple[str | int, ...], ...]


def check_paths(parameter: str, paths: Sequence[str]) -> Sequence[str]:
    """The paths, if that is what they are.

    Raises:
        UsageError: They are not.
    """
    if isinstance(paths, str) or not isinstance(paths, Sequence) or not all(map(_is_path, paths)):
        remedy = "give a tuple of paths such as 'total', 'address.city', 'items[].price'"
        raise UsageError(parameter, paths, remedy)
    return paths


def _is_path(path: object) -> bool:
    return isinstance(path, str) and bool(path) and _STEP.sub("", path) == ""


def coupling_of(group: Sequence[str]) -> Coupling:
    """Where the object is that holds all the paths, and what they are called there."""
    steps = [[match[0].removeprefix(".") for match in _STEP.finditer(path)] for path in group]
    levels = zip(*(each[:-1] for each in steps), strict=False)
    inside = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    below = [each[len(inside) :] for each in steps]
    if not below or any("[]" in each for each in below):
        remedy = "couple fields of one object: 'items[].price' and 'items[].currency'"
        raise UsageError("coupled", group, remedy)
    pattern = ""
    for step in inside:
        pattern += step if step[0] == "[" or not pattern else f".{step}"
    return Coupling(pattern, tuple(tuple(map(_key, each)) for each in below))


def _key(step: str) -> str | int:
    return cast("str | int", json.loads(step[1:-1])) if step[0] == "[" else step
