"""A vote that knows how probable each text was."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import (
    Budget,
    Completion,
    Sample,
    Usage,
    UsageError,
    Vote,
    remarks,
    solve,
)
from thinktwice.stop import AtMost, Certain, GoodEnough, Quorum, Settled
from thinktwice.stop.tally import Tally
from thinktwice.strategies.perplexity_consistency import (
    KnownLead,
    PerplexityConsistency,
    Probabilities,
)
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def said(text: str, chance: float | None = None, **more) -> Completion[str]:
    """A text of two tokens with this probability."""
    logprobs = None if chance is None else (math.log(chance) / 2,) * 2
    return Completion(value=text, logprobs=logprobs, **more)


def drawn(completions, n=None, *, seconds=1.0, budget=None, **more) -> Result[str]:
    strategy = PerplexityConsistency(n or len(completions), **more)
    sampler = ScriptedSampler(completions, seconds=seconds)
    return run_virtual(
        solve("q", sampler=sampler, strategy=strategy, budget=budget, max_concurrency=16)
    )


def counted(*samples: tuple[str | None, str, float | None]) -> Probabilities[str]:
    """The answers, the texts and their probabilities."""
    known: Probabilities[str] = Probabilities(len(samples))
    for index, (answer, text, chance) in enumerate(samples):
        logprobs = None if chance is None else (math.log(chance),)
        known.add(Sample(index=index, value=text, text=text, answer=answer, logprobs=logprobs))
    return known


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("n", {"n": 0}),
            ("margin", {"margin": 0}),
            ("margin", {"margin": 1.5}),
            ("margin", {"margin": math.nan}),
            ("stop", {"stop": 3}),
            ("stop", {"stop": Quorum(9)}),
            ("stop", {"stop": GoodEnough(0.5)}),
            ("prefer", {"prefer": "speed"}),
            ("key", {"key": "nubmer"}),
            ("equivalent", {"equivalent": 3}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            PerplexityConsistency(**{"n": 8, **given})

    def test_it_is_a_value(self):
        """Written as it is made, and equal to its like."""
        written = repr(PerplexityConsistency(8, margin=0.3))
        assert written.startswith("PerplexityConsistency(n=8, margin=0.3, stop=Settled(risk=0.05)")
        assert PerplexityConsistency(8) == PerplexityConsistency(8)
        assert (PerplexityConsistency(8).draws, PerplexityConsistency(8).calls) == (8, 8)

    def test_its_rule_is_for_it_alone(self):
        """A vote has nothing that it could read."""
        with pytest.raises(UsageError, match=r"^stop="):
            Vote(8, stop=KnownLead(0.5))


class TestEstimate:
    """What is known of the answers."""

    def test_different_texts_add_up_and_equal_ones_do_not(self):
        """A text that comes again tells nothing new of its probability."""
        known = counted(
            ("4", "it is 4", 0.2), ("4", "4", 0.1), ("4", "it is 4", 0.2), ("5", "5", 0.1)
        )
        assert known.unknown == pytest.approx(0.6)
        assert known.lead == pytest.approx(0.2 / 0.6)

    def test_the_lead_is_over_the_next(self):
        """And certain where it is as large as all that is unknown."""
        assert counted(("a", "a", 0.5)).lead == 1
        assert counted(("a", "a", 0.3), ("b", "b", 0.3)).lead == 0
        assert counted(("a", "a", 0.6), ("b", "b", 0.15)).lead == 1

    def test_texts_without_an_answer_leave_less_unknown(self):
        """They have their probability, and vote for none."""
        known = counted((None, "?", 0.5), ("a", "a", 0.2))
        assert known.unknown == pytest.approx(0.3)
        assert known.lead == pytest.approx(2 / 3)

    def test_probabilities_that_add_up_to_more_than_one(self):
        """As they do where the end of a text is not among its tokens."""
        known = counted(("a", "a", 0.7), ("b", "b", 0.5))
        assert (known.unknown, known.lead) == (0, 1)
        assert counted(("a", "a", 0.7), ("b", "b", 0.7)).lead == 0

    @pytest.mark.parametrize("logprobs", [None, (), (math.nan,)], ids=str)
    def test_unknown_probabilities(self, logprobs):
        """Those votes count as votes; no log-probability is not a probability of 1."""
        known: Probabilities[str] = Probabilities(2)
        known.add(Sample(index=0, value="a", text="a", answer="a", logprobs=logprobs))
        assert (known.unknown, known.lead, known.unweighted) == (1, 0, True)

    @pytest.mark.parametrize(
        ("usage", "unknown"),
        [
            (Usage(output_tokens=3, source="provider"), 0.8),
            (Usage(output_tokens=4, source="provider"), 1),
            (Usage(output_tokens=900, reasoning_tokens=899, source="provider"), 1),
            (Usage(output_tokens=900, source="estimated"), 0.8),
            (Usage(source="provider"), 0.8),
        ],
        ids=str,
    )
    def test_more_was_written_than_is_shown(self, usage, unknown):
        """Hidden reasoning, or other calls: the probability is not that of the text."""
        known: Probabilities[str] = Probabilities(1)
        said = {"value": "a", "text": "a", "answer": "a", "logprobs": (math.log(0.2),)}
        known.add(Sample(index=0, usage=usage, **said))
        assert known.unknown == pytest.approx(unknown)

    def test_failures_have_no_text(self):
        """Nor a probability."""
        known: Probabilities[str] = Probabilities(2)
        known.add(Sample(index=0, error=KeyError("x"), logprobs=(-0.1,)))
        assert known.unknown == 1
        assert known.winner() == (None, None)

    def test_values_without_text_are_told_apart_by_answer(self):
        """So each answer is counted once, which is less than it may have."""
        known: Probabilities[object] = Probabilities(2)
        for index in range(2):
            known.add(Sample(index=index, value={}, answer="a", logprobs=(math.log(0.2),)))
        assert known.unknown == pytest.approx(0.8)

    def test_what_is_unknown_is_shared_as_the_votes_are(self):
        """So an answer has what is known of it, and its share of the rest."""
        known = counted(("a", "a", 0.2), ("b", "b1", 0.05), ("b", "b2", 0.05))
        winner, share = known.winner()
        assert winner is not None
        assert (winner.answer, share) == ("b", pytest.approx(0.1 + 0.7 * 2 / 3))
        known = counted(("a", "a", 0.5), ("b", "b1", 0.05), ("b", "b2", 0.05))
        winner, share = known.winner()
        assert winner is not None
        assert (winner.answer, share) == ("a", pytest.approx(0.5 + 0.4 / 3))

    def test_the_most_probable_text_is_returned(self):
        """Of the winning answer; the first of equal ones."""
        known = counted(("a", "long", 0.1), ("a", "short", 0.3), ("a", "short", 0.3))
        winner, _ = known.winner()
        assert winner is not None
        assert winner.index == 1

    def test_abstentions_may_have_it_all(self):
        """Then the votes decide."""
        known = counted((None, "?", 1.0), ("a", "a", None), ("b", "b", None), ("b", "b", None))
        winner, share = known.winner()
        assert winner is not None
        assert (winner.answer, share) == ("b", pytest.approx(2 / 3))

    def test_long_texts_are_a_plain_vote(self):
        """Their probabilities are too small to be numbers."""
        known = counted(("a", "a", 1e-300), ("b", "b1", 1e-300), ("b", "b2", 1e-300))
        winner, share = known.winner()
        assert winner is not None
        assert (winner.answer, share) == ("b", pytest.approx(2 / 3))
        assert known.lead < 1e-40


class TestEnd:
    """When it stops."""

    def test_one_probable_text_settles_it(self):
        """No other answer can have as much."""
        result = drawn([said("a", 0.6)] * 16, prefer="cost")
        assert (result.value, result.used, result.stopped_by) == ("a", 1, KnownLead(0.5))
        assert result.settled is not None
        assert result.settled.holds
        assert result.settled.text.startswith("no other answer is more probable")

    def test_a_margin_below_one_is_no_proof(self):
        """It stops, and claims nothing."""
        result = drawn([said("a", 0.4)] * 16, prefer="cost")
        assert (result.used, result.stopped_by) == (1, KnownLead(0.5))
        assert result.settled is not None
        assert not result.settled.holds
        proof = drawn([said("a", 0.4), said("a!", 0.3)] * 8, prefer="cost", margin=1.0, key=None)
        assert proof.used == 2

    def test_the_votes_may_settle_it_before(self):
        """By the rule of a vote, as if nothing were known."""
        result = drawn([said("a", 0.01)] * 16, prefer="cost")
        assert (result.used, result.stopped_by) == (3, Settled(0.05))
        result = drawn([said("a", 0.01)] * 16, prefer="cost", stop=AtMost(16))
        assert (result.used, result.stopped_by) == (16, AtMost(16))
        result = drawn([said("a", 0.01)] * 16, prefer="cost", stop=Certain())
        assert (result.used, result.stopped_by) == (8, Certain())

    def test_probability_beats_frequency(self):
        """A rare but more probable answer: an accident of sampling is set right."""
        draws = [said("b", 0.05), said("b", 0.05), said("a", 0.45)]
        assert drawn(draws, margin=0.9, stop=AtMost(3)).value == "a"
        assert drawn([said("b"), said("b"), said("a")], stop=AtMost(3)).value == "b"

    def test_preferences(self):
        """One by one, two at a time at first, or all at once."""
        draws = [said("a", 0.6)] * 16
        launched = {p: drawn(draws, prefer=p).launched for p in ("cost", "balanced", "latency")}
        assert launched == {"cost": 1, "balanced": 2, "latency": 16}

    @settings(max_examples=40)
    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from([None, 0.01, 0.1, 0.3, 0.6])),
            min_size=1,
            max_size=12,
        ),
        st.sampled_from([0.2, 0.5, 1.0]),
    )
    def test_cost_throws_nothing_away(self, draws, margin):
        """For any draws: all that is launched is used, and an answer is returned."""
        result = drawn([said(*draw) for draw in draws], margin=margin, prefer="cost")
        assert result.launched == result.used == len(result.samples)
        assert result.value in {text for text, _ in draws}
        assert result.agreement is not None
        assert 0 < result.agreement <= 1 + 1e-9

    def test_a_budget_cut(self):
        """Returns the best so far; what is proved stays proved."""
        result = drawn(
            [said("a", 0.2), said("b", 0.1)], 16, budget=Budget(calls=2), stop=AtMost(16)
        )
        assert (result.value, result.used) == ("a", 2)
        assert result.cut is not None
        assert result.settled is not None
        assert result.settled.text == "no claim: void by known probabilities"
        assert remarks.CUT in result.warnings


class TestWithoutProbabilities:
    """It is a vote then."""

    def test_the_vote_and_its_claim(self):
        """As `Vote` would return, launch for launch."""
        texts = ["a", "a", "b", "a", "a", "b", "a", "a"]
        plain = run_virtual(solve("q", sampler=ScriptedSampler(texts), strategy=Vote(8)))
        result = drawn([said(text) for text in texts])
        assert (result.value, result.used) == (plain.value, plain.used)
        assert result.agreement == pytest.approx(plain.agreement)
        assert result.settled == plain.settled
        assert result.warnings == (remarks.UNWEIGHTED,)

    def test_some_are_unknown(self):
        """They vote, and are shared what is unknown like all."""
        draws = [said("b"), said("a", 0.4), said("a", 0.4), said("b")]
        result = drawn(draws, margin=1.0, stop=AtMost(4))
        assert result.value == "a"
        assert result.agreement == pytest.approx(0.4 + 0.6 / 2)

    def test_nothing_usable(self):
        """No answer, no error."""
        result = drawn([said("a", 0.5, finish_reason="length")] * 3)
        assert (result.value, result.agreement) == (None, None)

    def test_equivalent_voids_the_claim_of_the_votes(self):
        """As in a vote."""
        result = drawn([said("a1"), said("a2"), said("b")], equivalent=lambda x, y: x[0] == y[0])
        assert result.settled is not None
        assert "equivalent" in result.settled.text


def _model(seed: int) -> list[tuple[str, str, float]]:
    """A model that writes one of twelve texts, each with one of three answers."""
    order = random.Random(seed)
    raw = [order.random() ** 3 for _ in range(12)]
    return [(order.choice("abc"), f"text {i}", x / sum(raw)) for i, x in enumerate(raw)]


class TestProof:
    """What a margin of 1 proves."""

    @settings(max_examples=60)
    @given(st.integers(0, 10**6))
    def test_the_answer_is_the_most_probable_one(self, seed):
        """For any model and any order of draws, whenever it says so."""
        model = _model(seed)
        true: Counter[str] = Counter()
        for answer, _, chance in model:
            true[answer] += chance
        order = random.Random(seed + 1)
        weights = [chance for *_, chance in model]
        known: Probabilities[str] = Probabilities(64)
        for index in range(64):
            [(answer, text, chance)] = order.choices(model, weights)
            known.add(
                Sample(
                    index=index, value=text, text=text, answer=answer, logprobs=(math.log(chance),)
                )
            )
            if known.lead >= 1:
                winner, _ = known.winner()
                assert winner is not None
                assert true[winner.answer] == pytest.approx(max(true.values()))
                break

    def test_what_the_rule_reads(self):
        """The lead that it finds in the place of a score; the next draw may be enough."""
        rule = KnownLead(0.5)
        assert rule.fired(Tally(4)) is None
        assert rule.fired(Tally(4, best_score=0.4)) is None
        assert rule.fired(Tally(4, best_score=0.5)) is rule
        assert rule.soonest(Tally(4, best_score=0.5)) == 0
        assert rule.soonest(Tally(4, best_score=0.4)) == 1
        assert rule.soonest(Tally(4, finished=4)) == 0
