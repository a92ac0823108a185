"""Agreement within and between variants, and the effective number of samples."""

from __future__ import annotations

import random
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Sample, UsageError, Vote, solve
from thinktwice.diversity import FEWEST, Diversity, Estimate, diversity
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.vary import Vary

QUESTIONS = st.lists(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=5,
).filter(lambda questions: any(a for q in questions for each in q.values() for a in each))


def pairwise(question):
    """Agreeing and all pairs, of one variant and of two, one by one."""
    drawn = [(v, a) for v, each in question.items() for a in each if a is not None]
    counts = {True: [0, 0], False: [0, 0]}
    for i, (v, a) in enumerate(drawn):
        for w, b in drawn[:i]:
            counts[v == w][0] += a == b
            counts[v == w][1] += 1
    return counts


def replies(rng, *, agree):
    """Four answers of each of four variants; a variant repeats itself with this chance."""
    own = {v: rng.choice("123") for v in "abcd"}
    return {
        v: [a if rng.random() < agree else rng.choice("123") for _ in range(4)]
        for v, a in own.items()
    }


class TestAgreement:
    """Within and between."""

    def test_by_hand(self):
        """Three pairs of one variant, of which two agree; four of two, of which one does."""
        told = diversity({"a": ["1", "1", "2"], "b": ["2", "3"]})
        assert told.within == Estimate(1 / 4)
        assert told.between == Estimate(1 / 6)
        assert told.rho is not None
        assert told.rho.value == pytest.approx((1 / 4 - 1 / 6) / (1 - 1 / 6))
        assert (told.questions, told.variants, told.n) == (1, 2, 5)

    @given(QUESTIONS)
    def test_all_pairs_of_a_question_are_counted(self, questions):
        """As if one looked at them one by one; questions that tell both count the same."""
        told = diversity(questions)
        pairs = [pairwise(each) for each in questions]
        telling = [each for each in pairs if each[True][1] and each[False][1]] or pairs
        for own, figure in ((True, told.within), (False, told.between)):
            rates = [each[own][0] / each[own][1] for each in telling if each[own][1]]
            if rates:
                assert figure is not None
                assert figure.value == pytest.approx(sum(rates) / len(rates))
            else:
                assert figure is None

    def test_it_is_unbiased(self):
        """Weighed with their chances, the rates of all outcomes are those of the model."""
        chances = {"a": {"1": 0.7, "2": 0.3}, "b": {"1": 0.2, "2": 0.8}}
        within = between = 0.0
        for outcome in product("12", repeat=4):
            drawn = {"a": outcome[:2], "b": outcome[2:]}
            chance = prod(chances[v][answer] for v, each in drawn.items() for answer in each)
            told = diversity(drawn)
            assert told.within is not None
            assert told.between is not None
            within += chance * told.within.value
            between += chance * told.between.value
        assert within == pytest.approx(((0.7**2 + 0.3**2) + (0.2**2 + 0.8**2)) / 2)
        assert between == pytest.approx(0.7 * 0.2 + 0.3 * 0.8)

    def test_what_abstained_or_failed_is_left_out(self):
        """It agrees with nobody, and is no sample."""
        drawn = [
            Sample(index=0, answer="1", variant="a"),
            Sample(index=1, answer=None, variant="a"),
            Sample(index=2, answer="1", variant="b"),
            Sample(index=3, answer="1", variant="b", error=ValueError()),
        ]
        told = diversity(drawn)
        assert (told.n, told.within, told.between) == (2, None, Estimate(1.0))


class TestEffectiveNumber:
    """What samples are worth."""

    def test_variants_that_do_not_matter(self):
        """All samples count in full."""
        told = diversity({"a": ["1", "2"], "b": ["1", "2"]})
        assert told.rho is not None
        assert told.rho.value < 0
        assert told.n_eff == Estimate(4.0)

    def test_variants_that_repeat_themselves(self):
        """Each counts once."""
        told = diversity({"a": ["1"] * 4, "b": ["2"] * 4, "c": ["3"] * 4})
        assert told.rho == Estimate(1.0)
        assert told.n_eff == Estimate(3.0)
        assert told.n_eff_of(12, variants=1) == 1.0
        assert told.n_eff_of(12, variants=12) == 12.0

    def test_unequal_numbers(self):
        """Kish's m is the mean number of draws beside which a draw stands."""
        told = diversity({"a": ["1"] * 3, "b": ["2"]})
        assert told.n_eff == Estimate(4 / (1 + (10 / 4 - 1) * 1.0))

    @given(QUESTIONS)
    def test_it_is_between_one_and_all(self, questions):
        """Whatever was drawn."""
        told = diversity(questions)
        if told.n_eff is not None:
            assert 1 - 1e-9 <= told.n_eff.value <= told.n + 1e-9

    def test_one_variant_tells_nothing_about_it(self):
        """There is nothing to compare with."""
        told = diversity({"a": ["1", "1", "2"]})
        assert (told.between, told.rho, told.n_eff) == (None, None, None)
        assert told.n_eff_of(8, variants=2) is None

    def test_neither_does_one_draw_of_each(self):
        """Agreement between is known, and within is not."""
        told = diversity({"a": ["1"], "b": ["1"], "c": ["2"]})
        assert told.between == Estimate(1 / 3)
        assert (told.within, told.rho, told.n_eff) == (None, None, None)

    def test_nor_do_samples_that_all_agree(self):
        """Correlation is about differences."""
        told = diversity({"a": ["1", "1"], "b": ["1", "1"]})
        assert (told.between, told.rho, told.n_eff) == (Estimate(1.0), None, None)

    @pytest.mark.parametrize(("n", "variants"), [(4, 0), (2, 3), (0, 1)])
    def test_a_design_that_cannot_be(self, n, variants):
        """Is refused."""
        told = diversity({"a": ["1", "2"], "b": ["1", "2"]})
        with pytest.raises(UsageError):
            told.n_eff_of(n, variants=variants)

    def test_it_predicts_the_spread_of_a_mean(self):
        """A share of votes varies over variants as that of so many independent samples does."""
        rng = random.Random(1)
        told = diversity([replies(rng, agree=0.8) for _ in range(500)])
        shares = [
            sum(answer == "1" for each in replies(rng, agree=0.8).values() for answer in each) / 16
            for _ in range(1500)
        ]
        mean = sum(shares) / len(shares)
        variance = sum((share - mean) ** 2 for share in shares) / len(shares)
        assert told.n_eff is not None
        assert told.n_eff.value == pytest.approx(mean * (1 - mean) / variance, rel=0.1)


class TestIntervals:
    """By resampling questions."""

    def test_few_questions_have_none(self):
        """They would be too short."""
        rng = random.Random(2)
        many = [replies(rng, agree=0.7) for _ in range(FEWEST)]
        told = diversity(many)
        assert told.rho is not None
        assert told.rho.low is not None
        assert told.rho.high is not None
        assert told.rho.low < told.rho.value < told.rho.high
        assert diversity(many) == told
        few = diversity(many[1:]).rho
        assert few is not None
        assert (few.low, few.high) == (None, None)

    def test_they_hold_the_truth_about_as_often_as_they_say(self):
        """In at least 13 of 16 trials: 95 % would be 15."""
        rng, held = random.Random(3), 0
        for _ in range(16):
            told = diversity([replies(rng, agree=0.7) for _ in range(25)])
            assert told.rho is not None
            held += told.rho.low <= 0.49 <= told.rho.high  # the square of the agreement
        assert held >= 13


class TestInput:
    """What can be read."""

    def results(self, n=4):
        """Full votes over two prompts, of which one is always right."""
        vary = Vary(prompts={"good": "{prompt}", "loud": str.upper})
        sampler = {"q": "391", "Q": "381"}.__getitem__
        vote = Vote(n, vary=vary, stop=AtMost(n))
        return [run_virtual(solve("q", sampler=sampler, strategy=vote)) for _ in range(3)]

    def test_results(self):
        """One or many, or the samples of one."""
        results = self.results()
        told = diversity(results)
        assert (told.questions, told.variants, told.n) == (3, 2, 4)
        assert (told.within, told.between) == (Estimate(1.0), Estimate(0.0))
        assert diversity(iter(results)) == told
        assert (
            diversity(results[0])
            == diversity(results[0].samples)
            == diversity(list(results[0].samples))
        )

    def test_by_model(self):
        """Or by whatever a sample knows."""
        drawn = [
            Sample(index=i, answer=answer, model=model)
            for i, (answer, model) in enumerate([("1", "x"), ("1", "x"), ("2", "y"), ("2", "y")])
        ]
        assert diversity(drawn).variants == 1
        assert diversity(drawn, by=lambda sample: sample.model).n_eff == Estimate(2.0)

    @pytest.mark.parametrize(
        "results",
        [
            [],
            {},
            [{"a": [None]}],
            [{"a": [["unhashable"]]}],
            [{"a": [("un", ["hashable"])]}],
            [["1", "2"]],
        ],
    )
    def test_what_cannot(self, results):
        """Is refused, without showing it."""
        with pytest.raises(UsageError) as caught:
            diversity(results)
        assert caught.value.parameter == "results"
        assert "hashable'" not in str(caught.value)

    def test_without_variants_there_is_one(self):
        """A plain vote tells how far its samples agree."""
        sampler = ScriptedSampler(["1", "1", "2", "2"])
        result = run_virtual(solve("q", sampler=sampler, strategy=Vote(4, stop=AtMost(4))))
        told = diversity(result)
        assert (told.variants, told.within) == (1, Estimate(1 / 3))


class TestShown:
    """How it looks."""

    def told(self) -> Diversity:
        rng = random.Random(4)
        return diversity([replies(rng, agree=0.8) for _ in range(60)])

    def test_as_lines(self):
        """Every figure with its interval."""
        told = self.told()
        lines = str(told).splitlines()
        assert lines[0].split() == ["questions", "60"]
        assert lines[-1] == f"effective samples      {told.n_eff}"
        assert " to " in lines[-1]

    def test_in_a_notebook(self):
        """The same facts."""
        told = self.told()
        shown = told._repr_html_()
        assert all(str(figure) in shown for figure in (told.within, told.between, told.rho))

    def test_in_one_line(self):
        """Without what is not known."""
        assert repr(self.told()).startswith("<Diversity: 16.0 samples of 4 variants, n_eff ")
        unknown = diversity({"a": ["1"]})
        assert repr(unknown) == "<Diversity: 1.0 samples of 1 variants, n_eff unknown, 1 questions>"
        assert str(unknown).count("unknown") == 4
