"""Reading what an assert expects."""

from __future__ import annotations

import ast

import pytest

from thinktwice.verifiers.code.asserts import readings, value_of
from thinktwice.verifiers.code.expectation import Comparison, Expectation, Tolerance

INFINITY = float("inf")


def read(condition: str):
    return readings(ast.parse(condition, mode="eval").body)


@pytest.mark.parametrize(
    ("condition", "expression", "operator", "value"),
    [
        ("f(1, 2) == 3", "f(1, 2)", "==", 3),
        ("3 == f(1)", "f(1)", "==", 3),
        ("f(1) is None", "f(1)", "==", None),
        ("f(1) is not True", "f(1)", "!=", True),
        ("f(1) != [1]", "f(1)", "!=", [1]),
        ("2 < f(1)", "f(1)", ">", 2),
        ("f(1) <= 2", "f(1)", "<=", 2),
        ("f(1) in (1, 2)", "f(1)", "in", (1, 2)),
        ("f(1) not in [1]", "f(1)", "not in", [1]),
        ("f(1)", "f(1)", "true", None),
        ("not f(1)", "f(1)", "false", None),
        ("f(x=-1) == {'a': {1}}", "f(x=-1)", "==", {"a": {1}}),
        ("sorted(f([2, 1])) == [1, 2]", "sorted(f([2, 1]))", "==", [1, 2]),
        ("Stack().push(1).size() == 1", "Stack().push(1).size()", "==", 1),
        ("f(1)[0] == 1", "f(1)[0]", "==", 1),
        ("f(set([1])) == frozenset([2])", "f(set([1]))", "==", frozenset([2])),
        ("f(float('inf')) == float('-inf')", "f(float('inf'))", "==", -INFINITY),
    ],
)
def test_a_call_and_a_literal(condition, expression, operator, value):
    """The call goes into the sandbox, the literal does not."""
    assert read(condition) == [(expression, Expectation(operator=operator, value=value))]


@pytest.mark.parametrize(
    ("condition", "value", "tolerance"),
    [
        ("f(1) == approx(3)", 3.0, Tolerance(relative=1e-6, absolute=1e-12)),
        ("f(1) == pytest.approx(3, rel=0.1)", 3.0, Tolerance(relative=0.1, absolute=1e-12)),
        ("f(1) == pytest.approx([1, 2.5], abs=0.1)", [1.0, 2.5], Tolerance(absolute=0.1)),
        ("math.isclose(f(1), 3)", 3.0, Tolerance(relative=1e-9)),
        ("isclose(f(1), 3, abs_tol=0.5)", 3.0, Tolerance(absolute=0.5)),
        ("abs(f(1) - 3) < 1e-6", 3.0, Tolerance(absolute=1e-6)),
        ("abs(3 - f(1)) <= 0.5", 3.0, Tolerance(absolute=0.5)),
    ],
)
def test_a_number_that_is_near(condition, value, tolerance):
    """As pytest and math have it, or by hand."""
    assert read(condition) == [("f(1)", Expectation(value=value, tolerance=tolerance))]


def test_joined_conditions_are_read_one_by_one():
    """Each is a test."""
    assert [each.expression for each in read("f(1) == 2 and f(2) == 3") or []] == ["f(1)", "f(2)"]
    assert read("f(1) == 2 and isinstance(f(1), int)") is None


@pytest.mark.parametrize("condition", ["True", "1 == 1", "'a message'", "(1, 2)"])
def test_literals_alone_test_nothing(condition):
    """As in `assert True, "done"`."""
    assert read(condition) == []


@pytest.mark.parametrize(
    "condition",
    [
        "isinstance(f(1), int)",  # the program could define isinstance
        "'a' in f(1)",  # or a class with __contains__
        "all(f(1)) == True",
        "f(f(1)) == f(2)",
        "f(1) == 1 or f(1) == 2",
        "1 < f(2) < 3",
        "f(1) == x",
        "x == 3",
        "len([1]) == 1",
        "f(1) == approx(3, nan_ok=True)",
        "f(1) == open('x')",
        "f(1) == float('x')",
        "any(f(x) for x in [1])",
    ],
)
def test_the_rest_is_for_the_sandbox(condition):
    """There is no value to keep outside, or one that anybody would guess."""
    assert read(condition) is None


@pytest.mark.parametrize("source", ["f(1)", "x", "set(x)", "dict(a=1)", "int('3')", "[x]"])
def test_what_is_no_literal(source):
    """Nothing is evaluated."""
    with pytest.raises(ValueError, match=r".*"):
        value_of(ast.parse(source, mode="eval").body)


class TestComparison:
    """Types count, unless they are told not to."""

    @pytest.mark.parametrize(
        ("got", "expected", "strictly", "as_python"),
        [
            (1, 1, True, True),
            (True, 1, False, True),
            (1.0, 1, False, True),
            ((1,), [1], False, False),
            ("1", 1, False, False),
            ({1, 2}, {2, 1}, True, True),
            ({"a": 1.0}, {"a": 1}, False, True),
            ([[1], True], [[1], 1], False, True),
            (object(), 1, False, False),
        ],
    )
    def test_strict_or_as_python_has_it(self, got, expected, strictly, as_python):
        """At any depth."""
        assert Comparison().same(got, expected) is strictly
        assert Comparison(strict=False).same(got, expected) is as_python

    @pytest.mark.parametrize(
        ("got", "expected", "near"),
        [
            (1.05, 1.0, True),
            (1, 1.0, True),
            (1.2, 1.0, False),
            (True, 1.0, False),
            (1.05, 1, False),  # an int is expected as it is
            ([1.05, (2.0,)], [1.0, (2.0,)], True),
            ([1.05], (1.0,), False),
            ([1.0, 1.0], [1.0], False),
            ({"a": 1.05}, {"a": 1.0}, True),
            ({"b": 1.0}, {"a": 1.0}, False),
            (float("nan"), float("nan"), True),
            (INFINITY, INFINITY, True),
            (INFINITY, 1.0, False),
            (1.0, INFINITY, False),
            ("x", 1.0, False),
        ],
    )
    def test_a_tolerance_is_for_floats(self, got, expected, near):
        """At any depth."""
        assert Comparison(tolerance=Tolerance(absolute=0.1)).same(got, expected) is near

    def test_a_relative_tolerance_grows_with_what_is_expected(self):
        """And the larger of the two counts."""
        both = Tolerance(relative=0.01, absolute=0.5)
        assert both.covers(1009.0, 1000.0)
        assert not both.covers(1011.0, 1000.0)
        assert both.covers(1.4, 1.0)


class TestExpectation:
    """The right side of a test."""

    @pytest.mark.parametrize(
        ("operator", "value", "holds", "fails"),
        [
            ("==", 3, 3, 4),
            ("!=", 3, 4, 3),
            ("<", 3, 2, 3),
            ("<=", 3, 3, 4),
            (">", 3, 4, "a"),
            (">=", 3, 3, None),
            ("in", [1, 2], 1, 3),
            ("not in", [1, 2], 3, 1),
            ("in", "abc", "a", 1),
            ("true", None, [1], []),
            ("false", None, "", "a"),
        ],
    )
    def test_holds(self, operator, value, holds, fails):
        """What cannot be compared does not hold."""
        expected = Expectation(operator=operator, value=value)
        assert expected.holds(holds, Comparison())
        assert not expected.holds(fails, Comparison())

    def test_it_reads_as_the_rest_of_a_sentence(self):
        """In feedback."""
        about = Expectation(value=1.5, tolerance=Tolerance(absolute=0.1))
        assert str(about) == "about `1.5`"
        assert str(Expectation(value=[1])) == "`[1]`"
        assert str(Expectation(operator="<", value=3)) == "< `3`"
        assert str(Expectation(operator="true")) == "something true"
