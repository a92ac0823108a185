"""Any strategy over rewrites: what is called, and what comes out."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from llama_index.core import Settings as Defaults
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.transforms.transform import StrategyQueryTransform

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    BudgetExceeded,
    CritiqueRepair,
    FieldVote,
    Price,
    ToolCheck,
    UsageError,
    Vote,
    budget_scope,
    collect,
)
from thinktwice.errors import ThinktwiceWarning
from thinktwice.testing import run_virtual

ALL = Vote(3, stop=AtMost(3))
QUESTION = "Who rules in Paris?"


async def test_the_winner_is_embedded_and_the_question_stays(call, scripted):
    """By `run` and by `arun`: the synthesizer answers what the user asked."""
    llm = scripted("king paris", "Paris king", "queen")
    query = await call(StrategyQueryTransform(ALL, llm=llm), "run", QUESTION)
    assert query.query_str == QUESTION
    assert query.embedding_strs[1:] == [QUESTION]
    assert query.embedding_strs[0] in {"king paris", "Paris king", "queen"}
    assert llm.calls == 3


async def test_sync_calls_sync_methods_on_threads_and_async_the_async_ones(call, scripted):
    """A client of a provider may be bound to the loop of the application."""
    llm = scripted("king")
    await call(StrategyQueryTransform(ALL, llm=llm), "run", QUESTION)
    methods = {request["method"] for request in llm.log}
    threads = {request["thread"] for request in llm.log}
    assert methods == ({"achat"} if call.awaits else {"chat"})
    assert threads == ({"MainThread"} if call.awaits else {"thinktwice"})


async def test_a_model_without_chat_completes_what_is_formatted(call, scripted):
    """Its own wrapper is put around once."""
    llm = scripted("king", is_chat=False)
    query = await call(StrategyQueryTransform(ALL, llm=llm), "run", QUESTION)
    assert query.embedding_strs[0] == "king"
    assert llm.log[0]["method"] == ("acomplete" if call.awaits else "complete")


async def test_what_comes_out_is_a_new_bundle_without_the_old_embedding(call, scripted):
    """A retriever that finds an embedding does not embed the rewrite."""
    given = QueryBundle(QUESTION, image_path="a.png", embedding=[1.0])
    query = await call(StrategyQueryTransform(ALL, llm=scripted("king")), "run", given)
    assert query.embedding is None
    assert query.image_path == "a.png"
    assert given == QueryBundle(QUESTION, image_path="a.png", embedding=[1.0])


async def test_a_retriever_retrieves_by_the_rewrite(call, scripted, index):
    """In a real vector index, though the bundle has been retrieved with before."""
    given = QueryBundle("Eiffel tower in Paris")
    retriever = index.as_retriever(similarity_top_k=1)
    retriever.retrieve(given)  # which leaves its embedding
    assert given.embedding is not None
    llm = scripted("Rome founded on seven hills")
    transform = StrategyQueryTransform(ALL, llm=llm, include_original=False)
    nodes = retriever.retrieve(await call(transform, "run", given))
    assert "Rome" in nodes[0].text


async def test_an_empty_rewrite_abstains(call, scripted):
    """It costs, and does not vote."""
    llm = scripted(" ", "king", "")
    made = await call(StrategyQueryTransform(ALL, llm=llm), "run_with_result", QUESTION)
    assert made.query.embedding_strs[0] == "king"
    assert [sample.answer for sample in made.result.samples].count(None) == 2


async def test_where_all_abstain_the_question_comes_out(call, scripted, silent_remarks):
    """With what the user had embedded for it."""
    transform = StrategyQueryTransform(ALL, llm=scripted(""))
    given = QueryBundle(QUESTION, custom_embedding_strs=["mine"], embedding=[1.0])
    query = await call(transform, "run", given)
    assert query == given
    assert query is not given


async def test_what_failed_its_check_is_not_used(call, scripted):
    """The question is, whatever the strategy lets stand."""
    checked = StrategyQueryTransform(ToolCheck(lambda _: False, rounds=1), llm=scripted("king"))
    best = StrategyQueryTransform(BestOfN(2, verifier=lambda _: False), llm=scripted("king"))
    assert (await call(checked, "run", QUESTION)).embedding_strs == [QUESTION]
    assert (await call(best, "run", QUESTION)).embedding_strs == [QUESTION]


async def test_a_correction_by_a_tool_is_embedded(call, scripted):
    """A value that is no `Rewrite` any more."""
    from thinktwice import Verdict
    from thinktwice.sample import Correction

    def mend(text):
        fixed = Correction(value="king", changes=(("knig", "king"),))
        return Verdict(outcome="fail", correction=fixed) if text == "knig" else True

    strategy = ToolCheck(mend, on_fail="inject")
    query = await call(StrategyQueryTransform(strategy, llm=scripted("knig")), "run", QUESTION)
    assert query.embedding_strs == ["king", QUESTION]


async def test_an_error_of_the_llm_is_raised_as_it_is(call, scripted):
    """With what was paid for on it."""
    transform = StrategyQueryTransform(ALL, llm=scripted(ConnectionError("down")))
    with pytest.raises(ConnectionError, match="down") as caught:
        await call(transform, "run", QUESTION)
    assert caught.value.thinktwice_result.launched >= 1


# ---- what is sampled ----------------------------------------------------------------------------


async def test_another_transform_may_make_the_rewrites(call, scripted):
    """HyDE, whose documents are then what is judged."""
    llm = scripted("A king.", "A queen rules.", "Nobody.")
    hyde = HyDEQueryTransform(llm=llm)
    strategy = BestOfN(3, verifier=lambda text: len(text) / 100)
    made = await call(StrategyQueryTransform(strategy, transform=hyde), "run_with_result", QUESTION)
    assert made.query.embedding_strs == ["A queen rules.", QUESTION]
    assert made.query.query_str == QUESTION
    assert llm.calls == made.result.ledger.total.calls == 3


async def test_a_transform_that_cannot_be_awaited_runs_on_a_thread(call, told):
    """The event loop goes on."""
    transform = told(QueryBundle("king"))
    await call(StrategyQueryTransform(ALL, transform=transform), "run", QUESTION, {"a": 1})
    assert set(transform.threads) == {"thinktwice"}
    assert transform.metadata == [{"a": 1}] * len(transform.given)


async def test_a_strategy_is_a_transform_for_another(call, scripted):
    """Best of votes; each vote is awaited, or runs on threads, as the request came in."""
    llm = scripted("king")
    inner = StrategyQueryTransform(Vote(2, stop=AtMost(2)), llm=llm)
    outer = StrategyQueryTransform(BestOfN(2, verifier=lambda _: 0.5), transform=inner)
    made = await call(outer, "run_with_result", QUESTION)
    assert made.query.embedding_strs[0] == "king"
    assert llm.calls == 4
    assert "2 x 2 = 4 draws" in " ".join(made.result.warnings)
    assert {request["method"] for request in llm.log} == {"achat" if call.awaits else "chat"}


async def test_a_function_may_make_them(call):
    """Sync or async, as a text or a bundle."""

    async def waits(query):
        await asyncio.sleep(0)
        return f"{query.query_str} king"

    made = [
        lambda query: f"{query.query_str} king",
        waits,
        lambda query: QueryBundle(f"{query.query_str} king"),
        lambda query: waits(query),  # noqa: PLW0108 - a sync function that returns an awaitable
    ]
    for function in made:
        query = await call(StrategyQueryTransform(ALL, transform=function), "run", QUESTION)
        assert query.embedding_strs[0] == f"{QUESTION} king"


@pytest.mark.parametrize("made", [None, 7, ["king"]])
async def test_what_returns_no_bundle_is_named(call, told, made):
    """Whoever forgets to return one is told so."""
    for transform in (told(made), lambda _: made):
        with pytest.raises(UsageError, match="return a QueryBundle") as caught:
            await call(StrategyQueryTransform(ALL, transform=transform), "run", QUESTION)
        assert caught.value.parameter == "transform"


async def test_a_repair_shows_feedback_to_another_transform(call, told):
    """In its text alone: nothing of it is embedded, nor comes out."""
    transform = told(QueryBundle("one"), QueryBundle("two"))
    strategy = CritiqueRepair(lambda text: text == "two")
    query = await call(StrategyQueryTransform(strategy, transform=transform), "run", QUESTION)
    assert query.query_str == "two"
    first, second = transform.given[0], transform.given[-1]
    assert (first.query_str, first.embedding_strs) == (QUESTION, [QUESTION])
    assert "one" in second.query_str
    assert "Feedback" in second.query_str
    assert second.embedding_strs == [QUESTION]


async def test_the_default_llm_is_looked_up_when_it_is_needed(call, scripted, monkeypatch):
    """So that no key is needed before, and a later setting counts."""
    monkeypatch.setattr(Defaults, "_llm", None)
    transform = StrategyQueryTransform(ALL)
    for name in ("king", "queen"):
        monkeypatch.setattr(Defaults, "_llm", scripted(name))
        assert (await call(transform, "run", QUESTION)).embedding_strs[0] == name


async def test_a_strategy_in_the_llm_multiplies(call, scripted):
    """The warning names the product; each call is booked once."""
    llm = scripted("king")
    thinking = StrategyLLM(llm=llm, strategy=Vote(2, stop=AtMost(2)))
    made = await call(StrategyQueryTransform(ALL, llm=thinking), "run_with_result", QUESTION)
    assert llm.calls == made.result.ledger.total.calls == 6
    assert "3 x 2 = 6 draws" in " ".join(made.result.warnings)


# ---- the original first -------------------------------------------------------------------------


async def test_the_original_may_be_the_first_draw_without_a_call(call, scripted):
    """It has index 0, whatever the order of arrival."""
    llm = scripted("king")
    transform = StrategyQueryTransform(ALL, llm=llm, original_first=True)
    made = await call(transform, "run_with_result", QUESTION)
    assert [str(sample.value) for sample in made.result.samples] == [QUESTION, "king", "king"]
    assert llm.calls == made.result.ledger.total.calls == 2


async def test_the_original_may_be_first_before_another_transform(call, told):
    """That is asked for the others alone."""
    transform = told(QueryBundle("king"))
    made = await call(
        StrategyQueryTransform(ALL, transform=transform, original_first=True),
        "run_with_result",
        QUESTION,
    )
    assert [str(sample.value) for sample in made.result.samples] == [QUESTION, "king", "king"]
    assert len(transform.given) == 2


async def test_the_original_is_first_of_each_run_inside_another(scripted, told):
    """A transform inside a transform has an original of its own."""
    llm = scripted("king")
    inner = StrategyQueryTransform(Vote(2, stop=AtMost(2)), llm=llm, original_first=True)
    outer = StrategyQueryTransform(Vote(2, stop=AtMost(2)), transform=inner)
    made = await outer.arun_with_result(QUESTION)
    assert [str(each.samples[0].value) for each in made.result.nested] == [QUESTION, QUESTION]
    assert llm.calls == 2


def test_the_original_is_no_draw_of_a_strategy_inside(scripted):
    """Refused, for it would be none at all."""
    strategy = BestOfN(2, verifier=lambda _: 1.0, of=Vote(2))
    with pytest.raises(UsageError, match="original_first=True"):
        StrategyQueryTransform(strategy, llm=scripted("king"), original_first=True)


# ---- budgets and results ------------------------------------------------------------------------


async def test_a_budget_refuses_calls_before_they_are_sent(call, scripted, fresh_remarks):
    """The best so far is used."""
    llm = scripted("king", "queen")
    transform = StrategyQueryTransform(ALL, llm=llm, budget=Budget(calls=2))
    with pytest.warns(ThinktwiceWarning, match="budget cut"):
        made = await call(transform, "run_with_result", QUESTION)
    assert llm.calls == 2
    assert made.query.embedding_strs[0] in {"king", "queen"}
    assert made.result.cut.kind == "calls"


async def test_a_budget_for_nothing_gives_the_question(call, scripted):
    """That is the best so far."""
    budget = Budget(tokens=1, strict=True)
    llm = scripted("king", max_tokens=50)
    transform = StrategyQueryTransform(ALL, llm=llm, budget=budget)
    made = await call(transform, "run_with_result", QUESTION)
    assert made.query.embedding_strs == [QUESTION]
    assert made.result.cut.kind == "tokens"
    assert llm.calls == 0


async def test_a_budget_for_nothing_may_raise(call, scripted):
    """By the setting that says so."""
    llm = scripted("king", max_tokens=50)
    transform = StrategyQueryTransform(ALL, llm=llm, budget=Budget(tokens=1), on_exhausted="raise")
    with pytest.raises(BudgetExceeded):
        await call(transform, "run", QUESTION)


async def test_a_budget_around_ends_more_than_the_transform(call, scripted):
    """It is raised, with what was paid for."""
    llm = scripted("king", max_tokens=50)
    transform = StrategyQueryTransform(ALL, llm=llm)
    with budget_scope(Budget(tokens=1)), pytest.raises(BudgetExceeded):
        await call(transform, "run", QUESTION)


async def test_costs_are_reserved_and_known(call, scripted):
    """Where the price and the most tokens are."""
    prices = {"fake-1": Price(input="1", output="2")}
    llm = scripted("king", max_tokens=50)
    budget = Budget(cost="1", strict=True)
    transform = StrategyQueryTransform(ALL, llm=llm, budget=budget, prices=prices)
    ledger = (await call(transform, "run_with_result", QUESTION)).result.ledger
    assert ledger.enforcement["cost"] == "reserved"
    assert ledger.total.cost > 0
    assert ledger.total.calls == len(llm.log) == 3


async def test_collect_gathers_the_result(call, scripted):
    """As of everything else."""
    transform = StrategyQueryTransform(ALL, llm=scripted("king"))
    with collect() as results:
        await call(transform, "run", QUESTION)
    assert [result.launched for result in results] == [3]


async def test_calls_of_another_transform_are_booked_as_heard_of(call, scripted):
    """And a strict budget, which that cannot keep, is refused."""
    hyde = HyDEQueryTransform(llm=scripted("A king."))
    transform = StrategyQueryTransform(ALL, transform=hyde, budget=Budget(tokens=100_000))
    result = (await call(transform, "run_with_result", QUESTION)).result
    assert result.ledger.enforcement["tokens"] == "estimated"
    assert result.ledger.total.usage.output_tokens == 15
    with pytest.raises(UsageError, match="budget"):
        StrategyQueryTransform(ALL, transform=hyde, budget=Budget(tokens=9, strict=True))


# ---- many at once -------------------------------------------------------------------------------


async def test_requests_on_one_instance_do_not_mix(scripted):
    """Nothing of a request is kept on it."""

    def echo(request):
        return request["text"].partition("Question: ")[2].partition("\n")[0] + " king"

    transform = StrategyQueryTransform(ALL, llm=scripted(echo))
    asked = [f"Who rules {each}?" for each in range(8)]
    queries = await asyncio.gather(*map(transform.arun, asked))
    assert [query.embedding_strs[0] for query in queries] == [f"{each} king" for each in asked]


def test_rewrites_are_drawn_at_the_same_time(scripted):
    """Three of a second each take one."""

    async def main():
        transform = StrategyQueryTransform(Vote(3, stop=AtMost(3)), llm=scripted("x", seconds=1.0))
        started = asyncio.get_running_loop().time()
        await transform.arun(QUESTION)
        return asyncio.get_running_loop().time() - started

    assert 1.0 <= run_virtual(main()) < 1.1


def test_a_cancelled_request_cancels_its_calls(scripted):
    """No task is left behind, and no call goes on."""
    llm = scripted("x", seconds=60.0)

    async def main():
        transform = StrategyQueryTransform(ALL, llm=llm)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transform.arun(QUESTION), 1.0)
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1
    assert llm.most_in_flight == 3
    assert llm._in_flight == []


async def test_it_works_by_its_sync_name_where_a_loop_is_running(scripted):
    """As LlamaIndex's own engines call it."""
    query = StrategyQueryTransform(ALL, llm=scripted("king")).run(QUESTION)
    assert query.embedding_strs[0] == "king"


# ---- what it looks like, and what it refuses ----------------------------------------------------


def test_its_prompt_is_visible_and_can_be_replaced(scripted):
    """By the name that `get_prompts` shows."""
    llm = scripted("king")
    transform = StrategyQueryTransform(ALL, llm=llm)
    assert list(transform.get_prompts()) == ["rewrite_prompt"]
    transform.update_prompts({"rewrite_prompt": PromptTemplate("Search: {query_str}")})
    transform.run(QUESTION)
    assert llm.log[0]["text"] == f"Search: {QUESTION}"
    with pytest.raises(UsageError, match="query_str"):
        transform.update_prompts({"rewrite_prompt": PromptTemplate("Search!")})


def test_prompts_of_a_transform_inside_are_visible_at_any_depth(scripted):
    """LlamaIndex's own fails two levels down."""
    llm = scripted("A king.")
    inner = StrategyQueryTransform(ALL, transform=HyDEQueryTransform(llm=llm))
    outer = StrategyQueryTransform(ALL, transform=inner)
    name = "transform:transform:hyde_prompt"
    assert list(outer.get_prompts()) == [name]
    outer.update_prompts({name: PromptTemplate("Invent: {context_str}")})
    outer.run(QUESTION)
    assert llm.log[0]["text"] == f"Invent: {QUESTION}"
    with pytest.raises(ValueError, match="nowhere"):
        outer.update_prompts({"nowhere:x": PromptTemplate("")})


def test_it_shows_as_what_it_does(scripted):
    """The strategy, and what is drawn from."""
    assert "Vote" in repr(StrategyQueryTransform(ALL))
    assert "Settings.llm" in repr(StrategyQueryTransform(ALL))
    assert "ScriptedLLM" in repr(StrategyQueryTransform(ALL, llm=scripted("x")))
    transform = StrategyQueryTransform(ALL, llm=scripted("x"))
    assert (transform.strategy, transform.draws, transform.shadow) == (ALL, 3, None)


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"llm": "gpt-4"}, "llm"),
        ({"transform": "hyde"}, "transform"),
        ({"transform": HyDEQueryTransform}, "transform"),
        ({"into": "title"}, "into"),
        ({"include_original": 1}, "include_original"),
        ({"original_first": "yes"}, "original_first"),
        ({"prompt": "Search!"}, "prompt"),
        ({"budget": 5}, "budget"),
        ({"temperature": 0.7}, "temperature"),
        ({"strategy": 5}, "strategy"),
        ({"strategy": FieldVote(3)}, "strategy"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(scripted, given, parameter):
    """At construction, before anything is drawn."""
    given = {"strategy": ALL, "llm": None if "transform" in given else scripted("x"), **given}
    make = partial(StrategyQueryTransform, given.pop("strategy"))
    with pytest.raises(UsageError) as caught:
        make(**given)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("name", ["llm", "prompt"])
def test_what_another_transform_would_not_use_is_refused(scripted, told, name):
    """It writes with what it has."""
    given = {"llm": scripted("x"), "prompt": "{query_str}"}[name]
    with pytest.raises(UsageError, match=name):
        StrategyQueryTransform(ALL, transform=told("x"), **{name: given})


def test_a_query_that_is_none_is_refused(scripted):
    """By the name that LlamaIndex has for it."""
    with pytest.raises(UsageError, match="query_bundle_or_str"):
        StrategyQueryTransform(ALL, llm=scripted("x")).run(7)


def test_a_temperature_of_zero_is_warned_of_with_the_fix(scripted):
    """At the line that makes the transform."""
    with pytest.warns(ThinktwiceWarning, match=r"temperature=0\.7") as caught:
        StrategyQueryTransform(ALL, llm=scripted("x", temperature=0.0))
    assert caught[0].filename == __file__


def test_a_repair_at_a_temperature_of_zero_is_fine(scripted):
    """Its draws differ by what they ask; a warning would be an error here."""
    llm = scripted("x", temperature=0.0)
    StrategyQueryTransform(CritiqueRepair(lambda _: True), llm=llm)


async def test_a_temperature_of_zero_of_the_default_is_warned_of_once(
    scripted, monkeypatch, silent_remarks
):
    """When it is known."""
    monkeypatch.setattr(Defaults, "_llm", scripted("x", temperature=0.0))
    transform = StrategyQueryTransform(ALL)
    with pytest.warns(ThinktwiceWarning, match="temperature is 0"):
        await transform.arun(QUESTION)
    await transform.arun(QUESTION)
