"""Draft, check, and draft again with what the check found."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import dataclass

import pytest

from thinktwice import BestOfN, Budget, UsageError, Verdict, Vote, solve
from thinktwice.sampling import as_sources
from thinktwice.stop import AtMost
from thinktwice.strategies.critique_repair import NO_CHECK, CritiqueRepair
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Critic, Judge, JudgePrompt, VerificationQuestions

pytestmark = pytest.mark.usefixtures("silent_remarks")

NONE = '{"issue": null}'
CHAT = [{"role": "user", "content": "q"}]


def issue(text: str) -> str:
    """A critic's reply."""
    return json.dumps({"issue": text})


def saying(**said: str):
    """An exact check: fails the values named, with these words, and passes all others."""

    async def check(value):
        if value in said:
            return Verdict(outcome="fail", feedback=said[value])
        return True

    check.exact = True
    return check


def solved(values, strategy, prompt="q", **more):
    """The result, and the sampler."""
    sampler = ScriptedSampler(values)
    return run_virtual(solve(prompt, sampler=sampler, strategy=strategy, **more)), sampler


class TestParameters:
    """What is refused when it is made, and what it costs at most."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("verifier", {"verifier": "judge"}),
            ("verifier", {"mode": "critic"}),
            ("mode", {"mode": "debate"}),
            ("rounds", {"rounds": 0}),
            ("confirm", {"confirm": 0}),
            ("critic", {"critic": "gpt", "mode": "self_refine"}),
            ("critic", {"critic": len, "verifier": len}),
            ("critic", {"critic": "gpt"}),
            ("key", {"key": "nonsense"}),
            ("of", {"of": 4}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            CritiqueRepair(**given)

    @pytest.mark.parametrize(
        ("strategy", "calls"),
        [
            (CritiqueRepair(len), 3),
            (CritiqueRepair(Judge(len, rubric="right")), 9),
            (CritiqueRepair(saying()), 3),
            (CritiqueRepair(Judge(len, rubric="right"), confirm=1, rounds=1), 4),
            (CritiqueRepair(), 9),
            (CritiqueRepair(len, mode="self_refine"), 5),
            (CritiqueRepair(len, mode="reflexion"), 5),
            (CritiqueRepair(mode="reflexion"), 11),
            (CritiqueRepair(mode="verification_questions"), 33),
            (CritiqueRepair(len, mode="verification_questions"), 13),
            (CritiqueRepair(len, of=Vote(4)), 12),
            (CritiqueRepair(Judge(len, rubric="right"), of=Vote(4)), 18),
        ],
    )
    def test_calls_at_the_most(self, strategy, calls):
        """The default cap of a run."""
        assert strategy.calls == calls

    def test_the_calls_of_the_critics_are_as_counted(self):
        """The table holds what they say of themselves."""
        alone = CritiqueRepair(mode="verification_questions", rounds=1, confirm=1)
        assert alone.calls == 2 * (1 + VerificationQuestions(len).calls)
        alone = CritiqueRepair(mode="self_refine", rounds=1, confirm=1)
        assert alone.calls == 2 * (1 + Critic(len).calls)

    def test_draws(self):
        """Times those of the strategy inside."""
        assert CritiqueRepair(len).draws == 3
        assert CritiqueRepair(len, of=Vote(4)).draws == 12
        assert Vote(8, of=CritiqueRepair(len, rounds=1)).draws == 16

    def test_it_is_a_value(self):
        """Equal, hashable, and it pickles."""
        strategy = CritiqueRepair(len, mode="reflexion", rounds=3)
        assert pickle.loads(pickle.dumps(strategy)) == strategy  # noqa: S301 - our own
        assert hash(strategy) == hash(CritiqueRepair(len, mode="reflexion", rounds=3))


class TestCritic:
    """Feedback of a verifier."""

    def test_a_mended_draft(self):
        """By its words; there is nothing to warn of."""
        result, sampler = solved(["bad", "good"], CritiqueRepair(saying(bad="no 'bad'")))
        assert result.value == "good"
        assert "no 'bad'" in sampler.prompts[1]
        assert result.warnings == ()

    def test_a_judge_of_the_same_model_is_no_external_check(self):
        """Whatever it is called."""
        sampler = ScriptedSampler(["bad", '{"reason": "meh", "score": 10}'])
        strategy = CritiqueRepair(Judge(sampler, rubric="right"))
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
        assert NO_CHECK in result.warnings

    def test_another_judge_is(self):
        """It may know what the model does not."""
        judge = ScriptedSampler(['{"reason": "meh", "score": 10}'])
        result, _ = solved(["good"], CritiqueRepair(Judge(judge, rubric="right")))
        assert result.warnings == ()


class TestSelfRefine:
    """The model criticises itself."""

    def test_a_mended_draft(self):
        """Confirmed: the draft failed twice, and the revision passed twice."""
        script = ["bad", issue("'bad' is bad"), issue("'bad' is bad"), "good", NONE, NONE]
        result, sampler = solved(script, CritiqueRepair())
        assert (result.value, sampler.calls) == ("good", 6)
        assert "'bad' is bad" in sampler.prompts[3]
        assert result.ledger.by_role["critique"].calls == 4
        assert result.ledger.by_role["repair"].calls == 1

    def test_it_says_that_nothing_is_to_be_gained(self, fresh_remarks):
        """In the result, and once in a warning."""
        with pytest.warns(match=r"2310\.01798.*2406\.01297"):
            result, _ = solved(["a", NONE], CritiqueRepair())
        assert NO_CHECK in result.warnings
        result, _ = solved(["a", NONE], CritiqueRepair())
        assert NO_CHECK in result.warnings

    def test_a_mistake_that_is_not_seen_again_stays(self):
        """One critique is not enough to replace anything."""
        result, sampler = solved(["a", issue("hm"), NONE, "b"], CritiqueRepair())
        assert (result.value, sampler.calls) == ("a", 3)

    def test_a_critic_that_cannot_be_read(self):
        """Is an error, and no fail."""
        result, sampler = solved(["a", "looks wrong to me"], CritiqueRepair())
        assert (result.value, sampler.calls) == ("a", 2)
        assert result.verdicts[0].outcome == "error"
        assert any("broke" in each for each in result.warnings)

    def test_chat_messages(self):
        """The critic is asked in messages where the sampler takes these."""
        script = ["bad", issue("no"), issue("no"), "good", NONE, NONE]
        result, sampler = solved(script, CritiqueRepair(), CHAT)
        assert result.value == "good"
        assert [each["role"] for each in sampler.prompts[1]] == ["system", "user"]
        assert sampler.prompts[3][-1] == {"role": "user", "content": "no"}

    def test_another_model_as_critic(self):
        """It gets the critiques, and the sampler only the drafts."""
        critic = ScriptedSampler([NONE])
        result, sampler = solved(["a"], CritiqueRepair(critic=critic))
        assert (result.value, sampler.calls, critic.calls) == ("a", 1, 1)

    def test_an_input_that_is_no_text(self):
        """The message shows the ways; with a critic it works."""
        prompt = {"question": "q", "feedback": ""}
        with pytest.raises(UsageError, match=r"^critic=.*verifier="):
            solved(["a"], CritiqueRepair(), prompt)
        critic = ScriptedSampler([NONE])
        assert solved(["a"], CritiqueRepair(critic=critic), prompt)[0].value == "a"

    def test_with_a_verifier_that_decides(self):
        """The model says what is wrong; the check says whether."""
        script = ["bad", issue("'bad' is bad"), "good"]
        result, sampler = solved(script, CritiqueRepair(saying(bad="no"), mode="self_refine"))
        assert (result.value, sampler.calls) == ("good", 3)
        assert "'bad' is bad" in sampler.prompts[2]
        assert [each.outcome for each in result.verdicts] == ["fail", "pass"]
        assert NO_CHECK not in result.warnings

    @pytest.mark.parametrize("reply", [NONE, "I cannot say", ConnectionError("gone")])
    def test_where_the_model_finds_nothing_the_check_speaks(self, reply):
        """Or where it breaks."""
        script = ["bad", reply, "good"]
        result, sampler = solved(script, CritiqueRepair(saying(bad="no 'b'"), mode="self_refine"))
        assert result.value == "good"
        assert "Feedback:\nno 'b'" in sampler.prompts[2]


class TestReflexion:
    """Reflections on failed attempts, as a memory."""

    def test_the_next_attempt_starts_from_the_prompt(self):
        """With the reflections, and without the draft."""
        script = ["bad", "I was careless.", "worse", "I was hasty.", "good"]
        check = saying(bad="no bad", worse="no worse")
        result, sampler = solved(script, CritiqueRepair(check, mode="reflexion"))
        assert result.value == "good"
        assert "no bad" in sampler.prompts[1]
        assert "bad" not in sampler.prompts[2]
        assert "I was careless." in sampler.prompts[2]
        last = sampler.prompts[4]
        assert last.index("careless") < last.index("hasty")
        assert "worse" not in last

    def test_it_remembers_the_last_three(self):
        """The oldest is forgotten."""
        script = [text for n in range(6) for text in (f"try {n}", f"lesson {n}")]
        check = saying(**{f"try {n}": "no" for n in range(6)})
        _, sampler = solved(script, CritiqueRepair(check, mode="reflexion", rounds=5))
        assert all(f"lesson {n}" in sampler.prompts[10] for n in (2, 3, 4))
        assert "lesson 1" not in sampler.prompts[10]

    def test_without_a_reflection_the_check_is_remembered(self):
        """A model that says nothing stops nothing."""
        result, sampler = solved(
            ["bad", "", "good"], CritiqueRepair(saying(bad="no b"), mode="reflexion")
        )
        assert result.value == "good"
        assert "no b" in sampler.prompts[2]

    def test_without_a_verifier_the_model_decides(self):
        """By the critic; and it warns."""
        script = ["bad", issue("no"), issue("no"), "Be kind.", "good", NONE, NONE]
        result, sampler = solved(script, CritiqueRepair(mode="reflexion"), CHAT)
        assert result.value == "good"
        assert sampler.prompts[4][:-1] == CHAT
        assert "Be kind." in sampler.prompts[4][-1]["content"]
        assert NO_CHECK in result.warnings

    def test_runs_do_not_share_their_memory(self):
        """One strategy serves many requests."""
        strategy = CritiqueRepair(saying(bad="no"), mode="reflexion")
        solved(["bad", "first lesson", "good"], strategy)
        _, sampler = solved(["bad", "second lesson", "good"], strategy)
        assert "first lesson" not in sampler.prompts[2]


class TestVerificationQuestions:
    """Questions that are answered without the draft."""

    def test_the_revision_gets_questions_and_answers(self):
        """And the contradiction."""
        asked = [json.dumps({"questions": ["Is it?"]}), "It is not."]
        script = [
            "bad",
            *asked,
            issue("bad"),
            *asked,
            issue("bad"),
            "good",
            *asked,
            NONE,
            *asked,
            NONE,
        ]
        result, sampler = solved(script, CritiqueRepair(mode="verification_questions"))
        assert result.value == "good"
        assert "Question: Is it? Answer: It is not." in sampler.prompts[7]
        assert "Draft:\nbad" in sampler.prompts[7]
        assert NO_CHECK in result.warnings

    def test_beside_a_verifier(self):
        """It decides; the answers go into the revision whether or not they contradict."""
        script = ["bad", json.dumps({"questions": ["Is it?"]}), "It is not.", NONE, "good"]
        strategy = CritiqueRepair(saying(bad="no"), mode="verification_questions")
        result, sampler = solved(script, strategy)
        assert result.value == "good"
        assert "Answer: It is not." in sampler.prompts[4]


class TestNesting:
    """Inside of others, and with others inside."""

    def test_votes_of_repaired_samples(self):
        """Each vote is a repair of its own."""

        async def ask(prompt):
            return "good" if "Feedback" in prompt else "bad"

        strategy = Vote(3, of=CritiqueRepair(saying(bad="no")))
        result = run_virtual(solve("q", sampler=ask, strategy=strategy))
        assert result.value == "good"
        assert all(each.value == "good" for each in result.samples)
        assert all(len(each.samples) == 2 for each in result.nested)

    def test_best_of_repaired_samples(self):
        """Within the default cap on calls."""
        check = saying(bad="no")
        result, sampler = solved(
            ["bad", "good"], BestOfN(4, verifier=check, of=CritiqueRepair(check))
        )
        assert result.value == "good"
        assert sampler.calls <= 12

    def test_the_repair_of_a_vote(self):
        """Draft and revision are votes; the critic is the model below them."""
        script = ["bad", "bad", "bad", issue("no"), issue("no"), "good", "good", "good", NONE, NONE]
        strategy = CritiqueRepair(of=Vote(3, stop=AtMost(3)))
        result, sampler = solved(script, strategy)
        assert (result.value, sampler.calls) == ("good", 10)
        assert [each.value for each in result.samples] == ["bad", "good"]
        assert result.ledger.by_role["critique"].calls == 4

    def test_a_vote_over_inputs_that_cannot_carry_feedback(self):
        """One clear error, before anything is paid."""
        sampler = ScriptedSampler(["a"])
        strategy = Vote(8, of=CritiqueRepair(saying()))
        with pytest.raises(UsageError, match=r"^prompting="):
            run_virtual(solve({"x": 1}, sampler=sampler, strategy=strategy))
        assert sampler.calls == 0

    def test_a_budget_in_the_middle_of_a_vote(self):
        """Repairs that were cut return their drafts, and the vote counts these."""
        strategy = Vote(3, of=CritiqueRepair(lambda _: False), prefer="cost")
        result, sampler = solved(["a", "b"], strategy, budget=Budget(calls=4))
        assert sampler.calls == 4
        assert result.value is not None
        assert result.cut is not None

    def test_several_samplers(self):
        """The first is sampled, and criticises."""
        first, second = ScriptedSampler(["a", NONE]), ScriptedSampler(["b"])
        sampler = {"first": first, "second": second}
        assert list(as_sources(sampler)) == ["first", "second"]
        result = run_virtual(solve("q", sampler=sampler, strategy=CritiqueRepair(of=Vote(1))))
        assert (result.value, first.calls, second.calls) == ("a", 2, 0)


def test_the_default_budget_is_enough_in_the_worst_case():
    """Every fail confirmed, every pass unconfirmed, and reflections between."""
    script = [
        *("a", issue("1"), issue("1"), "r1"),
        *("b", NONE, issue("2"), "r2"),
        *("c", NONE, issue("3")),
    ]
    strategy = CritiqueRepair(mode="reflexion")
    result, sampler = solved(script, strategy)
    assert sampler.calls == strategy.calls == 11
    assert result.cut is None
    assert result.value == "a"


@dataclass(frozen=True)
class Slow:
    """A check that hangs."""

    name: str = "slow"
    exact: bool = False

    async def __call__(self, sample, /, *, prompt):
        await asyncio.sleep(1000)


def test_a_check_that_hangs_ends_with_the_time_of_the_budget():
    """The draft, which was paid for."""
    result, _ = solved(["a"], CritiqueRepair(Slow()), budget=Budget(seconds=5))
    assert result.value == "a"
    assert result.ledger.seconds == 5


def test_a_critic_can_be_the_verifier():
    """With a layout of its own, say."""
    critic = ScriptedSampler([NONE])
    strategy = CritiqueRepair(Critic(critic, layout=JudgePrompt.messages))
    result, _ = solved(["a"], strategy)
    assert result.value == "a"
    assert critic.prompts[0][0]["role"] == "system"


@pytest.mark.parametrize("said", [None, float("nan"), 2.0, "fine"], ids=str)
async def test_a_check_that_returns_nonsense_leaves_the_draft(said):
    """It is an error of the check, and the draft is paid for."""
    result = await solve(
        "q", sampler=ScriptedSampler(["draft"]), strategy=CritiqueRepair(lambda _: said)
    )
    assert result.value == "draft"
    assert [verdict.outcome for verdict in result.verdicts] == ["error"]
    assert any("broke" in warning for warning in result.warnings)
