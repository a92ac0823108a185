"""Solutions judged step by step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import BestOfN, Sample, UsageError, Verdict, solve
from thinktwice.calls import call
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers.steps import StepVerifier, split_steps

DRAFT = "30*8=250\n4*8=32\n250+32=282"
SCORES = {"30*8=250": 0.2, "4*8=32": 0.9, "250+32=282": 0.6}


def sample(text=DRAFT):
    return Sample(index=3, value=text, text=text)


def head(prompt, steps):
    """A value head that knows the steps."""
    return [SCORES[step] for step in steps]


class LineCheck:
    """A verifier of lines `a op b = c`: what is no equation is nothing to check."""

    name, exact, role = "lines", False, "tool"

    def __init__(self):
        self.seen = []

    async def __call__(self, sample, /, *, prompt):
        self.seen.append(sample.value)
        for line in str(sample.value).splitlines():
            left, equals, right = line.partition("=")
            if not equals:
                return Verdict(outcome="not_applicable")
            if eval(left) != int(right):  # noqa: S307 - our own text
                return Verdict(outcome="fail", feedback=f"{left} is {eval(left)}.")  # noqa: S307
        return Verdict(outcome="pass")


class TestAggregates:
    """How scores become one."""

    @pytest.mark.parametrize(
        ("aggregate", "score"),
        [("last", 0.6), ("min", 0.2), ("product", 0.2 * 0.9 * 0.6), ("mean", 1.7 / 3)],
    )
    async def test_each_is_what_it_says(self, aggregate, score):
        """The parameter decides the score, and not the name of it alone."""
        found = await StepVerifier(head, aggregate=aggregate)(sample(), prompt="q")
        assert found.outcome == "scored"
        assert found.score == pytest.approx(score)

    async def test_the_aggregate_decides_which_sample_wins(self):
        """A run whose scores were always those of the last step would return the same each time."""
        chances = {"bad\nend well": [0.1, 0.9], "fair\nend fairly": [0.6, 0.7]}

        def scorer(prompt, steps):
            return chances["\n".join(steps)]

        winners = {}
        for aggregate in ("last", "min", "product", "mean"):
            verifier = StepVerifier(scorer, aggregate=aggregate)
            result = await solve(
                "q",
                sampler=ScriptedSampler(list(chances)),
                strategy=BestOfN(2, verifier=verifier, key=lambda value: value, prefer="cost"),
            )
            winners[aggregate] = result.value.split("\n")[0]
        assert winners == {"last": "bad", "min": "fair", "product": "fair", "mean": "fair"}

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
    async def test_all_are_between_none_and_certain(self, chances):
        """A score stays one, and no aggregate is above the best step."""
        text = "\n".join(map(str, range(len(chances))))
        for aggregate in ("last", "min", "product", "mean"):
            verifier = StepVerifier(lambda *_: chances, aggregate=aggregate)
            found = await verifier(sample(text), prompt="q")
            assert found.score is not None
            assert 0 <= found.score <= max(chances) + 1e-9


class TestFeedback:
    """The first bad step."""

    async def test_it_quotes_the_first_step_that_looks_wrong(self):
        """By number and words."""
        found = await StepVerifier(head)(sample(), prompt="q")
        assert found.feedback == 'Step 1, "30*8=250", is the first that looks wrong.'
        assert found.evidence == ("steps: 0.20 0.90 0.60",)
        assert (found.verifier, found.sample) == ("steps", 3)

    async def test_the_threshold_says_what_looks_wrong(self):
        """Nothing does, at .1."""
        assert (await StepVerifier(head, threshold=0.1)(sample(), prompt="q")).feedback is None

    async def test_what_is_quoted_is_cut_and_clean(self):
        """A step may be long, and hold anything."""
        text = "\x1b[31m" + "9" * 5000
        found = await StepVerifier(lambda *_: [0.0])(sample(text), prompt="q")
        assert found.feedback is not None
        assert "\x1b" not in found.feedback
        assert len(found.feedback) < 300


class TestScorers:
    """What a callable may do."""

    async def test_it_gets_the_prompt_and_the_steps(self):
        """Sync or async, a function or an object."""

        class Value:
            async def __call__(self, prompt, steps):
                assert (prompt, steps) == ("q", ["a", "b"])
                return (0.5, 0.75)

        assert (await StepVerifier(Value())(sample("a\n\nb"), prompt="q")).score == 0.75

    @pytest.mark.parametrize(
        ("returned", "why"),
        [
            ([0.5], "1 scores for 3 steps"),
            ([0.5, 0.5, 1.5], "not in [0, 1]"),
            ([0.5, 0.5, float("nan")], "not in [0, 1]"),
            ([0.5, None, 0.5], "not in [0, 1]"),
            (0.5, "float"),
            ("abc", "str"),
        ],
    )
    async def test_nonsense_is_an_error_and_no_low_score(self, returned, why):
        """It says nothing of the sample."""
        found = await StepVerifier(lambda *_: returned)(sample(), prompt="q")
        assert found.outcome == "error"
        assert why in found.evidence[0]

    @pytest.mark.usefixtures("silent_remarks")
    async def test_what_it_raises_is_an_error_verdict_of_the_run(self):
        """As of any verifier."""

        def broken(prompt, steps):
            raise OSError

        result = await solve(
            "q",
            sampler=ScriptedSampler(["a"]),
            strategy=BestOfN(1, verifier=StepVerifier(broken)),
        )
        assert [each.outcome for each in result.verdicts] == ["error"]

    async def test_without_steps_there_is_nothing_to_check(self):
        """An empty text."""
        found = await StepVerifier(head)(sample(" \n "), prompt="q")
        assert found.outcome == "not_applicable"

    async def test_the_split_can_be_given(self):
        """By sentences, say."""
        verifier = StepVerifier(lambda _, s: [0.5] * len(s), split=lambda text: text.split(". "))
        found = await verifier(sample("a. b. c"), prompt="q")
        assert found.evidence == ("steps: 0.50 0.50 0.50",)


class TestVerifiers:
    """A verifier of steps, or of beginnings."""

    async def test_line_by_line(self):
        """A line without an equation is left out; the failure stays one, with its feedback."""
        lines = LineCheck()
        verifier = StepVerifier(lines, on="step", aggregate="min")
        found = await verifier(sample(f"First:\n{DRAFT}"), prompt="q")
        assert (found.outcome, found.score) == ("fail", 0.0)
        assert found.feedback == ('Step 2, "30*8=250", is the first that looks wrong. 30*8 is 240.')
        assert lines.seen[1] == "30*8=250"
        assert verifier.role == "tool"

    async def test_if_all_steps_pass_it_passes(self):
        """And is no proof."""
        verifier = StepVerifier(LineCheck(), on="step", aggregate="min")
        found = await verifier(sample("1+1=2\n2+2=4"), prompt="q")
        assert (found.outcome, found.score, verifier.exact) == ("pass", 1.0, False)

    async def test_beginnings(self):
        """Each with what was written before."""
        lines = LineCheck()
        found = await StepVerifier(lines)(sample("1+1=2\n2+2=5"), prompt="q")
        assert lines.seen == ["1+1=2", "1+1=2\n2+2=5"]
        assert found.outcome == "fail"
        assert found.feedback is not None
        assert found.feedback.startswith('Step 2, "2+2=5"')

    async def test_nothing_to_check_anywhere(self):
        """Says so."""
        verifier = StepVerifier(LineCheck(), on="step", aggregate="min")
        assert (await verifier(sample("a\nb"), prompt="q")).outcome == "not_applicable"

    async def test_a_check_that_breaks_is_no_failure(self):
        """The whole is unknown."""

        class Broken(LineCheck):
            async def __call__(self, sample, /, *, prompt):
                raise OSError("secret")

        found = await StepVerifier(Broken())(sample(), prompt="q")
        assert (found.outcome, found.evidence) == ("error", ("OSError",))

    async def test_a_judge_is_asked_so_many_times_at_most(self):
        """Neighbours are joined, evenly, and the budget knows the worst case."""
        judge = ScriptedSampler([0.25, 0.5, 0.75])

        class Judging:
            name, exact, calls = "judging", False, 1

            def __init__(self):
                self.seen = []

            async def __call__(self, sample, /, *, prompt):
                self.seen.append(sample.value)
                reply = await call(judge, "?", role="verify")
                return Verdict(outcome="scored", score=reply.value)

        judging = Judging()
        verifier = StepVerifier(judging, on="step", aggregate="mean", most=3)
        assert verifier.calls == 3
        result = await solve(
            "q",
            sampler=ScriptedSampler(["\n".join("abcdefg")]),
            strategy=BestOfN(1, verifier=verifier),
        )
        assert judging.seen == ["a\nb", "c\nd", "e\nf\ng"]
        assert result.verdicts[0].score == pytest.approx(0.5)
        assert result.ledger.by_role["verify"].calls == 3


def test_steps_are_paragraphs_or_lines():
    """Paragraphs where there are several."""
    assert split_steps("a\nb\n\n c \n\n\n") == ["a\nb", "c"]
    assert split_steps("a\n b \n") == ["a", "b"]
    assert split_steps("") == []


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"scorer": 3}, "scorer"),
        ({"split": ","}, "split"),
        ({"aggregate": "max"}, "aggregate"),
        ({"on": "token"}, "on="),
        ({"on": "step"}, "give 'min', 'product' or 'mean'"),
        ({"threshold": 2}, "threshold"),
        ({"most": 0}, "most"),
    ],
)
def test_mistakes_are_named(parameters, named):
    """Also a "last" that would look at the last line alone."""
    with pytest.raises(UsageError, match=named):
        StepVerifier(**{"scorer": head, **parameters})
