"""Labelled samples, and running a verifier over them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from thinktwice import AtMost, Budget, Sample, UsageError, Verdict, Vote, budget_scope, solve
from thinktwice.calls import call
from thinktwice.policy import Labelled, verdicts_of
from thinktwice.testing import ScriptedSampler, run_virtual


def question(*values, right=None, prompt="?"):
    return Labelled(samples=values, right=right or [True] * len(values), prompt=prompt)


@dataclass
class Asking:
    """Makes one call a verdict, and keeps what it saw."""

    sampler: object
    name: str = "asking"
    exact: bool = False
    calls: int = 1
    seen: list[tuple[object, object]] = field(default_factory=list)

    async def __call__(self, sample, /, *, prompt):
        self.seen.append((prompt, sample.value))
        reply = await call(self.sampler, "grade", role="verify")
        return Verdict(outcome="scored", score=reply.value)


class TestLabelled:
    """One question."""

    @pytest.mark.parametrize(
        ("samples", "right", "parameter"),
        [
            ([], [], "samples"),
            ("ab", [True, True], "samples"),
            (["a"], [True, False], "right"),
            (["a"], [1], "right"),
        ],
    )
    def test_what_is_not_labelled_is_refused(self, samples, right, parameter):
        """Where it is made."""
        with pytest.raises(UsageError, match=parameter):
            Labelled(samples=samples, right=right)

    def test_it_shows_no_content(self):
        """A count."""
        assert repr(question("secret", "b", right=[True, False])) == (
            "<Labelled: 1 of 2 samples right>"
        )

    def test_values_get_their_answer_by_the_key(self):
        """As a vote would tell them apart."""
        drawn = question("it is 4", "4.0", "none").drawn("number")
        assert [(each.index, each.answer) for each in drawn] == [(0, 4), (1, 4), (2, None)]

    async def test_samples_of_a_result_keep_theirs(self):
        """Unless a key says otherwise."""
        result = await solve(
            "?", sampler=ScriptedSampler(["4", "5"]), strategy=Vote(2, key="number", stop=AtMost(2))
        )
        kept = Labelled(samples=result.samples, right=[True, False])
        assert [each.answer for each in kept.drawn()] == [4, 5]
        assert [each.answer for each in kept.drawn("text")] == ["4", "5"]


class TestVerdictsOf:
    """Running a verifier."""

    async def test_each_sample_gets_its_verdict(self):
        """In the order of questions and samples, whoever answers first."""

        async def slow(value):
            await asyncio.sleep(1 / len(value))
            return value == "aa"

        found = await verdicts_of(slow, [question("a", "aa"), question("b")])
        assert [[each.outcome for each in row] for row in found] == [["fail", "pass"], ["fail"]]
        assert [each.sample for each in found[0]] == [0, 1]

    async def test_the_prompt_is_shown_and_the_labels_are_not(self):
        """It sees what it would see in a run."""
        asking = Asking(ScriptedSampler([0.5]))
        await verdicts_of(asking, [question("a", prompt="p")])
        assert asking.seen == [("p", "a")]

    async def test_what_has_no_answer_is_not_judged(self):
        """It abstains, or failed: nothing is paid for it."""
        asking = Asking(ScriptedSampler([0.5]))
        failed = Sample(index=0, error=ValueError())
        found = await verdicts_of(asking, [question("", failed, "c")])
        assert [None if each is None else each.score for each in found[0]] == [None, None, 0.5]
        assert found[0][2].sample == 0  # its place among those that were judged
        assert len(asking.seen) == 1

    async def test_a_check_that_breaks_is_an_error_verdict(self):
        """The others stand."""

        def breaks(value):
            if value == "b":
                raise OSError("secret")
            return True

        (row,) = await verdicts_of(breaks, [question("a", "b")])
        assert [each.outcome for each in row] == ["pass", "error"]
        assert "secret" not in str(row[1].evidence)

    async def test_a_budget_binds_and_what_was_paid_for_is_kept(self):
        """Samples that it leaves over are not judged."""
        asking = Asking(ScriptedSampler([0.5]))
        labelled = [question("a", "b", "c"), question("d", "e", "f")]
        found = await verdicts_of(asking, labelled, budget=Budget(calls=4), max_concurrency=1)
        assert [[each is not None for each in row] for row in found] == [
            [True, True, True],
            [True, False, False],
        ]

    async def test_an_enclosing_budget_sees_the_bill(self):
        """As for any run."""
        with budget_scope(Budget(calls=10)) as spent:
            await verdicts_of(Asking(ScriptedSampler([0.5])), [question("a", "b")])
        assert spent.by_role["verify"].calls == 2

    def test_questions_are_judged_side_by_side_up_to_a_number(self):
        """Four at a time, one second each."""
        running, most = 0, 0

        async def watched(value):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            return True

        async def timed():
            labelled = [question(str(each)) for each in range(12)]
            await verdicts_of(watched, labelled, max_concurrency=4)
            return asyncio.get_running_loop().time()

        assert run_virtual(timed()) == pytest.approx(3)
        assert most == 4

    async def test_a_mistake_of_the_caller_leaves_bare(self):
        """No exception group for one cause."""
        with pytest.raises(UsageError, match="scale the score"):
            await verdicts_of(lambda _: 7.0, [question("a"), question("b")])
        with pytest.raises(UsageError, match="max_concurrency"):
            await verdicts_of(lambda _: True, [question("a")], max_concurrency=0)
