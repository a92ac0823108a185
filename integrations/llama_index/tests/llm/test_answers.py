"""The response that an LLM over samples answers with."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LogProb
from llama_index_thinktwice.llm import StrategyLLM

from thinktwice import (
    AllSamplesFailed,
    AtMost,
    BestOfN,
    CritiqueRepair,
    Price,
    RunError,
    ToolCheck,
    Vary,
    Verdict,
    Vote,
    collect,
)

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def cut_short(text: str) -> ChatResponse:
    """A response that reached its cap."""
    raw = {"choices": [{"finish_reason": "length"}]}
    return ChatResponse(message=ChatMessage(text, role="assistant"), raw=raw)


async def test_the_most_frequent_answer_by_every_way_to_ask(scripted, voting, ask):
    """With the summary, and the tokens of all three calls; a stream is one chunk of all of it."""
    inner = scripted("4", "5", "4")
    llm = voting(inner, prices={"fake-1": Price(input="1", output="10")})
    response = await ask(llm)
    assert ask.text(response) == "4"
    told = response.additional_kwargs
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (15, 15, 30)
    summary = told["thinktwice"]
    assert (summary["launched"], summary["tokens"]) == (3, 30)
    assert summary["cost"] == pytest.approx(165e-6)
    assert summary["agreement"] == pytest.approx(2 / 3)
    assert response.delta == ("4" if "stream" in ask.method else None)
    assert response.raw["usage"]["total_tokens"] == 10  # of the sample that was chosen


async def test_sync_asks_sync_and_async_asks_async(scripted, voting, ask):
    """Each sample by the whole method of its kind; sync ones on threads of ours."""
    inner = scripted("4")
    await ask(voting(inner))
    own = ask.method.replace("stream_", "")
    assert {each["method"] for each in inner.log} == {own}
    threads = {each["thread"] for each in inner.log}
    assert threads == ({"MainThread"} if own[0] == "a" else {"thinktwice"})


async def test_nothing_of_a_sample_is_changed(scripted, voting, question):
    """The response is a copy: what LlamaIndex does to it is not done to the sample."""
    with collect() as results:
        response = await voting(scripted("4")).achat(question)
    response.message.blocks.clear()
    response.message.additional_kwargs["changed"] = True
    kept = results[0].winner.value
    assert kept.message.content == "4"
    assert "thinktwice" not in kept.additional_kwargs
    assert kept.message.additional_kwargs == {}


async def test_tool_calls_are_voted_by_value(scripted, voting, question, asks_tools, call):
    """By name and arguments in any order; the ids of the winner stay."""
    replies = [
        asks_tools(("add", {"a": 1, "b": 2})),
        asks_tools(("add", {"a": 1, "b": 3})),
        asks_tools(("add", {"b": 2, "a": 1})),
    ]
    response = await call(voting(scripted(*replies)), "chat", question)
    first = replies[0].additional_kwargs["tool_calls"]
    assert response.message.additional_kwargs["tool_calls"] == first
    assert response.additional_kwargs["thinktwice"]["agreement"] == pytest.approx(2 / 3)


async def test_tool_calls_survive_a_stream(scripted, voting, question, asks_tools):
    """In its only chunk, which says nothing new."""
    calling = asks_tools(("add", {"a": 1}))
    llm = voting(scripted(calling))
    chunks = [chunk async for chunk in await llm.astream_chat(question)]
    chunks += list(llm.stream_chat(question))
    calls = calling.additional_kwargs["tool_calls"]
    for chunk in chunks:
        assert chunk.message.additional_kwargs["tool_calls"] == calls
        assert chunk.delta == ""
        assert llm.get_tool_calls_from_response(chunk)[0].tool_kwargs == {"a": 1}


async def test_cut_short_samples_abstain(scripted, voting, question, call):
    """Though most of them agree."""
    inner = scripted(cut_short("4"), cut_short("4"), "5")
    response = await call(voting(inner), "chat", question)
    assert response.message.content == "5"


async def test_all_abstain(scripted, voting, ask):
    """The first as it came, which says so itself; the summary marks it."""
    response = await ask(voting(scripted("No idea."), vote={"key": "number"}))
    assert ask.text(response) == "No idea."
    assert response.additional_kwargs["thinktwice"]["abstained"] is True


async def test_an_answer_is_not_marked_as_abstained(scripted, voting, question):
    """Only where there was none."""
    response = await voting(scripted("4")).achat(question)
    assert "abstained" not in response.additional_kwargs["thinktwice"]


async def test_rejected_answers_are_never_returned(scripted, question, call):
    """They raise, with what was paid for."""
    strategy = ToolCheck(lambda response: False, on_fail="reject")
    llm = StrategyLLM(llm=scripted("4"), strategy=strategy)
    with pytest.raises(RunError, match="accepted") as caught:
        await call(llm, "chat", question)
    assert caught.value.result.ledger.total.calls == 1


async def test_errors_of_the_llm_arrive_as_they_are(scripted, voting, ask):
    """Of one type: that type, with the result; else all of them as a group."""
    error = ConnectionError("down")
    with pytest.raises(ConnectionError) as caught:
        await ask(voting(scripted(error)))
    assert caught.value is error
    assert caught.value.thinktwice_result.ledger.total.calls == 3
    with pytest.raises(AllSamplesFailed):
        await ask(voting(scripted(ConnectionError(), ValueError(), ConnectionError())))


async def test_one_failing_sample_is_no_failure(scripted, voting, ask):
    """The others answer."""
    assert ask.text(await ask(voting(scripted(ConnectionError("down"), "4", "4")))) == "4"


async def test_an_llm_that_reports_nothing(scripted, voting, question):
    """No tokens are made up."""
    response = await voting(scripted("4", reports=False)).achat(question)
    assert "total_tokens" not in response.additional_kwargs
    assert response.additional_kwargs["thinktwice"]["tokens"] is None


async def test_what_a_response_says_of_itself(scripted, voting, question):
    """Finish reason, model and log-probabilities are those of the sample."""
    inner = scripted(
        ChatResponse(
            message=ChatMessage("4", role="assistant"),
            raw={"model": "fake-1-0613", "choices": [{"finish_reason": "stop"}]},
            logprobs=[[LogProb(token="4", logprob=-0.5)]],
        )
    )
    with collect() as results:
        await voting(inner).achat(question)
    sample = results[0].samples[0]
    assert (sample.text, sample.model, sample.finish_reason) == ("4", "fake-1-0613", "stop")
    assert sample.logprobs == (-0.5,)


async def test_verifiers_get_responses(scripted, question, call):
    """And the messages as prompt; their names are those of the samples' order."""
    seen = []

    class Longest:
        name, exact = "longest", False

        async def __call__(self, sample, /, *, prompt):
            seen.append((sample.value.message.content, prompt))
            return Verdict(score=len(sample.text) / 10, outcome="scored")

    llm = StrategyLLM(llm=scripted("4", "four"), strategy=BestOfN(2, verifier=Longest()))
    assert (await call(llm, "chat", question)).message.content == "four"
    assert sorted(text for text, _prompt in seen) == ["4", "four"]
    assert all(prompt == question for _text, prompt in seen)


async def test_a_draft_and_its_feedback_become_turns(scripted, question, ask):
    """Of the model and of the user; a text gets them behind it."""
    inner = scripted("5", "4")
    check = ToolCheck(
        lambda response: "4" in str(response) or Verdict(outcome="fail", feedback="Count again.")
    )
    assert ask.text(await ask(StrategyLLM(llm=inner, strategy=check))) == "4"
    asked = inner.log[1]["given"]
    if ask.chats:
        assert [(str(each.role.value), each.content) for each in asked[:2]] == [
            ("user", "2 + 2"),
            ("assistant", "5"),
        ]
        assert "Count again." in asked[2].content
    else:
        assert asked.startswith("2 + 2")
        assert "5" in asked and "Count again." in asked  # noqa: PT018 - one text


async def test_a_draft_of_tool_calls_is_shown_as_data(scripted, question, asks_tools):
    """A turn must not leave calls unanswered."""
    inner = scripted(asks_tools(("add", {"a": 1})), "4")
    check = CritiqueRepair(verifier=lambda response: response.message.content == "4", rounds=1)
    await StrategyLLM(llm=inner, strategy=check).achat(question)
    draft = inner.log[1]["given"][1]
    assert draft.content == '["add",{"a":1}]'
    assert draft.additional_kwargs == {}


async def test_variants_reach_the_llm(scripted, question, call):
    """Temperatures as call arguments, prompts as other messages."""
    inner = scripted("4")
    vary = Vary(
        temperatures=(0.3, 0.9), prompts=(lambda given: given, lambda given: [given[0], given[0]])
    )
    llm = StrategyLLM(llm=inner, strategy=Vote(4, stop=AtMost(4), vary=vary))
    await call(llm, "chat", question)
    assert {each["kwargs"]["temperature"] for each in inner.log} == {0.3, 0.9}
    assert {len(each["given"]) for each in inner.log} == {1, 2}
