"""Confidences: read from log-probabilities, as a weight and as a verifier."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import BestOfN, Completion, Sample, UsageError, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Confidence, Likelihood, SelfCertainty, TokenConfidence

HALF, TENTH = math.log(0.5), math.log(0.1)
INF, NAN = math.inf, math.nan


def sample(logprobs=None, top=None) -> Sample[object]:
    return Sample(index=0, value="x", answer="x", logprobs=logprobs, top_logprobs=top)


def peaks(*confidences: float) -> Sample[object]:
    """A sample whose tokens have these confidences, of two alternatives each."""
    return sample(top=tuple((0.0, -2 * each) for each in confidences))


class TestLikelihood:
    """Probabilities of the sampled tokens."""

    def test_mean_product_and_least(self):
        """The geometric mean by default."""
        one = sample((HALF, HALF, TENTH))
        assert Likelihood().score(one) == pytest.approx((0.5 * 0.5 * 0.1) ** (1 / 3))
        assert Likelihood(over="product").score(one) == pytest.approx(0.025)
        assert Likelihood(over="least").score(one) == pytest.approx(0.1)

    def test_one_token(self):
        """All sums are the same."""
        for over in ("mean", "product", "least"):
            assert Likelihood(over=over).score(sample((HALF,))) == pytest.approx(0.5)

    @pytest.mark.parametrize("logprobs", [None, (), (HALF, NAN)], ids=str)
    def test_unknown(self, logprobs):
        """No log-probabilities, or one that is no number: never a probability of 1."""
        assert Likelihood(over="product").score(sample(logprobs)) is None
        assert Likelihood().weight(sample(logprobs)) is None

    def test_rounding_and_infinities_stay_in_range(self):
        """A log-probability above 0 is 0; minus infinity is very small, and not the end."""
        assert Likelihood().weight(sample((1e-6, 0.0))) == 1.0
        assert Likelihood().weight(sample((INF,))) == 1.0
        assert Likelihood().score(sample((-INF, 0.0))) == pytest.approx(math.exp(-50))
        assert Likelihood().score(sample((-9999.0, 0.0))) == pytest.approx(math.exp(-50))

    @given(st.lists(st.floats(-1e4, 0), min_size=1))
    def test_order(self, logprobs):
        """The least token is no more probable than the mean, and all are in [0, 1]."""
        one = sample(tuple(logprobs))
        least, mean, product = (
            Likelihood(over=over).score(one) for over in ("least", "mean", "product")
        )
        assert 0 <= product <= mean * (1 + 1e-9)
        assert least <= mean * (1 + 1e-9)
        assert mean <= 1


class TestTokenConfidence:
    """Minus the mean log-probability of the alternatives, over a trace."""

    def test_of_a_token(self):
        """In nats; larger where the distribution is more peaked."""
        flat = sample(top=((HALF, HALF),))
        peaked = sample(top=((math.log(0.99), math.log(0.01)),))
        assert TokenConfidence().score(flat) == pytest.approx(math.log(2))
        assert TokenConfidence().score(peaked) == pytest.approx(2.3076, abs=1e-3)

    @pytest.mark.parametrize(
        ("over", "expected"),
        [("mean", 3.5), ("lowest", 1.5), ("bottom", 1.5), ("tail", 5.5)],
    )
    def test_over_a_trace(self, over, expected):
        """Groups are sliding windows: here of two tokens, [1.5, 2.5, 3.5, 4.5, 5.5]."""
        trace = peaks(1, 2, 3, 4, 5, 6)
        assert TokenConfidence(over, window=2).score(trace) == pytest.approx(expected)

    def test_the_bottom_is_a_tenth_of_the_groups(self):
        """Of 20 groups the two lowest."""
        trace = peaks(*range(20, 0, -1))
        assert TokenConfidence("bottom", window=1).score(trace) == pytest.approx(1.5)

    @pytest.mark.parametrize("over", ["mean", "lowest", "bottom", "tail"])
    def test_a_trace_shorter_than_the_window(self, over):
        """Is one group."""
        assert TokenConfidence(over).score(peaks(1, 2, 6)) == pytest.approx(3)
        assert TokenConfidence(over, window=3).score(peaks(1, 2, 6)) == pytest.approx(3)

    @given(st.lists(st.floats(0, 50), min_size=1, max_size=40), st.integers(1, 50))
    def test_groups_against_their_definition(self, tokens, window):
        """For every trace and window."""
        trace = peaks(*tokens)
        size = min(window, len(tokens))
        groups = [sum(tokens[i : i + size]) / size for i in range(len(tokens) - size + 1)]
        lowest = TokenConfidence("lowest", window=window).score(trace)
        assert lowest == pytest.approx(min(groups), abs=1e-9)
        bottom = TokenConfidence("bottom", window=window).score(trace)
        assert bottom is not None
        assert lowest - 1e-9 <= bottom <= sum(groups) / len(groups) + 1e-9

    def test_tokens_differ_in_alternatives(self):
        """Each is averaged over its own; one alone says nothing, and would say the contrary."""
        assert TokenConfidence().score(sample(top=((-1.0, -3.0), (-0.01,), ()))) == 2.0
        assert TokenConfidence().score(sample(top=((-1.0, -3.0), (-2.0, -4.0, -6.0)))) == 3.0

    @pytest.mark.parametrize("top", [None, (), ((),), ((-0.5,),), ((NAN, -1.0),)], ids=str)
    def test_unknown(self, top):
        """Where no token has two alternatives."""
        assert TokenConfidence().score(sample(top=top)) is None
        assert TokenConfidence().weight(sample(top=top)) is None

    def test_what_is_not_among_the_likely(self):
        """OpenAI writes -9999 for it, others minus infinity: neither decides alone."""
        for logprob in (-9999.0, -INF):
            assert TokenConfidence().score(sample(top=((0.0, logprob),))) == 50.0

    def test_the_scale(self):
        """Weighs 1; more weighs no more."""
        confidence = TokenConfidence(scale=4)
        assert [confidence.weight(peaks(each)) for each in (1, 4, 5)] == [0.25, 1.0, 1.0]

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("over", {"over": "max"}),
            ("window", {"window": 0}),
            ("window", {"window": 1.5}),
            ("window", {"window": True}),
            ("scale", {"scale": 0}),
            ("scale", {"scale": NAN}),
            ("scale", {"scale": INF}),
        ],
    )
    def test_bad_parameters(self, parameter, given):
        """By name."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            TokenConfidence(**given)

    def test_other_bad_parameters(self):
        """Of the others."""
        with pytest.raises(UsageError, match=r"^over="):
            Likelihood(over="sum")
        with pytest.raises(UsageError, match=r"^scale="):
            SelfCertainty(scale=-1)


class TestSelfCertainty:
    """The divergence of the uniform distribution from the model's."""

    def test_against_its_definition(self):
        """KL(uniform || p), where all of the vocabulary is there."""
        chances = (0.7, 0.2, 0.1)
        divergence = sum(math.log((1 / 3) / p) / 3 for p in chances)
        one = sample(top=(tuple(map(math.log, chances)),))
        assert SelfCertainty().score(one) == pytest.approx(divergence)

    def test_uniform_is_no_certainty(self):
        """It is 0 there, and never below."""
        assert SelfCertainty().score(sample(top=((TENTH,) * 10,))) == pytest.approx(0)

    def test_it_orders_as_the_mean_token_confidence(self):
        """With the same number of alternatives they differ by a constant."""
        one, two = peaks(1, 4), peaks(2, 5)
        gap = TokenConfidence().score(two) - TokenConfidence().score(one)
        assert SelfCertainty().score(two) - SelfCertainty().score(one) == pytest.approx(gap)


class TestOneObject:
    """A weight, a verifier, and whatever asks for its score."""

    def test_as_a_weight(self):
        """Of the sample alone."""
        assert Likelihood()(sample((HALF,))) == pytest.approx(0.5)
        assert Likelihood()(sample()) is None

    def test_as_a_verifier(self):
        """With the prompt, whatever it is."""
        verdict = asyncio.run(Likelihood()(sample((HALF,)), prompt=None))
        assert (verdict.outcome, verdict.score) == ("scored", pytest.approx(0.5))
        verdict = asyncio.run(TokenConfidence()(sample((HALF,)), prompt="q"))
        assert (verdict.outcome, verdict.score) == ("not_applicable", None)

    def test_they_are_values(self):
        """Equal to their like, and written as they are made."""
        assert TokenConfidence("tail", window=5) == TokenConfidence("tail", window=5)
        assert repr(Likelihood(over="least")).startswith("Likelihood(over='least'")
        assert len({Likelihood(), Likelihood(), SelfCertainty()}) == 2

    def test_in_a_vote_and_in_best_of_n(self):
        """A confident answer outweighs two that are not."""
        sure = Completion(value="a", logprobs=(math.log(0.9),))
        unsure = Completion(value="b", logprobs=(math.log(0.3),))
        draws = [unsure, sure, unsure]
        for strategy in (
            Vote(3, weight=Likelihood(), stop=AtMost(3)),
            BestOfN(3, verifier=Likelihood()),
        ):
            result = run_virtual(solve("q", sampler=ScriptedSampler(draws), strategy=strategy))
            assert (result.value, result.agreement) == ("a", pytest.approx(0.6))

    def test_through_a_strategy_inside(self):
        """What is read is that of the winner inside."""
        draw = Completion(value="a", logprobs=(HALF,), top_logprobs=((HALF, TENTH),))
        inner = BestOfN(2, verifier=TokenConfidence(), of=Vote(2))
        result = run_virtual(solve("q", sampler=ScriptedSampler([draw]), strategy=inner))
        assert {sample.top_logprobs for sample in result.samples} == {draw.top_logprobs}
        assert [each.outcome for each in result.verdicts] == ["scored"] * 2

    def test_one_of_your_own(self):
        """Says its score; the rest comes with it, and what is no number is unknown."""

        @dataclass(frozen=True)
        class Brief(Confidence):
            name: str = "brief"
            scale: float = 10.0

            def score(self, sample: Sample[object]) -> float | None:
                return {"short": 5.0, "negative": -1.0, "endless": INF}.get(str(sample.value))

        def weight(value: str) -> float | None:
            return Brief()(Sample(index=0, value=value, answer=value))

        assert [weight(each) for each in ("short", "negative", "endless", "?")] == [
            0.5,
            0.0,
            None,
            None,
        ]


def test_what_is_no_number_is_not_known():
    """A sampler may give None where its provider said nothing."""
    odd = Sample(
        index=0, value="a", answer="a", logprobs=(None, -1.0), top_logprobs=(None, (0.0, None))
    )  # type: ignore[arg-type]
    assert [each.score(odd) for each in (Likelihood(), TokenConfidence(), SelfCertainty())] == [
        None
    ] * 3
