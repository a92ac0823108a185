"""A vote on free text by a model that picks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from thinktwice import Budget, Completion, Limit, UsageError, Vote, solve
from thinktwice.strategies.universal_consistency import UniversalConsistency, place_in
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.vary import Vary
from thinktwice.verifiers import JudgePrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")

ANSWERS = ["one thing", "it is two", "two, I think"]


def shown(prompt: object) -> list[str]:
    """The responses of a prompt, in order."""
    found = re.findall(r'^<response_\d+ \w+>\n"(.*)"$', str(prompt), re.MULTILINE)
    return [each for each in found if isinstance(each, str)]


class Picks(ScriptedSampler[str]):
    """Picks the first response with a word; `reply` overrides what it says."""

    def __init__(self, word: str = "two", reply: object = None, **settings: object) -> None:
        super().__init__(["{}"], **settings)  # type: ignore[arg-type]
        self.word, self.reply = word, reply

    async def __call__(self, prompt: object, /, *, options: object) -> object:
        await super().__call__(prompt, options=options)  # type: ignore[arg-type]
        if self.reply is not None:
            return self.reply
        place = next(i for i, text in enumerate(shown(prompt), 1) if self.word in text)
        return f'{{"reason": "r", "response": {place}}}'


def run(values: Sequence[object], strategy: UniversalConsistency, **more: object) -> Result[object]:
    sampler = ScriptedSampler(values, seconds=1.0)
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))  # type: ignore[arg-type]


class TestPicking:
    """One call, which reads all samples."""

    def test_the_model_picks_the_winner(self):
        """And the ledger has its call."""
        judge = Picks()
        result = run(ANSWERS, UniversalConsistency(3, judge=judge))
        assert result.value in ANSWERS[1:]
        assert (result.launched, result.used) == (3, 3)
        assert result.ledger.by_role["sample"].calls == 3
        assert result.ledger.by_role["verify"].calls == judge.calls == 1
        assert result.warnings == ()
        assert result.settled is not None
        assert not result.settled.holds

    def test_all_samples_are_shown_once_in_an_order_drawn_by_the_seed(self):
        """Equal ones as often as they came: that is what consensus means."""
        orders: set[tuple[str, ...]] = set()
        for seed in range(8):
            judge = Picks()
            run([*ANSWERS, "one thing"], UniversalConsistency(4, judge=judge, seed=seed))
            orders.add(tuple(shown(judge.prompts[0])))
        assert all(sorted(order) == sorted([*ANSWERS, "one thing"]) for order in orders)
        assert len(orders) > 3

    def test_the_same_run_shows_the_same_order(self):
        """Whatever arrives first."""
        orders: list[list[str]] = []
        for seconds in ([1, 2, 3], [3, 2, 1]):
            judge = Picks()
            sampler = ScriptedSampler(ANSWERS, seconds=seconds)
            strategy = UniversalConsistency(3, judge=judge)
            run_virtual(solve("q", sampler=sampler, strategy=strategy))
            orders.append(shown(judge.prompts[0]))
        assert orders[0] == orders[1]

    def test_where_all_agree_nobody_is_asked(self):
        """As in a vote, under the key."""
        judge = Picks()
        result = run(["Two.", "two"], UniversalConsistency(4, judge=judge))
        assert (result.value, result.agreement, judge.calls) == ("Two.", 1.0, 0)

    def test_the_agreement_is_the_share_of_equal_answers(self):
        """Not of those that mean the same, which nobody counted."""
        assert run(ANSWERS, UniversalConsistency(3, judge=Picks())).agreement == 1 / 3

    def test_its_settings_reach_the_judge(self):
        """And not the samples."""
        judge = Picks()
        run(ANSWERS, UniversalConsistency(3, judge=judge, options={"temperature": 0}))
        assert judge.options == [{"temperature": 0}]


class TestTheSamplerItself:
    """Where no judge is given."""

    def test_texts_are_asked_as_text(self):
        """After the samples, of the same model."""
        ask = ScriptedSampler([*ANSWERS, '{"response": 1}'])
        result = run_virtual(solve("q", sampler=ask, strategy=UniversalConsistency(3)))
        assert result.value == shown(ask.prompts[-1])[0]
        assert isinstance(ask.prompts[-1], str)

    def test_chat_messages_are_asked_by_messages(self):
        """A system message and one of the user's."""
        ask = ScriptedSampler([*ANSWERS, '{"response": 2}'])
        prompt = [{"role": "user", "content": "q"}]
        run_virtual(solve(prompt, sampler=ask, strategy=UniversalConsistency(3)))
        asked = ask.prompts[-1]
        assert isinstance(asked, list)
        assert [message["role"] for message in asked] == ["system", "user"]

    def test_any_other_input_needs_a_judge(self):
        """Said before anything is paid for."""
        ask = ScriptedSampler(ANSWERS)
        with pytest.raises(UsageError, match=r"^judge="):
            run_virtual(solve({"question": "q"}, sampler=ask, strategy=UniversalConsistency(3)))
        assert ask.calls == 0

    def test_a_judge_is_asked_by_its_layout(self):
        """As a text unless it says otherwise."""
        judge = Picks(reply='{"response": 1}')
        strategy = UniversalConsistency(3, judge=judge, layout=JudgePrompt.messages)
        run(ANSWERS, strategy)
        assert isinstance(judge.prompts[0], list)


class TestFallingBack:
    """To the most frequent answer, at a tie to the first."""

    @pytest.mark.parametrize(
        "reply",
        [
            "Response 2",
            '{"response": 0}',
            '{"response": 4}',
            '{"response": "2"}',
            '{"response": true}',
            Completion(value='{"response": 2}', finish_reason="length"),
        ],
        ids=repr,
    )
    def test_what_cannot_be_read(self, reply):
        """It is said in the warnings."""
        values = ["a", "b", "b"]
        result = run(values, UniversalConsistency(3, judge=Picks(reply=reply)))
        assert result.value == "b"
        assert any("did not pick" in warning for warning in result.warnings)

    def test_a_judge_that_fails(self):
        """The samples are paid for."""

        def judge(_: str) -> str:
            raise ConnectionError

        result = run(["a", "b"], UniversalConsistency(2, judge=judge))
        assert result.value == "a"
        assert any("did not pick" in warning for warning in result.warnings)

    def test_a_mistake_of_the_caller_is_raised(self):
        """Options that would be dropped."""
        strategy = UniversalConsistency(2, judge=lambda _: "{}", options={"temperature": 0})
        with pytest.raises(UsageError, match=r"^options="):
            run(["a", "b"], strategy)

    def test_control_flow_of_the_judge_leaves_unwrapped(self):
        """As it declares it."""

        class Judge:
            passthrough = (KeyError,)

            async def __call__(self, _: object) -> str:
                raise KeyError("interrupt")

        with pytest.raises(KeyError):
            run(["a", "b"], UniversalConsistency(2, judge=Judge()))

    def test_time_that_ends_while_it_picks(self):
        """The most frequent answer stands, and the cut is said."""
        strategy = UniversalConsistency(3, judge=Picks(seconds=50.0))
        result = run(["a", "b", "b"], strategy, budget=Budget(seconds=5))
        assert result.value == "b"
        assert isinstance(result.stopped_by, Limit)

    @pytest.mark.parametrize("calls", [1, 2, 4, 8])
    def test_a_cap_on_calls_leaves_one_to_pick_with(self, calls):
        """One sample less, and a choice among the others."""
        judge = Picks()
        values = ["is it two", *ANSWERS[1:], "or two", "two, no", "2, two", "two?", "two: two"]
        result = run(values, UniversalConsistency(8, judge=judge), budget=Budget(calls=calls))
        assert result.cut is not None
        assert (result.launched, judge.calls) == ((calls - 1, 1) if calls > 2 else (calls, 0))

    def test_without_a_call_to_pick_with_nobody_was_asked(self):
        """So the warning does not say that the model failed."""
        result = run(ANSWERS, UniversalConsistency(3, judge=Picks()), budget=Budget(calls=2))
        assert any("before a response was picked" in warning for warning in result.warnings)
        assert not any("did not pick" in warning for warning in result.warnings)

    def test_the_limit_counts_the_call_that_was_kept(self):
        """Else 2 of 3 calls would be a cap that is used up."""
        result = run(ANSWERS, UniversalConsistency(3, judge=Picks()), budget=Budget(calls=3))
        assert result.ledger.total.calls == 3
        assert str(result.stopped_by) == "budget of 3 calls used up (2 spent, 1 set apart)"

    def test_abstentions_alone_are_no_answer(self):
        """Nobody is asked."""
        cut = Completion(value="a", finish_reason="length")
        judge = Picks()
        result = run([cut], UniversalConsistency(2, judge=judge))
        assert (result.value, judge.calls) == (None, 0)


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "more"),
        [
            ("n", {"n": 0}),
            ("judge", {"judge": 3}),
            ("layout", {"layout": "chat"}),
            ("of", {"of": "vote"}),
            ("judge", {"of": Vote(3)}),
            ("vary", {"vary": "x"}),
        ],
    )
    def test_by_name(self, parameter, more):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            UniversalConsistency(**{"n": 3, **more})

    def test_calls(self):
        """The default cap affords the samples and the pick."""
        assert UniversalConsistency(8).calls == 9
        assert UniversalConsistency(4, of=Vote(3), judge=len).calls == 13
        assert UniversalConsistency(4, of=Vote(3), judge=len).draws == 12

    def test_it_varies_its_draws(self):
        """As a vote does."""
        vary = Vary(prompts=[str.upper, str.lower])
        sampler = ScriptedSampler(["a"])
        strategy = UniversalConsistency(2, vary=vary)
        run_virtual(solve("Q", sampler=sampler, strategy=strategy))
        assert sorted(map(str, sampler.prompts)) == ["Q", "q"]


@pytest.mark.parametrize(
    ("reply", "place"),
    [('{"response": 1}', 0), ({"response": 3}, 2), ('{"response": 1.0}', None), (None, None)],
)
def test_the_pick_is_read_strictly(reply, place):
    """A whole number of one that was shown."""
    assert place_in(reply, 3) == place
