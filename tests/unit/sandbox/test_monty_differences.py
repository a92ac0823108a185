"""Noticing where pydantic-monty differs from CPython."""

from __future__ import annotations

import warnings

import pytest

from thinktwice.sandbox.monty_differences import (
    hides_missing,
    keeps_iterator,
    parsed,
    same_kinds,
    unmistakable,
)


@pytest.mark.parametrize(
    "program",
    [
        "list(map(int, x))",
        "for a, b in zip(x, y): pass",
        "[a for a in reversed(x)]",
        "print(*map(str, x))",
        "', '.join(str(i) for i in x)",
        "a, b = map(int, x)",
        "dict(zip(a, b))",
        "sum(i for i in x)",
        "sorted(set(map(f, y)))",
        "map = 3",
    ],
)
def test_an_iterator_that_is_consumed_on_the_spot_makes_no_difference(program: str) -> None:
    """It might as well be a list."""
    assert not keeps_iterator(parsed(program))


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return map(int, x)",
        "x = zip(a, b)",
        "g(i for i in x)",
        "f = lambda x: reversed(x)",
        "x = (i for i in y)",
        "any(x in zip(a) for i in y)",
        "yielded = enumerate(x), 1",
        "[filter(None, x)]",
    ],
)
def test_an_iterator_that_is_kept_may_make_one(program: str) -> None:
    """It runs out, and is equal to no list."""
    assert keeps_iterator(parsed(program))


@pytest.mark.parametrize(
    ("program", "hides"),
    [
        ("try: f()\nexcept ValueError: pass", False),
        ("try: f()\nexcept (KeyError, IndexError): pass", False),
        ("try: f()\nfinally: pass", False),
        ("try: f()\nexcept: pass", True),
        ("try: f()\nexcept Exception: pass", True),
        ("try: f()\nexcept (KeyError, AttributeError): pass", True),
        ("try: f()\nexcept module.Error: pass", True),
        ("hasattr(x, 'y')", True),
        ("getattr(x, 'y', None)", True),
    ],
)
def test_a_program_that_catches_what_is_missing_is_noticed(program: str, *, hides: bool) -> None:
    """Its mistake would not be its own."""
    assert hides_missing(parsed(program)) == hides


@pytest.mark.parametrize(
    ("kinds", "value", "same"),
    [
        (["int"], 1, True),
        (["list", "int", "str"], ["a", 1], True),
        (["Counter", "tuple", "str", "int"], {"a": 1}, True),
        (["range"], "range(0, 3)", False),
        (["list", "range"], ["range(0, 3)"], False),
        (["function"], "<function>", False),
        (["E"], object(), False),
        (["bool"], 1, False),
        (5, 5, False),
        ([5, []], 5, False),
    ],
)
def test_a_value_that_was_handed_over_as_another_is_noticed(
    kinds: object, value: object, *, same: bool
) -> None:
    """By the types in it, before and after."""
    assert same_kinds(kinds, value) == same


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1, True),
        ([(1, 2.0), {3: None}, {True}, b"x"], True),
        ("range(0, 3)", False),
        ([{1: ["x"]}], False),
        ({"x": 1}, False),
        (object(), False),
    ],
)
def test_only_texts_and_stand_ins_can_be_mistaken(value: object, *, plain: bool) -> None:
    """Numbers, and what holds nothing else, come out as they were."""
    assert unmistakable(value) == plain


@pytest.mark.parametrize(
    "program", [r"x = '\d'", r"x = '\\d\'\\'", "x = 1\\\n+2", r"r'\.'", "'\\\n'"]
)
def test_looking_at_a_program_warns_of_nothing(program: str) -> None:
    """A warning about its text would be an error where warnings are."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parsed(program)
