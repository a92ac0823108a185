"""What stands for pytest in a sandbox does what pytest does."""

from __future__ import annotations

import pytest

from thinktwice.verifiers.code import pytest_stand_in as stand_in


def outcome(raises, work, **options):
    """What comes of a block that expects an exception."""
    try:
        with raises(ValueError, **options) as caught:
            work()
    except BaseException as error:  # noqa: BLE001 - what it is, is compared
        return type(error).__name__
    return str(caught.value)


def fail():
    message = "a is negative"
    raise ValueError(message)


@pytest.mark.parametrize(
    ("work", "options", "expected"),
    [
        (fail, {}, "a is negative"),
        (fail, {"match": "neg"}, "a is negative"),
        (fail, {"match": "pos"}, None),
        (lambda: 1 / 0, {}, "ZeroDivisionError"),
        (lambda: None, {}, None),
    ],
)
def test_raises(work, options, expected):
    """The exception, its text, and what it is not."""
    assert outcome(stand_in.raises, work, **options) == (expected or "AssertionError")
    if expected is not None:
        assert outcome(pytest.raises, work, **options) == expected


@pytest.mark.parametrize("options", [{}, {"rel": 0.1}, {"abs": 0.5}, {"rel": 0.1, "abs": 3.0}])
@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1.0, 1.0),
        (1.0000001, 1.0),
        (1.05, 1.0),
        (-1.05, -1.0),
        (1.4, 1.0),
        (12, 10),
        (0.0, 1e-13),
        ([1.0, 2.0], [1.0, 2.00000001]),
        ([1.0], [1.0, 2.0]),
        ({"a": 1.05}, {"a": 1.0}),
        ({"b": 1.0}, {"a": 1.0}),
        (float("inf"), float("inf")),
    ],
)
def test_approx(got, expected, options):
    """Numbers, lists and dicts of them."""
    same = got == pytest.approx(expected, **options)
    assert (got == stand_in.approx(expected, **options)) is same
    assert (got != stand_in.approx(expected, **options)) is not same


def test_fail():
    """As an assert that does not hold."""
    with pytest.raises(AssertionError, match="no"):
        stand_in.pytest.fail("no")
