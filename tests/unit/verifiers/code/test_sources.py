"""Reading tests that are written as Python."""

from __future__ import annotations

import pytest

from thinktwice.errors import UsageError
from thinktwice.verifiers.code.forms import suite_of
from thinktwice.verifiers.code.sources import suite_in


def calls(text: str, **options: str) -> list[str]:
    return [test.case.expression or "" for test in suite_in(text, **options).tests]


def inside(text: str) -> list[str]:
    return [test.source for test in suite_in(text).tests if test.source]


def test_lines_of_asserts():
    """With messages, imports and comments."""
    text = "import math\n# one\nassert f(1) == 2, 'no'\n\nassert f(math.pi) == 3\nassert True\n"
    suite = suite_in(text)
    assert [test.case.expression for test in suite.tests] == ["f(1)", "f(math.pi)"]
    assert suite.support == "import math"


def test_test_functions():
    """Docstrings and names for literals are nothing to run."""
    text = '''
import pytest

def test_one():
    """One."""
    xs = [1, 2]
    n = 3
    assert f(xs, n) == [1]
    assert f(n=n) == 4

def helper():
    return 1

def test_two():
    assert f(helper()) == 5
'''
    suite = suite_in(text)
    expressions = [test.case.expression for test in suite.tests]
    assert expressions == ["f([1, 2], 3)", "f(n=3)", "f(helper())"]
    assert "def helper" in suite.support
    assert "pytest" not in suite.support


def test_a_class_that_groups_tests():
    """Its methods are functions."""
    assert calls("class TestF:\n    def test_a(self):\n        assert f(1) == 2\n") == ["f(1)"]


def test_parameters_become_literals():
    """Also of several decorators, names in a list, and rows of one name."""
    text = """
import pytest

@pytest.mark.parametrize("x, y", [(1, 2), ([3], -4)])
def test_one(x, y):
    assert f(x) == y

@pytest.mark.parametrize(["a"], [(1,)])
@pytest.mark.parametrize("b", [2, 3])
def test_two(a, b):
    assert g(a, b) == 0
"""
    with pytest.raises(UsageError, match="parametrize"):
        suite_in(text.replace("[(1, 2)", "[(x, 2)"))
    suite = suite_in(text.replace('["a"], [(1,)]', '"a", [1]'))
    told = [(test.case.expression, test.expected.value) for test in suite.tests]
    assert told == [("f(1)", 2), ("f([3])", -4), ("g(1, 2)", 0), ("g(1, 3)", 0)]


def test_a_check_of_humaneval():
    """`candidate` is the entry point."""
    text = "METADATA = {}\n\ndef check(candidate):\n    assert candidate(1) == 2\n\ncheck(f)\n"
    assert calls(text, entry_point="f") == ["f(1)"]
    with pytest.raises(UsageError, match="entry_point"):
        suite_in(text)


class TestForTheSandbox:
    """What cannot be compared outside."""

    def test_statements_that_may_change_what_is_seen_later(self):
        """From there on everything stays together."""
        text = """
def test_stack():
    assert Stack().size() == 0
    s = Stack()
    s.push(1)
    assert s.size() == 1
    assert Stack().size() == 0
"""
        suite = suite_in(text)
        assert [test.case.expression for test in suite.tests] == [
            "Stack().size()",
            "__test_stack_0()",
        ]
        assert (
            "s.push(1)\nassert s.size() == 1\nassert Stack().size() == 0" in suite.tests[1].source
        )
        assert "def __test_stack_0():" in suite.support

    @pytest.mark.parametrize(
        "body",
        [
            "for x in [1, 2]:\n        assert f(x) == x",
            "with pytest.raises(ValueError, match='x'):\n        f(-1)",
            "assert isinstance(f(1), int)",
            "assert (y := f(1)) == 1",
            "x = f(1)\n    assert x == 1",
            "xs = [1]\n    f(xs)\n    assert xs == []",
            "xs = [1]\n    assert f(xs) == 1\n    assert xs == [1]",
            "if f(1) != 1:\n        raise AssertionError",
        ],
    )
    def test_other_statements(self, body):
        """Loops, exceptions, names that a call may change."""
        suite = suite_in(f"import pytest\ndef test_one():\n    {body}\n")
        assert [bool(test.source) for test in suite.tests] == [True]
        assert suite.tests[0].expected.operator == "ok"

    def test_parameters_are_assigned_there(self):
        """So that the statements stay as they are written."""
        text = """
@pytest.mark.parametrize("x", [1])
def test_one(x):
    x = f(x)
    assert x == 1
"""
        assert inside(text) == ["x = 1\nx = f(x)\nassert x == 1"]

    def test_loose_statements_stay_together(self):
        """And are one test."""
        assert inside("s = Stack()\ns.push(1)\nassert s.size() == 1") == [
            "s = Stack()\ns.push(1)\nassert s.size() == 1"
        ]

    @pytest.mark.parametrize(
        ("text", "support"),
        [
            (
                "CASES = [1, 2]\ndef test_one():\n    for x in CASES:\n        assert f(x) == x",
                "CASES = [1, 2]\ndef __test_one_0():",
            ),
            ("ARGS = [1, 2]\ndef test_one():\n    assert f(*ARGS) == 3", "ARGS = [1, 2]"),
            ("A = 1\nB = [A]\ndef test_one():\n    assert f(B[0]) == 3", "A = 1\nB = [A]"),
            ("WANT = 3\nassert f(1) == WANT", ""),
        ],
    )
    def test_variables_of_the_file(self, text, support):
        """Are there for the functions that read them, and nowhere else."""
        written = suite_in(text).support
        assert written.startswith(support)
        assert support or not written

    def test_the_program_may_be_imported(self):
        """Its names are there already; a module of the standard library is imported."""
        suite = suite_in("from solution import f\nfrom math import pi\nassert f(pi) == 1")
        assert "try:\n    from solution import f\nexcept ImportError:" in suite.support
        assert suite.support.endswith("from math import pi")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("assert f(1 == 2", "syntax"),
        ("x = 1", "write asserts"),
        ("", "write asserts"),
        ("assert True", "write asserts"),
        ("print(1)", "write asserts"),
        ("f(1)", "write asserts"),
        ("x = f(1)\nassert True", "write asserts"),
        ("def test_a():\n    f(1)", "write asserts"),
        ("def never():\n    assert f(1)\ndef test_a():\n    f(1)", "write asserts"),
        ("def test_one(tmp_path):\n    assert f(tmp_path) == 1", "fixtures"),
        ("@pytest.fixture\ndef test_one():\n    assert f(1) == 1", "fixtures"),
        ("from pytest import fixture\nassert f(1) == 1", "only raises"),
        ("import pytest as p\nassert f(1) == 1", "only raises"),
        ("async def test_one():\n    assert f(1) == 1", "not async"),
        ("class TestA(Base):\n    def test_a(self):\n        assert f(1) == 1", "without self"),
        ("class TestA:\n    def test_a(self):\n        assert self.f(1) == 1", "without self"),
    ],
)
def test_what_cannot_be_read_is_refused(text, why):
    """When the tests are given, and not when a program is judged."""
    with pytest.raises(UsageError, match=why):
        suite_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "def alike(x):\n    assert f(x) == x\ndef test_a():\n    alike(1)",
        "assert f(1) == 1\nprint(f(2))",
        "import unittest\ndef test_a():\n    unittest.TestCase().assertEqual(f(1), 1)",
    ],
    ids=["helper", "beside", "unittest"],
)
def test_an_assertion_anywhere_will_do(text):
    """Also where it is called, or where other statements only have to end."""
    assert suite_in(text, entry_point="f").tests


def test_the_entry_point_is_what_the_tests_use():
    """Else they would pass a program without it; a method and a class are used as well."""
    for used in ("Stack", "push", "Stack.push"):
        assert suite_in("assert Stack().push(1) == 1", entry_point=used).tests
    with pytest.raises(UsageError, match=r"^entry_point='g': the tests never use it"):
        suite_in("assert f(1) == 1", entry_point="g")


class TestForms:
    """The other forms."""

    def test_pairs_of_arguments_and_value(self):
        """Each is a call of the entry point."""
        suite = suite_of([((1, "a"), 3), (([],), None), ((), {1})], entry_point="f")
        told = [(test.case.expression, test.expected.value) for test in suite.tests]
        assert told == [("f(1, 'a')", 3), ("f([])", None), ("f()", {1})]

    def test_pairs_of_input_and_output(self):
        """For whole programs."""
        suite = suite_of([("1\n", "2\n"), ("", "")])
        told = [(test.case.stdin, test.expected.value) for test in suite.tests]
        assert told == [("1\n", "2\n"), ("", "")]

    def test_a_list_of_asserts(self):
        """One a line."""
        suite = suite_of(["assert f(1) == 2", "assert f(2) == 3"])
        assert [test.case.expression for test in suite.tests] == ["f(1)", "f(2)"]

    @pytest.mark.parametrize(
        ("tests", "entry_point"),
        [
            ([], "f"),
            ([(1, 2)], "f"),
            ([((1,), 2)], None),
            ([((1,), 2, 3)], "f"),
            ([((1,), object())], "f"),
            ([((object(),), 1)], "f"),
            ([((1,), 2)], "f(1); import os"),
            (3, "f"),
            ({"a": 1}, "f"),
        ],
    )
    def test_anything_else_is_refused(self, tests, entry_point):
        """With what would do."""
        with pytest.raises(UsageError):
            suite_of(tests, entry_point=entry_point)

    @pytest.mark.parametrize("tests", [[], 3, ()])
    def test_what_was_given_is_shown(self, tests):
        """And not what was made of it."""
        with pytest.raises(UsageError) as caught:
            suite_of(tests)
        assert str(caught.value).startswith(f"tests={tests!r}: give asserts")


@pytest.mark.parametrize(
    ("count", "share", "hidden"),
    [
        (1, 1 / 3, []),
        (2, 1 / 3, []),
        (3, 1 / 3, [2]),
        (6, 1 / 3, [2, 5]),
        (10, 1 / 3, [3, 6, 9]),
        (4, 0.0, []),
        (4, 1.0, [1, 2, 3]),
    ],
)
def test_tests_are_held_back_evenly_and_run_last(count, share, hidden):
    """And one at least may be shown."""
    suite = suite_of([((i,), i) for i in range(count)], entry_point="f").holding_back(share)
    order = [test.expected.value for test in suite.tests]
    assert order == [i for i in range(count) if i not in hidden] + hidden
    assert (suite.shown, suite.hidden) == (count - len(hidden), len(hidden))
