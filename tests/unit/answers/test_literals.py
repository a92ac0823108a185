"""Plain values as source text; `tests/properties/test_code.py` evaluates what is written."""

from __future__ import annotations

import pytest

from thinktwice.answers.literals import call_expression, literal
from thinktwice.errors import UsageError

INFINITY = float("inf")


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (None, "None"),
        (True, "True"),
        (-1, "-1"),
        (10**1200, hex(10**1200)),
        (-INFINITY, "-1e999"),
        (float("nan"), "(1e999 - 1e999)"),
        (1j, "complex(0.0, 1.0)"),
        ("a'\n", '"a\'\\n"'),
        (b"\x00", "b'\\x00'"),
        ((1,), "(1,)"),
        ((), "()"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        ({"a": [1, (2.5,)]}, "{'a': [1, (2.5,)]}"),
    ],
)
def test_plain_data(value, source):
    """Nothing has to be imported to read it."""
    assert literal(value) == source


def test_a_call():
    """Of a function or a method."""
    assert call_expression("f", [1, "a"]) == "f(1, 'a')"
    assert call_expression("Solution.f", []) == "Solution.f()"


class Number(int):
    """Has a repr that could be anything."""


@pytest.mark.parametrize("value", [object(), Number(3), [Number(3)], print, {1: object()}])
def test_anything_else_is_refused(value):
    """Its repr may be no source, or another one."""
    with pytest.raises(UsageError, match="plain data"):
        literal(value)


@pytest.mark.parametrize("name", ["", "f()", "f g", "1f", "f.", "__import__('os').f"])
def test_a_function_has_a_name(name):
    """And is no expression."""
    with pytest.raises(UsageError, match="entry_point"):
        call_expression(name, [])
