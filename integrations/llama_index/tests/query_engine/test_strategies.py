"""Each strategy over a query engine: what it asks, what is judged, what is retrieved again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.query_engine import QueryPrompting, StrategyQueryEngine
from llama_index_thinktwice.verifiers import SourceGrounding

from thinktwice import AtMost, BestOfN, CritiqueRepair, ToolCheck, Verdict, Vote, collect
from thinktwice.vary import Vary
from thinktwice.verifiers import Grounding

APPLES, PEARS = "Apples cost 3 dollars.", "Pears cost 5 dollars."


def sources(prompt, response):
    """The texts of a response's own nodes."""
    return [each.text for each in response.source_nodes]


def asked(engine):
    """What the LLM of an engine was asked, in order."""
    return [each["text"] for each in engine._response_synthesizer._llm.log]


async def test_a_vote_counts_the_texts(call, engine, all_of):
    """Case and final punctuation aside."""
    inner = engine("Three", "four", "three.")
    wrapped = StrategyQueryEngine(inner, all_of(3), max_concurrency=1)
    assert str(await call(wrapped, "query", "apples?")) == "Three"


async def test_a_named_key_reads_the_response(call, engine, all_of):
    """As it reads a text."""
    inner = engine("It is 3.", "I think 3", "It is 4")
    wrapped = StrategyQueryEngine(inner, all_of(3, key="number"), max_concurrency=1)
    assert str(await call(wrapped, "query", "?")) == "It is 3."


@dataclass(frozen=True)
class Looking:
    """Scores by what it sees of sample and prompt."""

    seen: list
    name: str = "looking"
    exact: bool = False

    async def __call__(self, sample, /, *, prompt):
        self.seen.append((sample.value, prompt))
        return Verdict(outcome="scored", score=0.9 if "3" in sample.text else 0.1)


async def test_best_of_n_judges_responses_with_their_sources(call, engine):
    """And finds the user's question in the prompt."""
    seen = []
    wrapped = StrategyQueryEngine(engine("4", "3"), BestOfN(2, verifier=Looking(seen)))
    assert str(await call(wrapped, "query", QueryBundle("apples?"))) == "3"
    for value, prompt in seen:
        assert isinstance(value, Response)
        assert [each.text for each in value.source_nodes] == [APPLES]
        assert isinstance(prompt, QueryBundle)
        assert prompt.query_str == "apples?"


async def test_a_verifier_may_ask_another_engine_with_its_prompt(call, engine, retriever):
    """Which answers from what it retrieves itself."""
    other = retriever("Apples cost 3 dollars, says the other shop.")
    asked_too = StrategyQueryEngine(engine("yes", over=other), Vote(1))

    @dataclass(frozen=True)
    class SecondOpinion(Looking):
        async def __call__(self, sample, /, *, prompt):
            self.seen.append(await asked_too.aquery(prompt))
            return Verdict(outcome="pass")

    seen = []
    await call(
        StrategyQueryEngine(engine("3"), BestOfN(1, verifier=SecondOpinion(seen))), "query", "?"
    )
    assert len(other.queries) == 1
    assert [each.text for each in seen[0].source_nodes] == list(other.texts)


async def test_varied_prompts_are_answered_from_the_same_nodes(call, engine):
    """A function that edits the query keeps what was retrieved."""

    def shout(query):
        return replace(query, query_str=query.query_str.upper())

    inner = engine("3")
    strategy = Vote(2, vary=Vary(prompts=[shout]), stop=AtMost(2))
    await call(StrategyQueryEngine(inner, strategy), "query", "apples?")
    assert len(inner.retriever.queries) == 1
    assert all("APPLES?" in each for each in asked(inner))


async def test_a_repair_asks_the_synthesizer_again_and_retrieves_nothing(call, engine):
    """The draft contradicts its sources: they are read once more, with what is wrong."""
    inner = engine("Apples cost 4 dollars.", "Apples cost 3 dollars.")
    repair = CritiqueRepair(Grounding(sources))
    response = await call(StrategyQueryEngine(inner, repair), "query", "What do apples cost?")
    assert str(response) == "Apples cost 3 dollars."
    assert len(inner.retriever.queries) == 1
    second = asked(inner)[1]
    assert "Apples cost 4 dollars." in second
    assert "contradicted by passage 1" in second
    assert APPLES in second


async def test_missing_evidence_is_retrieved_again(call, engine, retriever):
    """By the user's words and the claim; what is found comes behind what there was."""
    found = retriever(APPLES, PEARS)
    inner = engine("Apples cost 3 dollars. Pears cost 5 dollars.", over=found)
    repair = CritiqueRepair(Grounding(sources))
    response = await call(StrategyQueryEngine(inner, repair), "query", "Apples?")
    assert [each.query_str for each in found.queries] == [
        "Apples?",
        "Apples?\nPears cost 5 dollars.",
    ]
    assert sources(None, response) == [APPLES, PEARS]
    assert [("Pears" in each.split("Query:")[0]) for each in asked(inner)] == [False, True]


@dataclass(frozen=True)
class Misses:
    """Fails the first attempts, each for another reason."""

    verdicts: list
    name: str = "misses"
    exact: bool = True

    async def __call__(self, sample, /, *, prompt):
        return self.verdicts[sample.index]


async def test_what_was_found_stays_for_later_rounds(call, engine, retriever):
    """Though the later feedback misses nothing."""
    found = retriever(APPLES, PEARS)
    inner = engine("one", "two", "three", over=found)
    verdicts = [
        Verdict(outcome="fail", feedback="And pears?", missing=("Pears",)),
        Verdict(outcome="fail", feedback="Be brief."),
        Verdict(outcome="pass"),
    ]
    wrapped = StrategyQueryEngine(inner, CritiqueRepair(Misses(verdicts), rounds=2))
    response = await call(wrapped, "query", "Apples?")
    assert str(response) == "three"
    assert len(found.queries) == 2
    assert sources(None, response) == [APPLES, PEARS]


async def test_nodes_of_the_caller_are_not_added_to(call, engine, nodes):
    """Who calls `synthesize` has retrieved."""
    inner = engine("Apples cost 3 dollars. Pears cost 5 dollars.")
    wrapped = StrategyQueryEngine(inner, CritiqueRepair(Grounding(sources)))
    response = await call(wrapped, "synthesize", QueryBundle("Apples?"), nodes(APPLES))
    assert inner.retriever.queries == []
    assert sources(None, response) == [APPLES]


async def test_per_sample_retrieval_repairs_by_the_user_s_words(call, engine, retriever):
    """Retrieval never sees the draft."""
    found = retriever(APPLES)
    inner = engine("Apples cost 4 dollars.", "Apples cost 3 dollars.", over=found)
    wrapped = StrategyQueryEngine(inner, CritiqueRepair(Grounding(sources)), retrieval="per_sample")
    assert str(await call(wrapped, "query", "Apples?")) == "Apples cost 3 dollars."
    assert [each.query_str for each in found.queries] == ["Apples?", "Apples?"]


async def test_an_engine_that_cannot_retrieve_embeds_the_user_s_words(call, whole):
    """It gets the draft in its query, and the user's words to embed."""
    inner = whole("bad", "good")
    verdicts = [Verdict(outcome="fail", missing=("Pears",)), Verdict(outcome="pass")]
    wrapped = StrategyQueryEngine(inner, CritiqueRepair(Misses(verdicts)))
    assert str(await call(wrapped, "query", "Apples?")) == "good"
    first, second = inner.queries
    assert first == QueryBundle("Apples?")
    assert "bad" in second.query_str
    assert second.custom_embedding_strs == ["Apples?\nPears"]


class Worded(QueryPrompting):
    """Reads in words what is missing."""

    def missing(self, feedback):
        return ("Pears",) if "no evidence" in feedback else ()


async def test_feedback_in_words_can_ask_for_retrieval_too(call, engine, retriever):
    """Of a judge that knows no other way to say it."""
    found = retriever(APPLES, PEARS)
    inner = engine("one", "two", over=found)
    verdicts = [Verdict(outcome="fail", feedback="There is no evidence."), Verdict(outcome="pass")]
    repair = CritiqueRepair(Misses(verdicts))
    response = await call(
        StrategyQueryEngine(inner, repair, prompting=Worded()), "query", "Apples?"
    )
    assert sources(None, response) == [APPLES, PEARS]


async def test_a_tool_check_grounds_in_the_sources(call, engine):
    """A wrong number is mended with what the source says."""
    inner = engine("Apples cost 4 dollars.", "Apples cost 3 dollars.")
    wrapped = StrategyQueryEngine(inner, ToolCheck(Grounding(sources)))
    assert str(await call(wrapped, "query", "Apples?")) == "Apples cost 3 dollars."
    assert len(inner.retriever.queries) == 1


async def test_a_strategy_inside_shares_the_retrieval_as_well(call, engine):
    """Best of two repairs: one retrieval for all their drafts."""
    inner = engine("Apples cost 4 dollars.", "Apples cost 3 dollars.")
    strategy = Vote(2, of=CritiqueRepair(Grounding(sources)), prefer="latency")
    with collect() as results:
        await call(StrategyQueryEngine(inner, strategy), "query", "Apples?")
    assert len(inner.retriever.queries) == 1
    assert len(results[0].nested) == results[0].launched


async def test_reflexion_starts_from_the_question(call, engine, scripted):
    """With what was learned, and without the draft."""
    inner = engine("Apples cost 4 dollars.", "Apples cost 3 dollars.")
    strategy = CritiqueRepair(Grounding(sources), mode="reflexion", critic=lambda _: "Read again.")
    assert str(await call(StrategyQueryEngine(inner, strategy), "query", "Apples?")).endswith(
        "3 dollars."
    )
    assert "Read again." in asked(inner)[1]
    assert "Apples cost 4 dollars." not in asked(inner)[1]


async def test_a_failed_sample_does_not_end_the_run(call, engine, all_of):
    """The others are counted."""
    inner = engine("3", RuntimeError("busy"), "3")
    assert str(await call(StrategyQueryEngine(inner, all_of(3)), "query", "?")) == "3"


async def test_where_all_samples_fail_the_error_is_that_of_the_llm(call, engine, all_of):
    """Unwrapped, with the books on it."""
    wrapped = StrategyQueryEngine(engine(RuntimeError("Detected nested async")), all_of(2))
    with pytest.raises(RuntimeError, match=r"^Detected nested async$") as caught:
        await call(wrapped, "query", "?")
    assert caught.value.thinktwice_result.ledger.total.calls == 2


async def test_a_real_index_finds_what_was_missing(call, index, embedding, scripted):
    """One node at a time: the second retrieval finds the other document."""
    llm = scripted("Paris is the capital of France. Berlin lies on the Spree.")
    inner = index.as_query_engine(llm=llm, similarity_top_k=1)
    wrapped = StrategyQueryEngine(inner, ToolCheck(SourceGrounding()))
    response = await call(wrapped, "query", "What is the capital of France?")
    assert embedding.embedded[0] == "What is the capital of France?"
    assert embedding.embedded[1].endswith("Berlin lies on the Spree.")
    assert [each.node.ref_doc_id for each in response.source_nodes] == ["doc-0", "doc-1"]
    assert response.metadata["thinktwice"]["stopped_by"] == "GoodEnough(score=1.0)"
