"""Where pydantic-monty differs from CPython, and how to notice: what is noticed is unsupported."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BELIEVED: Final = frozenset(
    {
        *("ArithmeticError", "AssertionError", "Exception", "IndexError", "KeyError"),
        *("LookupError", "OverflowError", "StopIteration", "ValueError", "ZeroDivisionError"),
    }
)
"""Exceptions that mean the same there as in CPython. Any other may stand for something that it
lacks: a name, a method, an argument, a module, a form of syntax."""

KINDS: Final = """
def _thinktwice_kinds(value):
    kind = type(value).__name__
    kinds = [kind]
    if kind in ("list", "tuple", "set", "frozenset"):
        for each in value:
            kinds += _thinktwice_kinds(each)
    elif kind in ("dict", "Counter", "defaultdict"):
        for pair in value.items():
            kinds += _thinktwice_kinds(pair)
    return kinds
"""
"""Defines what lists the types in a value, run there: see `same_kinds`."""

_COUNTS_AS: Final[Mapping[str, str]] = {"Counter": "dict", "defaultdict": "dict"}

_AS_THEY_ARE: Final = frozenset({bool, bytes, complex, float, int, type(None)})

_LAZY: Final = frozenset({"enumerate", "filter", "map", "reversed", "zip"})
_CONSUMERS: Final = frozenset(
    {
        *("all", "any", "dict", "enumerate", "filter", "frozenset", "list", "map", "max", "min"),
        *("reversed", "set", "sorted", "sum", "tuple", "zip"),
    }
)


def unmistakable(value: object) -> bool:
    """Whether nothing in it can stand for something else: it holds no text, and no stand-in."""
    within = _within(value)
    return type(value) in _AS_THEY_ARE if within is None else all(map(unmistakable, within))


def same_kinds(kinds: object, value: object) -> bool:
    """Whether a value was handed over as what it was there.

    A range, a function or an iterator comes out as its `repr`, an object as a stand-in.

    Args:
        kinds: What `KINDS` found there, unless the program put something in its place.
        value: As it came out.
    """
    if not isinstance(kinds, list):
        return False
    found = [str(kind) for kind in cast("list[object]", kinds)]
    return sorted(_COUNTS_AS.get(kind, kind) for kind in found) == sorted(_kinds(value))


def _kinds(value: object) -> list[str]:
    kinds = [type(value).__name__]
    for each in _within(value) or ():
        kinds += _kinds(each)
    return kinds


def _within(value: object) -> Iterable[object] | None:
    """What a container holds; None if it is none."""
    if isinstance(value, dict):
        return cast("dict[object, object]", value).items()
    if isinstance(value, list | tuple | set | frozenset):
        return cast("Iterable[object]", value)
    return None


_ESCAPE: Final = re.compile(r"\\([^\n\r'\"])")


def parsed(program: str) -> ast.AST:
    """The syntax tree, but for the escapes in its strings.

    Those that Python does not know are a warning, which has no place in this process, or would be
    an error where warnings are.

    Raises:
        SyntaxError, ValueError: It is not Python.
        MemoryError, RecursionError: It is nested too deep.
    """
    return ast.parse(_ESCAPE.sub(r"\\\\", program))


def keeps_iterator(program: ast.AST) -> bool:
    """Whether it may notice that iterators are lists there.

    `map`, `zip` and the like and generator expressions give lists, which do not run out, and are
    equal to other lists. That makes no difference where the result is consumed on the spot, as in
    `list(map(...))` or `for a, b in zip(...)`; where it is returned, stored or passed on, it may.
    """
    consumed: set[ast.AST] = set()
    for node in ast.walk(program):
        consumed.update(_consumes(node))
    return any(_is_lazy(node) and node not in consumed for node in ast.walk(program))


def hides_missing(program: ast.AST) -> bool:
    """Whether it may take something that is missing there for a mistake of its input.

    It catches more than the exceptions that mean the same there, or asks what an object has.
    """
    return any(map(_catches_or_asks, ast.walk(program)))


def _catches_or_asks(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        same = BELIEVED - {"Exception"}
        return not all(isinstance(each, ast.Name) and each.id in same for each in caught)
    return isinstance(node, ast.Name) and node.id in {"getattr", "hasattr"}


def _consumes(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    unpacks = isinstance(node, ast.Assign) and all(map(_unpacks, node.targets))
    if unpacks or isinstance(node, ast.Starred):
        return [cast("ast.Assign | ast.Starred", node).value]
    if isinstance(node, ast.Call):
        joins = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
        if joins or (isinstance(node.func, ast.Name) and node.func.id in _CONSUMERS):
            return node.args
    return []


def _unpacks(target: ast.expr) -> bool:
    return isinstance(target, ast.Tuple | ast.List)


def _is_lazy(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _LAZY
    return isinstance(node, ast.GeneratorExp)
