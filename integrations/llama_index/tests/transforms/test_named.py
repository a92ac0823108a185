"""Vote, best-of-N, critique-repair and tool-check over rewrites of a query."""

from __future__ import annotations

import sqlite3

import pytest
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import FunctionTool
from llama_index_thinktwice.transforms.checks import parses, retrieves
from llama_index_thinktwice.transforms.evidence import Evidence
from llama_index_thinktwice.transforms.named import (
    BestOfNQueryTransform,
    CritiqueRepairQueryTransform,
    HighestScore,
    ToolCheckQueryTransform,
    VoteQueryTransform,
)

from thinktwice import AtMost, Budget, GoodEnough, UsageError

QUESTION = "Which town governs Germany?"


def about_berlin(nodes):
    """Relevance to the question: the share of what was found that is about Berlin."""
    return sum("berlin" in node.text for node in nodes) / max(1, len(nodes))


# ---- vote ---------------------------------------------------------------------------------------


async def test_rewrites_with_the_same_words_vote_together(call, scripted):
    """In any order; the user's question is embedded beside the winner."""
    llm = scripted("capital Germany", "hills", "Germany, capital", "town")
    transform = VoteQueryTransform(4, llm=llm, stop=AtMost(4), prefer="cost")
    made = await call(transform, "run_with_result", QUESTION)
    # Which of the two comes first is up to the threads of a sync call.
    either = ("capital Germany", "Germany, capital")
    queries = [QueryBundle(QUESTION, custom_embedding_strs=[each, QUESTION]) for each in either]
    assert made.query in queries
    assert made.result.agreement == 1 / 2


async def test_a_vote_stops_when_it_is_settled(call, scripted):
    """Three of five that agree are a majority."""
    llm = scripted("capital")
    await call(VoteQueryTransform(5, llm=llm, prefer="cost"), "run", QUESTION)
    assert llm.calls < 5


async def test_a_vote_may_count_otherwise(call, scripted):
    """By a key of the caller's, on the text of the rewrite."""
    llm = scripted("a b", "c d", "e")
    transform = VoteQueryTransform(
        3, llm=llm, key=lambda text: len(text.split()), stop=AtMost(3), prefer="cost"
    )
    query = await call(transform, "run", QUESTION)
    assert query.embedding_strs[0] == "a b"


# ---- best of n ----------------------------------------------------------------------------------


async def test_the_rewrite_that_finds_the_best_wins(call, scripted, shelf):
    """n counts the question, which takes no call; each candidate takes one retrieval."""
    llm = scripted("rome hills", "berlin capital", "berlin spree")
    transform = BestOfNQueryTransform(4, llm=llm, verifier=Evidence(shelf, about_berlin))
    made = await call(transform, "run_with_result", QUESTION)
    assert made.query == QueryBundle(QUESTION, custom_embedding_strs=["berlin spree"])
    assert (llm.calls, len(shelf.asked)) == (3, 4)
    assert set(shelf.ways) == {"async in MainThread" if call.awaits else "sync in thinktwice"}


async def test_what_is_judged_is_what_is_retrieved_with_afterwards(call, scripted, shelf):
    """The same strings are embedded, the original's included if it is to be."""
    transform = BestOfNQueryTransform(
        2, llm=scripted("spree"), verifier=Evidence(shelf, about_berlin), include_original=True
    )
    query = await call(transform, "run", QueryBundle(QUESTION))
    assert (QUESTION, [QUESTION]) in shelf.asked
    assert (QUESTION, ["spree", QUESTION]) in shelf.asked
    assert query.embedding_strs in ([QUESTION], ["spree", QUESTION])


async def test_a_rewrite_no_better_than_the_question_does_not_replace_it(call, scripted):
    """Though it is shorter, and comes thrice."""
    transform = BestOfNQueryTransform(4, llm=scripted("town"), verifier=lambda _: 0.5)
    assert (await call(transform, "run", QUESTION)).embedding_strs == [QUESTION]


async def test_many_equal_rewrites_do_not_outweigh_a_better_question(call, scripted):
    """They find the same thing: that one comes often says nothing of it."""

    def judge(text):
        return 0.9 if text == QUESTION else 0.5

    transform = BestOfNQueryTransform(4, llm=scripted("town"), verifier=judge)
    assert (await call(transform, "run", QUESTION)).embedding_strs == [QUESTION]


async def test_best_of_n_may_stop_at_what_is_good_enough(scripted):
    """As the caller says."""
    llm = scripted("town", "berlin")
    transform = BestOfNQueryTransform(
        9, llm=llm, verifier=lambda text: float(text == "town"), stop=GoodEnough(1.0), prefer="cost"
    )
    assert transform.run(QUESTION).embedding_strs == ["town"]
    assert llm.calls == 1


async def test_evidence_with_a_threshold_ends_best_of_n_at_what_reaches_it(call, scripted, shelf):
    """The question itself, where that does: nothing more is drawn."""
    llm = scripted("rome")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    transform = BestOfNQueryTransform(9, llm=llm, verifier=evidence, prefer="cost")
    assert (await call(transform, "run", "berlin")).embedding_strs == ["berlin"]
    assert (llm.calls, len(shelf.asked)) == (0, 1)


@pytest.mark.parametrize(("rewrite", "used"), [("capital", "capital"), ("rome", "Who?")])
async def test_where_none_reaches_the_threshold_the_best_is_used(
    call, scripted, shelf, rewrite, used
):
    """The question, unless a rewrite scored higher."""
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    transform = BestOfNQueryTransform(3, llm=scripted(rewrite), verifier=evidence)
    assert (await call(transform, "run", "Who?")).embedding_strs == [used]


async def test_a_budget_that_affords_no_rewrite_leaves_the_question(call, scripted, silent_remarks):
    """The best so far."""
    llm = scripted("town", max_tokens=50)
    transform = BestOfNQueryTransform(
        4, llm=llm, verifier=lambda _: 0.5, budget=Budget(tokens=1, strict=True)
    )
    made = await call(transform, "run_with_result", QUESTION)
    assert made.query.embedding_strs == [QUESTION]
    assert (llm.calls, made.result.ledger.total.calls) == (0, 0)


async def test_a_failing_llm_leaves_the_question(call, scripted):
    """A candidate that needs no LLM is there."""
    transform = BestOfNQueryTransform(
        3, llm=scripted(ConnectionError("down")), verifier=lambda _: 0.5
    )
    assert (await call(transform, "run", QUESTION)).embedding_strs == [QUESTION]


def test_best_of_n_is_nothing_without_a_verifier(scripted):
    """It says which parameter is missing."""
    with pytest.raises(UsageError, match="verifier"):
        BestOfNQueryTransform(3, llm=scripted("x"), verifier=None)


def test_critique_repair_is_nothing_without_one_or_a_critic(scripted):
    """It is said when it is made, with what to give."""
    with pytest.raises(UsageError, match=r"critic=None: give a verifier, such as Evidence"):
        CritiqueRepairQueryTransform(None, llm=scripted("x"))


def test_the_selection_shows_as_it_is_written():
    """In the repr of the strategy."""
    assert repr(HighestScore()) == "HighestScore()"


# ---- critique and repair ------------------------------------------------------------------------


async def test_a_question_that_finds_enough_takes_no_call(call, scripted, shelf):
    """One retrieval, and that is all."""
    llm = scripted("x")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    transform = CritiqueRepairQueryTransform(evidence, llm=llm)
    query = await call(transform, "run", "berlin")
    assert query.embedding_strs == ["berlin"]
    assert (llm.calls, len(shelf.asked)) == (0, 1)


async def test_it_is_rewritten_until_the_evidence_is_good_enough(call, scripted, shelf):
    """With what was found by the last one; each takes one retrieval."""
    llm = scripted("capital", "berlin")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    query = await call(CritiqueRepairQueryTransform(evidence, llm=llm), "run", QUESTION)
    assert query == QueryBundle(QUESTION, custom_embedding_strs=["berlin"])
    assert (llm.calls, len(shelf.asked)) == (2, 3)
    feedback = [request["given"][-1].content for request in llm.log]
    assert "found nothing" in feedback[0]
    assert "paris capital france" in feedback[1]
    assert "0.50 of 1" in feedback[1]


async def test_a_rewrite_that_finds_as_little_is_followed_by_another(call, scripted, shelf):
    """No gain, and no loss."""
    llm = scripted("rome", "berlin")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    query = await call(CritiqueRepairQueryTransform(evidence, llm=llm), "run", "Who?")
    assert query.embedding_strs == ["berlin"]


async def test_the_best_seen_is_used_where_none_is_good_enough(call, scripted, shelf):
    """A later one that is worse does not take its place."""
    llm = scripted("capital", "rome")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    query = await call(CritiqueRepairQueryTransform(evidence, llm=llm), "run", "Who governs?")
    assert query.embedding_strs == ["capital"]


async def test_the_question_is_used_where_no_rewrite_is_better(call, scripted, shelf):
    """Never worse than it."""
    llm = scripted("rome", "hills")
    evidence = Evidence(shelf, about_berlin, threshold=0.9)
    query = await call(CritiqueRepairQueryTransform(evidence, llm=llm), "run", "capital")
    assert query.embedding_strs == ["capital"]


# ---- tool check ---------------------------------------------------------------------------------


def explain(sql):
    """Raise where SQLite cannot read it."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"EXPLAIN {sql}")
    connection.close()


async def test_a_rewrite_must_parse(call, scripted):
    """What the parser raised is what the next one is asked for with."""
    llm = scripted("SELEC 1", "SELECT 1")
    transform = ToolCheckQueryTransform(parses(explain), llm=llm, into="query")
    query = await call(transform, "run", QUESTION)
    assert (query.query_str, llm.calls) == ("SELECT 1", 2)
    turns = [message.content for message in llm.log[1]["given"]]
    assert turns[-2] == "SELEC 1"
    assert "syntax error" in turns[-1]


async def test_the_question_stands_where_no_rewrite_parses(call, scripted):
    """After the rounds."""
    llm = scripted("SELEC 1", "SELEC 2", "SELEC 3")
    transform = ToolCheckQueryTransform(parses(explain), llm=llm, into="query")
    query = await call(transform, "run", QUESTION)
    assert (query.query_str, llm.calls) == (QUESTION, 3)


async def test_entities_must_exist(call, scripted):
    """A plain callable of the text."""
    known = {"berlin", "paris"}
    llm = scripted("atlantis", "berlin")
    transform = ToolCheckQueryTransform(lambda text: text in known, llm=llm)
    assert (await call(transform, "run", QUESTION)).embedding_strs == ["berlin"]


async def test_something_must_be_retrieved(call, scripted, shelf):
    """Sync retrieval in a sync request, async in an async one."""
    llm = scripted("nothing", "berlin")
    transform = ToolCheckQueryTransform(retrieves(shelf), llm=llm)
    assert (await call(transform, "run", QUESTION)).embedding_strs == ["berlin"]
    assert len(shelf.asked) == 2
    assert "found nothing" in llm.log[1]["given"][-1].content
    assert "at least 1" in llm.log[1]["given"][-1].content


async def test_a_tool_that_breaks_fails_nothing(call, scripted, silent_remarks):
    """As everywhere: it says nothing of the rewrite."""

    def broken(text):
        raise ConnectionError("catalogue is down")

    transform = ToolCheckQueryTransform(broken, llm=scripted("berlin"))
    assert (await call(transform, "run", QUESTION)).embedding_strs == ["berlin"]


def test_a_tool_of_llamaindex_is_refused_with_what_to_give(scripted):
    """Its output is no verdict."""
    tool = FunctionTool.from_defaults(fn=explain)
    with pytest.raises(UsageError, match="give the function in it"):
        ToolCheckQueryTransform(tool, llm=scripted("x"))
