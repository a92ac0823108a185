"""Whether an answer says what its sources say."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from thinktwice import BestOfN, Budget, solve
from thinktwice.budget import Limit
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Completion, Sample, Verdict
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import JudgePrompt
from thinktwice.verifiers.grounding import AtomicClaims, Grounding

PRICES = "apple 3\npear 5\nbanana 2"
RIGHT, WRONG = "An apple costs 3 dollars.", "A pear costs 4 dollars."


async def verdict(grounding: Grounding, value: object, prompt: object = "p") -> Verdict:
    return await grounding(Sample(index=4, value=value), prompt=prompt)


def says(*statuses: str, passage: int | None = 1) -> str:
    entries = [
        {"claim": i, "verdict": each, "passage": passage} for i, each in enumerate(statuses, 1)
    ]
    return json.dumps({"claims": entries})


class TestByWords:
    """Without a judge."""

    async def test_all_supported_is_a_pass_that_proves_nothing(self):
        """The score is 1, and it is not exact."""
        grounding = Grounding([PRICES])
        found = await verdict(grounding, f"{RIGHT} A banana costs 2.")
        assert found == Verdict(outcome="pass", verifier="grounding", sample=4)
        assert not grounding.exact

    async def test_a_contradiction_fails_and_is_quoted(self):
        """The claim, and the line of the passage."""
        found = await verdict(Grounding(["Nothing.", PRICES]), f"{RIGHT} {WRONG}")
        assert (found.outcome, found.score) == ("fail", 0.5)
        assert found.feedback is not None
        for part in (f'"{WRONG}"', "contradicted by passage 2", '"pear 5"'):
            assert part in found.feedback
        assert RIGHT not in found.feedback
        assert found.evidence == (f'The claim "{WRONG}" is contradicted by passage 2: "pear 5".',)

    async def test_what_is_not_found_lowers_the_score(self):
        """And is named: no contradiction, so no fail."""
        found = await verdict(Grounding([PRICES]), f"{RIGHT} Kiwis cost 9 dollars.")
        assert (found.outcome, found.score) == ("scored", 0.5)
        assert found.feedback is not None
        assert "9 dollars, Kiwis" in found.feedback

    async def test_claims_without_anything_to_look_for_are_left_out(self):
        """They would make up the score by their number."""
        assert (await verdict(Grounding([PRICES]), f"That is so. {RIGHT}")).outcome == "pass"
        found = await verdict(Grounding([PRICES]), "That is so.")
        assert (found.outcome, found.score) == ("not_applicable", None)

    @pytest.mark.parametrize("answer", ["", "What?", "# Title", "```\n5\n```", None])
    async def test_an_answer_without_claims_is_not_applicable(self, answer: object):
        """There is nothing to check."""
        assert (await verdict(Grounding([PRICES]), answer)).outcome == "not_applicable"

    async def test_a_citation_ties_a_claim_to_its_passage(self):
        """What another passage says does not count; nor does one that there is not."""
        grounding = Grounding([PRICES, "plum 7"])
        assert (await verdict(grounding, "An apple costs 3 dollars [1].")).outcome == "pass"
        other = await verdict(grounding, "An apple costs 3 dollars [2].")
        assert (other.outcome, other.score) == ("scored", 0)
        none = await verdict(grounding, "An apple costs 3 dollars [7].")
        assert none.feedback is not None
        assert "cites passage 7, which there is not" in none.feedback

    async def test_an_answer_without_end_is_cut(self):
        """And then never passes: the rest was not checked."""
        found = await verdict(Grounding([PRICES], most=3), f"{RIGHT} " * 10_000)
        assert (found.outcome, found.score) == ("scored", 1)
        assert found.evidence == ("the first 3 claims were checked",)

    async def test_what_is_quoted_is_cut_and_cleaned(self):
        """Claims and passages are written by others."""
        found = await verdict(Grounding([PRICES]), "Kiwis cost 9\x00\x1b[31m" + " really" * 500)
        assert found.feedback is not None
        assert len(found.feedback) < 1000
        assert not {"\x00", "\x1b"} & set(found.feedback)

    async def test_long_texts_leave_the_event_loop_alone(self):
        """They are read on a thread."""
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        lines = "\n".join(f"fruit{i} costs {i} dollars" for i in range(5000))
        await verdict(Grounding([lines]), "Fruit7 costs 7 dollars.")
        ticking.cancel()
        assert ticks > 3


class TestPassages:
    """Where they come from."""

    @pytest.mark.parametrize(
        "passage",
        [
            PRICES,
            SimpleNamespace(page_content=PRICES, metadata={}),
            SimpleNamespace(text=PRICES, score=0.3),
            {"content": PRICES},
            {"page_content": PRICES},
            SimpleNamespace(content=[{"type": "text", "text": PRICES}]),
        ],
        ids=["text", "page_content", "text of a node", "content", "dict", "blocks"],
    )
    async def test_texts_and_documents(self, passage: object):
        """Of any framework, by their shape."""
        assert (await verdict(Grounding([passage]), RIGHT)).outcome == "pass"

    async def test_they_may_stand_in_the_prompt_or_in_the_value(self):
        """A context in the question, the sources of a chain."""
        in_prompt = Grounding(lambda prompt, _: [prompt])
        assert (await verdict(in_prompt, RIGHT, prompt=PRICES)).outcome == "pass"
        in_value = Grounding(
            lambda _, value: value["context"], answer=lambda value: value["answer"]
        )
        value = {"answer": WRONG, "context": [PRICES]}
        assert (await verdict(in_value, value)).outcome == "fail"

    async def test_a_retriever_is_asked_by_the_prompt_or_by_each_claim(self):
        """Sync or async."""
        asked: list[str] = []

        async def retriever(query: str) -> list[str]:
            asked.append(query)
            return [PRICES]

        await verdict(Grounding(retriever=retriever), f"{RIGHT} {WRONG}", prompt="which price?")
        assert asked == ["which price?"]
        asked.clear()
        by_claim = Grounding(retriever=retriever, retrieve_by="claim")
        assert (await verdict(by_claim, f"{RIGHT} {WRONG}")).outcome == "fail"
        assert sorted(asked) == [WRONG, RIGHT]
        assert (await verdict(Grounding(retriever=lambda _: [PRICES]), RIGHT)).outcome == "pass"

    async def test_a_claim_rests_on_what_was_found_for_it(self):
        """Not on what was found for another one."""
        found = {RIGHT: ["plum 3"], WRONG: [PRICES]}
        grounding = Grounding(retriever=found.__getitem__, retrieve_by="claim")
        assert (await verdict(grounding, f"{RIGHT} {WRONG}")).score == 0

    @pytest.mark.parametrize(
        ("returned", "why"),
        [
            (ConnectionError("secret"), "retriever failed: ConnectionError"),
            ("one text", "retriever failed: TypeError"),
            ([3.5], "retriever failed: TypeError"),
            (None, "retriever failed: TypeError"),
            ([], "there are no passages to check against"),
            ([" ", ""], "there are no passages to check against"),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("by", ["prompt", "claim"])
    async def test_a_retriever_that_fails_says_nothing_of_the_answer(
        self, returned: object, why: str, by: str
    ):
        """Nor does one that finds nothing."""

        async def retriever(_: str) -> object:
            if isinstance(returned, Exception):
                raise returned
            return returned

        grounding = Grounding(retriever=retriever, retrieve_by=by)  # type: ignore[arg-type]
        found = await verdict(grounding, RIGHT)
        assert (found.outcome, found.evidence, found.score) == ("error", (why,), None)

    async def test_what_is_not_the_retrievers_leaves(self):
        """A budget, and mistakes of the caller."""
        limit = Limit(kind="calls", allowed=1, spent=1)

        async def refused(_: str) -> list[str]:
            raise BudgetExceeded(limit)

        with pytest.raises(BudgetExceeded):
            await verdict(Grounding(retriever=refused), RIGHT)
        with pytest.raises(UsageError, match=r"^answer="):
            await verdict(Grounding([PRICES], answer=lambda value: value["x"]), RIGHT)


class TestReadings:
    """What an answer reads from a list, in a notation of its own."""

    LIST = "fig 12 pear 34 plum 56:3 pear+2 plum"
    GROUNDING = Grounding(
        lambda prompt, _: re.findall(r"[a-z]+ \d+", prompt.partition(":")[0]),
        claims=lambda text: re.findall(r"[a-z]+ \d+(?=\*)", text),
    )

    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            ("pear 34*3=102\nplum 56*2=112\nA:214", "pass"),
            ("pear 12*3=36\nplum 56*2=112\nA:148", "fail"),
            ("pear 35*3=105\nplum 56*2=112\nA:217", "fail"),
        ],
        ids=["right", "of another row", "of none"],
    )
    async def test_a_number_is_that_of_its_row(self, answer: str, outcome: str):
        """Where all that is worked out of it is right, which a calculator would pass."""
        found = await verdict(self.GROUNDING, answer, prompt=self.LIST)
        assert found.outcome == outcome
        assert (found.feedback is None) == (outcome == "pass")


class TestByJudge:
    """With a model that says what follows from what."""

    async def test_it_judges_all_claims_in_one_call(self):
        """Those without a number or name as well."""
        asked: list[str] = []
        grounding = Grounding(
            [PRICES], judge=lambda p: asked.append(p) or says("supported", "unknown")
        )
        found = await verdict(grounding, "Apples are cheap. Pears are nice.")
        assert (found.outcome, found.score) == ("scored", 0.5)
        assert found.feedback is not None
        assert '"Pears are nice."' in found.feedback
        assert len(asked) == grounding.calls == 1

    async def test_a_contradiction_names_the_passage(self):
        """That the judge went by."""
        grounding = Grounding(
            ["x", "They are dear."], judge=lambda _: says("contradicted", passage=2)
        )
        found = await verdict(grounding, "They are cheap.")
        assert found.outcome == "fail"
        assert found.feedback is not None
        assert 'contradicted by passage 2: "They are dear."' in found.feedback

    async def test_it_does_not_overrule_what_can_be_looked_up(self):
        """A number that stands nowhere, and one of another row."""
        agreeable = Grounding([PRICES], judge=lambda _: says("supported"))
        for answer in ("Apples cost 7 dollars.", "Apples cost 5 dollars."):
            found = await verdict(agreeable, answer)
            assert (found.outcome, found.score) == ("scored", 0)
        assert (await verdict(agreeable, "Apples cost 3 dollars.")).outcome == "pass"

    async def test_names_in_other_words_are_its_matter(self):
        """The words alone cannot tell."""
        agreeable = Grounding(["The US is large."], judge=lambda _: says("supported"))
        assert (await verdict(agreeable, "The United States is large.")).outcome == "pass"

    async def test_citations_reach_it(self):
        """As numbers, among the instructions."""
        asked: list[str] = []
        grounding = Grounding(["a", "b"], judge=lambda p: asked.append(p) or says("supported"))
        await verdict(grounding, "It is so [2].")
        assert "Claim 1 may rest on passage 2 alone." in asked[0]

    @pytest.mark.parametrize(
        "reply",
        [
            "supported",
            says("supported", "supported"),
            says(),
            says("yes"),
            '{"claims": [{"claim": 2, "verdict": "supported"}]}',
            '{"claims": ["supported"]}',
            Completion(value=says("supported"), finish_reason="length"),
        ],
        ids=repr,
    )
    async def test_what_cannot_be_read_is_an_error(self, reply: object):
        """Not a lower score."""
        found = await verdict(Grounding([PRICES], judge=lambda _: reply), "It is so.")
        assert (found.outcome, found.score) == ("error", None)

    async def test_objects_and_messages(self):
        """Structured output in, chat messages out."""

        @dataclass
        class Said:
            claims: list[dict[str, object]]

        asked: list[list[dict[str, str]]] = []
        said = Said([{"claim": 1, "verdict": "supported", "passage": None}])
        judge = lambda p: asked.append(p) or said  # noqa: E731
        grounding = Grounding([PRICES], judge=judge, layout=JudgePrompt.messages)
        assert (await verdict(grounding, "It is so.")).outcome == "pass"
        assert [message["role"] for message in asked[0]] == ["system", "user"]

    async def test_claims_by_a_model(self):
        """One call more; one that cannot be read is an error."""
        atomic = AtomicClaims(lambda _: json.dumps({"claims": [RIGHT]}))
        grounding = Grounding([PRICES], claims=atomic, judge=lambda _: says("supported"))
        assert (await verdict(grounding, "It says so.")).outcome == "pass"
        assert grounding.calls == 2
        broken = Grounding([PRICES], claims=AtomicClaims(lambda _: "?"))
        found = await verdict(broken, RIGHT)
        assert found.outcome == "error"
        assert found.evidence[0].startswith("claims= failed")


class TestInARun:
    """As a verifier among others."""

    def test_best_of_n_prefers_the_grounded_answer(self):
        """By the share of its claims."""
        sampler = ScriptedSampler([f"{WRONG} {WRONG}", RIGHT])
        strategy = BestOfN(2, verifier=Grounding([PRICES]))
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
        assert result.value == RIGHT
        assert [each.outcome for each in result.verdicts] == ["fail", "pass"]

    def test_its_calls_are_booked(self):
        """Under the role of judging, and within the budget; without a model it is a tool."""
        judge = ScriptedSampler([says("supported")])
        sampler = ScriptedSampler([RIGHT, "An apple costs 3."])
        strategy = BestOfN(2, verifier=Grounding([PRICES], judge=judge))
        result = run_virtual(
            solve("q", sampler=sampler, strategy=strategy, budget=Budget(calls=strategy.calls))
        )
        assert result.ledger.by_role["verify"].calls == judge.calls == 2
        assert Grounding([PRICES]).role == "tool"

    @pytest.mark.usefixtures("fresh_remarks")
    def test_a_judge_that_fails_is_an_error_of_the_check(self):
        """The sample stands."""

        def judge(_: str) -> str:
            raise ConnectionError

        strategy = BestOfN(1, verifier=Grounding([PRICES], judge=judge))
        with pytest.warns(UserWarning, match="could be judged"):
            result = run_virtual(solve("q", sampler=ScriptedSampler([RIGHT]), strategy=strategy))
        assert result.verdicts[0].outcome == "error"
        assert result.value == RIGHT


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("passages", {"passages": None}),
            ("passages", {"retriever": len}),
            ("passages", {"passages": []}),
            ("passages", {"passages": PRICES}),
            ("passages", {"passages": [7]}),
            ("retriever", {"passages": None, "retriever": "r"}),
            ("judge", {"judge": "gpt"}),
            ("claims", {"claims": "x"}),
            ("retrieve_by", {"retrieve_by": "both"}),
            ("most", {"most": 0}),
        ],
        ids=repr,
    )
    def test_by_name(self, parameter: str, given: dict[str, object]):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            Grounding(**{"passages": [PRICES], **given})  # type: ignore[arg-type]

    def test_a_text_is_no_list_of_passages(self):
        """It is shown, with what to give instead."""
        with pytest.raises(UsageError, match=r"passages='one': .*such as \[text\]"):
            Grounding("one")

    def test_it_is_an_inexact_verifier(self):
        """Which compares and shows as it was made."""
        grounding = Grounding([PRICES])
        assert isinstance(grounding, Verifier)
        assert grounding == Grounding([PRICES])
        assert repr(grounding).startswith("Grounding(passages=[")
