"""Verifiers that know the right answer."""

from __future__ import annotations

import pickle
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Sample
from thinktwice.verifiers import ExactMatch, NumericMatch


async def passes(verifier: ExactMatch | NumericMatch, value: object) -> bool:
    verdict = await verifier(Sample(index=2, value=value), prompt="p")
    assert verdict.outcome in {"pass", "fail"}
    assert (verdict.verifier, verdict.sample) == (verifier.name, 2)
    assert verdict.score == (verdict.outcome == "pass")
    return verdict.outcome == "pass"


@pytest.mark.parametrize(
    ("verifier", "value", "right"),
    [
        (ExactMatch("Paris"), "paris.", True),
        (ExactMatch("Paris"), "It is Paris", False),
        (ExactMatch({"a": 1}), {"a": 1.0}, True),
        (ExactMatch(True), 1, False),
        (ExactMatch("42", key="number"), "so it is 42", True),
        (ExactMatch(42, key="number"), "so it is 42", True),
        (ExactMatch("B", key="choice"), "the answer is (b)", True),
        (ExactMatch("B", key="choice"), "no idea", False),
        (ExactMatch("a b", key=len), "xyz", True),
    ],
    ids=repr,
)
async def test_exact_match_compares_keys(verifier: ExactMatch, value: object, right: bool):
    """The same key on both sides; no key is not the right one."""
    assert await passes(verifier, value) is right


@pytest.mark.parametrize(
    ("verifier", "value", "right"),
    [
        (NumericMatch(42), "the answer is 42.0", True),
        (NumericMatch("1,000"), 1000, True),
        (NumericMatch(0.1), "0.10", True),
        (NumericMatch(Fraction(1, 3)), r"\boxed{\frac{1}{3}}", True),
        (NumericMatch(Fraction(1, 3)), "0.333", False),
        (NumericMatch(Fraction(1, 3), absolute="0.001"), "0.333", True),
        (NumericMatch(100, absolute=1), "101", True),
        (NumericMatch(100, absolute=1), "101.01", False),
        (NumericMatch(-100, relative=0.01), "-101", True),
        (NumericMatch(100, relative=0.01), "101.01", False),
        (NumericMatch(100, absolute=5, relative=0.01), "105", True),
        (NumericMatch(100), "no number", False),
        (NumericMatch(100), None, False),
        (NumericMatch(5, absolute=1), float("inf"), False),
        (NumericMatch(5, relative=1), "1e9999", False),
    ],
    ids=repr,
)
async def test_numeric_match_compares_numbers(verifier: NumericMatch, value: object, right: bool):
    """Within the larger of the tolerances; an answer without a number fails."""
    assert await passes(verifier, value) is right


async def test_the_callers_decimal_context_does_not_matter():
    """Three digits there are not three digits here."""
    with localcontext(prec=3):
        assert not await passes(NumericMatch(Decimal("1.00001"), absolute="1e-9"), "1.00002")


@pytest.mark.parametrize("verifier", [ExactMatch("x"), NumericMatch(1)], ids=repr)
def test_they_are_exact_verifiers_that_cost_nothing(verifier: ExactMatch | NumericMatch):
    """A pass is proof."""
    assert isinstance(verifier, Verifier)
    assert verifier.exact
    assert verifier.calls == 0
    assert eval(repr(verifier)) == verifier  # noqa: S307 - our own text
    assert pickle.loads(pickle.dumps(verifier)) == verifier  # noqa: S301 - our own bytes


def test_a_reference_that_cannot_be_read_is_refused():
    """At construction, before anything is paid for."""
    with pytest.raises(UsageError, match="reference"):
        ExactMatch("no letter here", key="choice")
    with pytest.raises(UsageError, match="reference"):
        NumericMatch("none")
    with pytest.raises(UsageError, match="absolute"):
        NumericMatch(1, absolute=-1)
    with pytest.raises(UsageError, match="relative"):
        NumericMatch(1, relative=float("nan"))
    with pytest.raises(UsageError, match="use one of"):
        ExactMatch("x", key="nope")
