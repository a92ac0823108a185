"""What a rewrite finds, judged for the question."""

from __future__ import annotations

import threading

import pytest
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.evaluation import ContextRelevancyEvaluator, PairwiseComparisonEvaluator
from llama_index.core.postprocessor import LLMRerank, SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.transforms.evidence import Evidence
from llama_index_thinktwice.transforms.named import BestOfNQueryTransform
from llama_index_thinktwice.transforms.rewrite import Rewrite
from pydantic import Field

from thinktwice import Sample, UsageError, Verdict
from thinktwice.errors import ThinktwiceWarning
from thinktwice.verifiers import Tool

QUESTION = QueryBundle("Which town governs Germany?")


async def said(evidence, text, prompt=QUESTION):
    """The verdict on a rewrite."""
    return await evidence(Sample(index=0, value=text), prompt=prompt)


class Scores(BaseNodePostprocessor):
    """A reranker that gives each node the score it is told, and notes what it was asked for."""

    scores: list[float | None]
    asked: list[str] = Field(default_factory=list)
    threads: list[str] = Field(default_factory=list)

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.asked.append(query_bundle.query_str)
        self.threads.append(threading.current_thread().name)
        for node, score in zip(nodes, self.scores, strict=False):
            node.score = score  # as some rerankers do, in place
        return nodes[: len(self.scores)]


async def test_the_best_score_of_a_reranker_counts_for_the_question(shelf):
    """Not for the rewrite."""
    reranker = Scores(scores=[0.3, 0.7])
    verdict = await said(Evidence(shelf, reranker), "capital")
    assert (verdict.outcome, verdict.score) == ("scored", 0.7)
    assert reranker.asked == [QUESTION.query_str]


async def test_nodes_that_were_found_keep_their_scores(shelf):
    """A reranker gets copies."""
    found = []
    evidence = Evidence(shelf, Scores(scores=[0.1, 0.1]))
    original = shelf._found
    shelf._found = lambda *args: found.extend(original(*args)) or found
    await said(evidence, "capital")
    assert [node.score for node in found] == [0.9, 0.9]


@pytest.mark.parametrize(
    ("scores", "outcome", "score"),
    [([7.0], "scored", 0.7), ([], "scored", 0.0), ([None], "error", None)],
)
async def test_scores_of_another_range_are_scaled(shelf, scores, outcome, score):
    """And what gives none says nothing."""
    evidence = Evidence(shelf, Scores(scores=scores), score_range=(0, 10))
    verdict = await said(evidence, "rome")
    assert (verdict.outcome, verdict.score) == (outcome, score)


async def test_scores_out_of_range_say_what_to_give(shelf):
    """Rather than to count as the best there is."""
    with pytest.raises(UsageError, match=r"gave 7: give score_range="):
        await said(Evidence(shelf, Scores(scores=[7.0])), "rome")


async def test_llm_rerank_is_scaled_by_what_it_asks_for(shelf, scripted):
    """From 0 to 10; its call is booked as a verdict's."""
    reranker = LLMRerank(llm=scripted("Doc: 1, Relevance: 7"))
    evidence = Evidence(shelf, reranker)
    assert (await said(evidence, "rome")).score == 0.7
    assert (evidence.calls, evidence.role) == (1, "verify")


async def test_an_evaluator_gets_what_was_found_as_contexts(shelf, scripted):
    """Its score, scaled, and its feedback behind what was found."""
    evaluator = ContextRelevancyEvaluator(llm=scripted("Feedback: partly.\n\n[RESULT] 2.0"))
    evidence = Evidence(shelf, evaluator)
    verdict = await said(evidence, "rome")
    assert (evidence.calls, evidence.role) == (1, "verify")
    assert (verdict.outcome, verdict.score) == ("scored", 0.5)
    assert verdict.feedback.startswith("Searching with this found, of 1 texts:\n- rome hills tiber")
    assert "partly" in verdict.feedback


async def test_an_embedding_judges_by_the_nearest_text(shelf, embedding):
    """The cosine of question and text; never of rewrite and text."""
    near = await said(Evidence(shelf, embedding), "capital", QueryBundle("berlin capital germany"))
    far = await said(Evidence(shelf, embedding), "rome", QueryBundle("berlin capital germany"))
    assert near.score == pytest.approx(1.0)
    assert far.score < 0.5


async def test_an_embedding_is_asked_as_the_request_came_in(shelf, embedding, scripted, call):
    """By its sync methods on threads, or by its async ones."""
    verifier = Evidence(shelf, embedding)
    transform = BestOfNQueryTransform(2, llm=scripted("berlin"), verifier=verifier)
    query = await call(transform, "run", QueryBundle("germany"))
    assert query.embedding_strs == ["germany"]
    assert embedding.embedded == ["germany"] * 2


class Opposite(MockEmbedding):
    """One by which question and texts point away from each other."""

    def _get_text_embedding(self, text):
        return [-0.5] * self.embed_dim

    async def _aget_text_embedding(self, text):
        return [-0.5] * self.embed_dim


async def test_a_cosine_below_zero_is_none(shelf):
    """A score is in [0, 1]."""
    assert (await said(Evidence(shelf, Opposite(embed_dim=3)), "rome")).score == 0.0


async def test_a_verifier_gets_a_response_with_the_sources(shelf):
    """And the question as its prompt."""
    seen = []

    class Sees:
        name, exact, calls = "sees", False, 2

        async def __call__(self, sample, /, *, prompt):
            seen.append((sample.value, prompt))
            return Verdict(outcome="pass")

    evidence = Evidence(shelf, Sees())
    assert (await said(evidence, "rome")).outcome == "pass"
    response, prompt = seen[0]
    assert str(response) == "rome hills tiber"
    assert [node.text for node in response.source_nodes] == ["rome hills tiber"]
    assert prompt == QUESTION
    assert (evidence.calls, evidence.role) == (2, "verify")


async def test_a_function_gets_the_nodes(shelf):
    """Also none, for it may want to say something of that."""
    evidence = Evidence(shelf, lambda nodes: len(nodes) > 1)
    assert (await said(evidence, "capital")).outcome == "pass"
    assert (await said(evidence, "nowhere")).outcome == "fail"


async def test_nothing_found_scores_nothing_and_asks_nobody(shelf):
    """A reranker has nothing to rank."""
    reranker = Scores(scores=[1.0])
    verdict = await said(Evidence(shelf, reranker), "nowhere")
    assert (verdict.outcome, verdict.score) == ("scored", 0.0)
    assert verdict.feedback.startswith("Searching with this found nothing.")
    assert reranker.asked == []


@pytest.mark.parametrize(("score", "outcome"), [(0.6, "pass"), (0.59, "fail")])
async def test_a_score_from_the_threshold_on_is_a_pass(shelf, score, outcome):
    """It is good enough by definition, so nothing is asked twice."""
    evidence = Evidence(shelf, Scores(scores=[score]), threshold=0.6)
    verdict = await said(evidence, "rome")
    assert (verdict.outcome, verdict.score) == (outcome, score)
    assert (evidence.exact, Evidence(shelf, lambda _: 1.0).exact) == (True, False)


async def test_feedback_quotes_three_texts_at_most_and_those_in_part(make_shelf):
    """A prompt has an end."""
    shelf = make_shelf(*(f"king {at} " + "x" * 1000 for at in range(5)))
    feedback = (await said(Evidence(shelf, lambda _: 0.25), "king")).feedback
    assert feedback.count("\n- ") == 3
    assert "of 5 texts" in feedback
    assert feedback.endswith("what is missing is found.")
    assert "0.25 of 1" in feedback
    assert len(feedback) < 1200


async def test_a_rewrite_is_searched_for_with_its_bundle(shelf):
    """A text that is none with itself."""
    bundle = QueryBundle("q", custom_embedding_strs=["rome", "berlin"], embedding=None)
    evidence = Evidence(shelf, lambda nodes: len(nodes) / 10)
    assert (await said(evidence, Rewrite("x", bundle))).score == 0.2
    assert bundle.embedding is None
    assert (await said(evidence, "rome", "Who?")).score == 0.1


async def test_a_retriever_without_an_async_method_runs_on_a_thread(blocking_shelf, shelf):
    """The base class would block the event loop."""
    await said(Evidence(blocking_shelf, lambda _: 1.0), "rome")
    assert shelf.ways == ["sync in thinktwice"]


async def test_a_query_engine_retrieves_with_its_postprocessors(shelf, scripted, call):
    """Such as a cutoff."""
    engine = RetrieverQueryEngine.from_args(
        shelf,
        llm=scripted("x"),
        node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=0.95)],
    )
    evidence = Evidence(engine, lambda nodes: len(nodes) == 0)
    transform = BestOfNQueryTransform(2, llm=scripted("rome"), verifier=evidence)
    made = await call(transform, "run_with_result", "tiber")
    assert [verdict.outcome for verdict in made.result.verdicts] == ["pass", "pass"]


async def test_a_sync_request_reranks_on_threads(shelf, scripted, call):
    """Async ones by `apostprocess_nodes`, which for this reranker is a thread of LlamaIndex's."""
    reranker = Scores(scores=[0.5], threads=[])
    transform = BestOfNQueryTransform(2, llm=scripted("rome"), verifier=Evidence(shelf, reranker))
    await call(transform, "run", "tiber")
    assert "MainThread" not in reranker.threads
    assert ("thinktwice" in reranker.threads) is not call.awaits


async def test_calls_of_a_judge_are_booked_as_verdicts(shelf, scripted, call):
    """With their tokens."""
    reranker = LLMRerank(llm=scripted("Doc: 1, Relevance: 7"))
    transform = BestOfNQueryTransform(2, llm=scripted("rome"), verifier=Evidence(shelf, reranker))
    made = await call(transform, "run_with_result", "tiber")
    by_role = made.result.ledger.by_role
    assert (by_role["sample"].calls, by_role["verify"].calls) == (1, 2)
    assert by_role["verify"].usage.output_tokens == 10


class Deaf(BaseQueryEngine):
    """An engine that can only be queried."""

    def __init__(self):
        super().__init__(None)

    def _get_prompt_modules(self):
        return {}

    def _query(self, query_bundle):
        return None

    async def _aquery(self, query_bundle):
        return None


class DeafLater(Deaf):
    """One that says so only when it is asked to retrieve."""

    def retrieve(self, query_bundle):
        raise NotImplementedError


async def test_what_cannot_retrieve_says_what_to_give(index, shelf):
    """At construction where that can be seen, else when it is asked."""
    for given in (index, Deaf(), "shelf", None, shelf.retrieve):
        with pytest.raises(UsageError, match=r"index\.as_retriever\(\)") as caught:
            Evidence(given, lambda _: 1.0)
        assert caught.value.parameter == "retriever"
    with pytest.raises(UsageError, match="retriever"):
        await said(Evidence(DeafLater(), lambda _: 1.0), "rome")


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"judge": "good"}, "judge"),
        ({"judge": Tool}, "judge"),
        ({"threshold": 7}, "threshold"),
        ({"score_range": (1, 0)}, "score_range"),
        ({"score_range": 10}, "score_range"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(shelf, given, parameter):
    """At construction."""
    with pytest.raises(UsageError) as caught:
        Evidence(shelf, **{"judge": lambda _: 1.0, **given})
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("said_of_them", "remedy"), [("good", "return a bool"), (9, "scale the score")]
)
async def test_what_a_function_says_is_refused_as_the_judges(shelf, said_of_them, remedy):
    """That is the parameter it was given as."""
    with pytest.raises(UsageError, match=f"judge=.*{remedy}"):
        await said(Evidence(shelf, lambda _: said_of_them), "rome")


def test_what_is_no_judge_says_what_is_one(shelf):
    """Rerankers, evaluators and embeddings among them."""
    with pytest.raises(UsageError, match=r"judge=3: give a reranker, an evaluator"):
        Evidence(shelf, 3)


def test_an_evaluator_that_compares_is_refused(shelf, scripted):
    """It has nothing to compare."""
    with pytest.raises(UsageError, match="evaluator"):
        Evidence(shelf, PairwiseComparisonEvaluator(llm=scripted("x")))


def test_the_embedding_of_the_retriever_itself_is_warned_of(index, embedding, fresh_remarks):
    """By that, nothing beats the question: all calls would be for nothing."""
    with pytest.warns(ThinktwiceWarning, match="the retriever's own"):
        Evidence(index.as_retriever(), embedding)


async def test_by_the_embedding_of_the_retriever_the_question_always_wins(
    index, embedding, scripted, silent_remarks
):
    """Why that is warned of: shown, not claimed."""
    evidence = Evidence(index.as_retriever(similarity_top_k=1), embedding)
    llm = scripted("Berlin Germany", "Rome hills Tiber", "Eiffel tower")
    for question in ("capital of Germany", "seven hills", "a tower somewhere"):
        query = await BestOfNQueryTransform(4, llm=llm, verifier=evidence).arun(question)
        assert query.embedding_strs == [question]
