"""LLMs as samplers of the core."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.sampler import LLMSampler
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver, blocking

from thinktwice import BestOfN, Budget, Price, UsageError, Vote, solve
from thinktwice.history import History
from thinktwice.selection import Knockout
from thinktwice.stop import AtMost
from thinktwice.verifiers import Critic, Judge, JudgePrompt, PairwiseJudge

pytestmark = pytest.mark.usefixtures("silent_remarks")
GRADE = '{"score": 10, "reason": "fine"}'
PRICES = {"fake-1": Price(input="1", output="1")}


def ready(n: int) -> Vote:
    return Vote(n, stop=AtMost(n), hedge=False)


class TestOverTheBareLLM:
    async def test_it_is_sampled(self, scripted):
        """Each call is booked once, with its usage and its price."""
        llm = scripted("4", "4", "5")
        result = await solve("2 + 2", sampler=LLMSampler(llm), strategy=ready(3), prices=PRICES)
        assert result.value == "4"
        assert (result.ledger.total.calls, llm.calls) == (3, 3)
        assert result.ledger.total.cost is not None
        assert {entry.model for entry in result.ledger.entries} == {"fake-1"}

    async def test_a_budget_refuses_before_a_call_is_sent(self, scripted):
        """A strict one as well: the worst case of each is known."""
        llm = scripted("4", max_tokens=5)
        sampler = LLMSampler(llm)
        result = await solve("2 + 2", sampler=sampler, strategy=ready(8), budget=Budget(calls=3))
        assert llm.calls == 3
        assert result.ledger.enforcement["calls"] == "exact"
        strict = Budget(cost="0.01", strict=True)
        await solve("q", sampler=sampler, strategy=ready(2), budget=strict, prices=PRICES)
        assert llm.calls == 5

    @pytest.mark.parametrize(
        "prompt",
        [
            [ChatMessage("be brief", role="system"), ChatMessage("hi", role="user")],
            [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        ],
    )
    async def test_messages(self, prompt, scripted):
        """Of LlamaIndex or as dicts."""
        llm = scripted("hello")
        completion = await LLMSampler(llm)(prompt)
        assert (completion.value, completion.text) == ("hello", "hello")
        [request] = llm.log
        assert request["method"] == "achat"
        assert [each.role.value for each in request["given"]] == ["system", "user"]

    async def test_a_text_is_completed(self, scripted):
        """With the options of the call over those of all calls."""
        llm = scripted("hello", max_tokens=9)
        sampler = LLMSampler(llm, temperature=0.2, seed=1)
        assert sampler.max_tokens == 9
        completion = await sampler("hi", options={"temperature": 0.9})
        assert completion.usage.output_tokens == 5
        assert isinstance(completion.raw, CompletionResponse)
        [request] = llm.log
        assert request["method"] == "acomplete"
        assert request["kwargs"] == {"temperature": 0.9, "seed": 1}

    async def test_errors_arrive_as_they_are(self, scripted):
        """Nothing is wrapped."""
        with pytest.raises(KeyError, match="mine"):
            await LLMSampler(scripted(KeyError("mine")))("hi")


class TestAsAJudge:
    async def test_it_judges_as_the_request_came_in(self, call, scripted):
        """Its calls are booked as judging, and sent once."""
        llm = scripted(GRADE)
        judge = Judge(LLMSampler(llm), rubric="?")
        result = await solved(call, BestOfN(2, verifier=judge, hedge=False))
        assert result.ledger.by_role["verify"].calls == llm.calls == 2
        method, thread = ("acomplete", "MainThread") if call.awaits else ("complete", "thinktwice")
        assert {(each["method"], each["thread"]) for each in llm.log} == {(method, thread)}

    async def test_in_messages(self, scripted, call):
        """As the layout of a judge makes them."""
        llm = scripted('{"issue": null}')
        critic = Critic(sampler=LLMSampler(llm), layout=JudgePrompt.messages)
        await solved(call, BestOfN(1, verifier=critic, hedge=False))
        assert [each.role.value for each in llm.log[0]["given"]] == ["system", "user"]

    async def test_in_a_tournament(self, scripted, call):
        """Two calls a match."""
        llm = scripted('{"reason": "x", "better": "A"}', '{"reason": "x", "better": "B"}')
        judge = PairwiseJudge(LLMSampler(llm), rubric="?")
        result = await solved(call, BestOfN(2, select=Knockout(judge), hedge=False))
        assert result.ledger.by_role["verify"].calls == llm.calls == 2

    async def test_a_strategy_as_a_judge(self, scripted, call):
        """Its own calls are booked, and it is none."""
        llm = scripted(GRADE)
        voting = StrategyLLM(llm=llm, strategy=ready(3))
        sampler = LLMSampler(voting)
        assert (sampler.leaf, sampler.draws) == (False, 3)
        result = await solved(call, BestOfN(1, verifier=Judge(sampler, rubric="?"), hedge=False))
        assert result.verdicts[0].score == 1.0
        assert result.ledger.by_role.keys() >= {"sample"}
        assert llm.calls == 3
        assert result.ledger.total.calls == 1 + 3


async def test_one_whose_async_methods_block_is_called_on_a_thread():
    """And cannot be recalled; another can, in an async request."""

    class Own(CustomLLM):
        @property
        def metadata(self):
            return LLMMetadata(model_name="own")

        @llm_completion_callback()
        def complete(self, prompt, formatted=False, **kwargs):
            return CompletionResponse(text="x")

        @llm_completion_callback()
        def stream_complete(self, prompt, formatted=False, **kwargs):
            yield CompletionResponse(text="x", delta="x")

    sampler = LLMSampler(Own())
    assert sampler.recallable is False
    assert (await sampler("hi")).value == "x"


async def test_recalling(scripted):
    """A call on a thread runs on."""
    sampler = LLMSampler(scripted("x"))
    assert sampler.recallable is True
    token = blocking.set(True)
    assert sampler.recallable is False
    blocking.reset(token)


def test_what_is_no_llm(scripted):
    """The error names what is, and its repr shows no key."""
    with pytest.raises(UsageError, match="LLM of LlamaIndex"):
        LLMSampler("gpt-4o")  # type: ignore[arg-type]
    assert repr(LLMSampler(scripted("x"))) == "LLMSampler(ScriptedLLM)"


async def test_what_is_no_message(scripted):
    """The error names what is."""
    with pytest.raises(UsageError, match="ChatMessages"):
        await LLMSampler(scripted("x"))([3])


async def solved(call, strategy):
    """Run it over a fixed answer, by a sync or an async door."""
    made = iter(f"answer {at}" for at in range(9))
    solver, question = Solver(strategy), QueryBundle("q")

    async def draw(prompt):
        return next(made)

    if call.awaits:
        return await solver.solve(question, AsyncDrawing(draw, History()))
    return solver.solve_sync(question, BlockingDrawing(lambda _: next(made), History()))
