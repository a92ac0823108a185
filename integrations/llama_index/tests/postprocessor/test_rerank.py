"""Votes and best-of-N over rankings of nodes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor import LLMRerank, SimilarityPostprocessor
from llama_index.core.postprocessor.rankGPT_rerank import RankGPTRerank
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index_thinktwice.postprocessor import Ranking, StrategyRerank, counted
from pydantic import Field

from thinktwice import AtMost, BestOfN, Budget, BudgetExceeded, UsageError, Verdict, Vote, collect
from thinktwice.answers import default_key, text_in


def retrieved(names="abcd"):
    """Nodes by name, as a retriever scores them."""
    return [NodeWithScore(node=TextNode(text=f"text {n}", id_=n), score=0.5) for n in names]


def ranking(names):
    """A ranking of nodes by name."""
    return Ranking(retrieved(names))


def names_of(nodes):
    """The names of nodes, in order."""
    return "".join(each.node.node_id for each in nodes)


class Ranks(BaseNodePostprocessor):
    """Ranks by its rankings in turn, whatever it is shown; an exception is raised."""

    rankings: list
    shown: list = Field(default_factory=list)

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.shown.append(names_of(nodes))
        return self._next(nodes)

    async def _apostprocess_nodes(self, nodes, query_bundle=None):
        self.shown.append(names_of(nodes))
        return self._next(nodes)

    def _next(self, nodes):
        found = self.rankings[(len(self.shown) - 1) % len(self.rankings)]
        if isinstance(found, Exception):
            raise found
        by_name = {each.node.node_id: each for each in nodes}
        return [by_name[name] for name in found]


def ranks(*rankings):
    """A reranker with these rankings."""
    return Ranks(rankings=list(rankings))


def voting(reranker, n=3, **settings):
    """A vote of all n over a reranker."""
    return StrategyRerank(reranker=reranker, strategy=Vote(n, stop=AtMost(n)), **settings)


class TestVote:
    """A vote over rankings is counted by node."""

    async def test_counts_points_by_place(self, call):
        """The node that most rankings put high wins, though no two rankings are the same."""
        rerank = voting(ranks("abcd", "bacd", "bdca"))
        nodes = await call(rerank, "postprocess_nodes", retrieved(), query_str="?")
        assert names_of(nodes) == "bacd"
        assert [each.score for each in nodes] == pytest.approx([11 / 12, 8 / 12, 6 / 12, 5 / 12])

    async def test_returns_new_objects_and_keeps_the_old(self, call):
        """What was retrieved is as it was."""
        given_nodes = retrieved()
        nodes = await call(voting(ranks("ba")), "postprocess_nodes", given_nodes, query_str="?")
        assert names_of(given_nodes) == "abcd"
        assert {each.score for each in given_nodes} == {0.5}
        assert not {id(each) for each in nodes} & {id(each) for each in given_nodes}

    async def test_returns_top_n(self, call):
        """No more than asked for, and none that no ranking has."""
        rerank = voting(ranks("ab", "ba"), top_n=1)
        assert names_of(await call(rerank, "postprocess_nodes", retrieved(), query_str="?")) == "a"

    async def test_settles_on_what_is_returned(self):
        """The order of nodes that are not returned does not keep a vote waiting."""
        reranker = ranks("abcd", "abdc", "abcd", "abdc", "abcd", "abdc", "abcd")
        with collect() as results:
            await StrategyRerank(reranker=reranker, strategy=Vote(7), top_n=2).apostprocess_nodes(
                retrieved(), query_str="?"
            )
        assert len(results[0].samples) < 7
        assert results[0].agreement == 1.0

    async def test_a_failure_is_no_vote(self, call):
        """An exception of one sample leaves the others; that of all is raised as it is."""
        rerank = voting(ranks(ValueError("unreadable"), "ba", "ba"))
        assert names_of(await call(rerank, "postprocess_nodes", retrieved(), query_str="?")) == "ba"
        with pytest.raises(ValueError, match="unreadable"):
            await call(
                voting(ranks(ValueError("unreadable"))), "postprocess_nodes", retrieved(), None, "?"
            )

    async def test_empty_rankings_abstain(self, call, silent_remarks):
        """What no model could rank stays as it was retrieved."""
        nodes = await call(
            voting(ranks("", "", ""), top_n=2), "postprocess_nodes", retrieved(), None, "?"
        )
        assert names_of(nodes) == "ab"
        assert [each.score for each in nodes] == [0.5, 0.5]

    async def test_its_own_key_decides(self, call):
        """With a key, the ranking that most share is returned as the reranker scored it."""
        first = Vote(3, stop=AtMost(3), key=lambda ranking: ranking.ids[0])
        rerank = StrategyRerank(reranker=ranks("adcb", "bacd", "abcd"), strategy=first)
        nodes = await call(rerank, "postprocess_nodes", retrieved(), query_str="?")
        assert names_of(nodes)[0] == "a"
        assert {each.score for each in nodes} == {0.5}

    async def test_no_nodes_cost_nothing(self, call):
        """There is nothing to rank."""
        reranker = ranks("a")
        assert await call(voting(reranker), "postprocess_nodes", [], query_str="?") == []
        assert reranker.shown == []


class TestOrder:
    """Samples are shown the nodes in orders of their own."""

    async def test_each_sample_sees_another_order(self):
        """The first sees that of the retriever; the others repeatably differ."""
        seen = []
        for _ in range(2):
            reranker = ranks("abcd")
            await voting(reranker, 4).apostprocess_nodes(retrieved(), query_str="?")
            seen.append(sorted(reranker.shown))
        assert seen[0] == seen[1]
        assert "abcd" in seen[0]
        assert len(set(seen[0])) >= 3
        assert {"".join(sorted(each)) for each in seen[0]} == {"abcd"}

    async def test_can_be_kept(self):
        """Without shuffling all see that of the retriever."""
        reranker = ranks("abcd")
        await voting(reranker, 4, shuffle=False).apostprocess_nodes(retrieved(), query_str="?")
        assert set(reranker.shown) == {"abcd"}

    async def test_cancels_what_the_place_does(self):
        """A model that likes what comes first ranks by chance, and its vote does not count much."""

        class LikesFirst(Ranks):
            def _next(self, nodes):
                return list(nodes)

        rerank = voting(LikesFirst(rankings=[]), 64)
        nodes = await rerank.apostprocess_nodes(retrieved(), query_str="?")
        assert max(each.score for each in nodes) - min(each.score for each in nodes) < 0.2


class TestOtherStrategies:
    """The others return one of the rankings."""

    async def test_best_of_n_by_a_verifier(self, call):
        """The verifier sees a ranking and the question."""
        prompts = []

        class PrefersC:
            name = "prefers_c"
            exact = True

            async def __call__(self, sample, /, *, prompt):
                prompts.append(prompt.query_str)
                passes = sample.value.ids[0] == "c"
                return Verdict(outcome="pass" if passes else "fail")

        rerank = StrategyRerank(
            reranker=ranks("ab", "ca", "ba"), strategy=BestOfN(3, verifier=PrefersC())
        )
        nodes = await call(rerank, "postprocess_nodes", retrieved(), query_str="which?")
        assert names_of(nodes) == "ca"
        assert set(prompts) == {"which?"}


class TestLlamaIndex:
    """It is a postprocessor as any other."""

    def test_is_a_postprocessor(self):
        """By base class and name; what is inside is no part of its dump."""
        rerank = voting(ranks("a"))
        assert "BaseNodePostprocessor" in [each.__name__ for each in type(rerank).__mro__]
        assert rerank.class_name() == "StrategyRerank"
        assert "reranker" not in rerank.to_dict()

    async def test_in_a_query_engine(self, index, scripted, call):
        """It is called on what was retrieved, and the synthesizer gets what it returns."""
        llm = scripted("Doc: 2, Relevance: 9", "Doc: 2, Relevance: 8", "Doc: 2, Relevance: 9")
        rerank = voting(LLMRerank(llm=llm), top_n=1, shuffle=False)
        writer = scripted("Berlin")
        engine = RetrieverQueryEngine.from_args(
            index.as_retriever(similarity_top_k=3), llm=writer, node_postprocessors=[rerank]
        )
        response = await call(engine, "query", "capital of Germany?")
        assert llm.calls == 3
        assert writer.calls == 1
        assert len(response.source_nodes) == 1
        assert response.source_nodes[0].score == 1.0
        assert isinstance(rerank.callback_manager, CallbackManager)

    async def test_sync_is_sync_and_async_is_async(self, scripted, call):
        """The reranker's LLM is called as the postprocessor was."""
        llm = scripted("Doc: 1, Relevance: 9")
        rerank = voting(LLMRerank(llm=llm), shuffle=False)
        await call(rerank, "postprocess_nodes", retrieved(), query_str="?")
        awaits = call.awaits and "_apostprocess_nodes" in vars(LLMRerank)  # else it has no such way
        assert {each["method"] for each in llm.log} == {"achat" if awaits else "chat"}

    async def test_calls_are_booked(self, scripted, call):
        """Each ranking is a call of its sample, in tokens as the provider said."""
        llm = scripted("Doc: 1, Relevance: 9")
        with collect() as results:
            await call(voting(LLMRerank(llm=llm)), "postprocess_nodes", retrieved(), query_str="?")
        total = results[0].ledger.total
        assert total.calls == llm.calls == 3
        assert total.usage.output_tokens == 15

    async def test_malformed_replies_of_llm_rerank_abstain(self, scripted, call):
        """Nonsense of two samples does not outvote one that can be read."""
        llm = scripted("no idea", "Doc: 3, Relevance: 9", "Doc 1 is best")
        rerank = voting(LLMRerank(llm=llm), shuffle=False)
        nodes = await call(rerank, "postprocess_nodes", retrieved(), query_str="?")
        assert names_of(nodes) == "c"

    async def test_rank_gpt(self, scripted, call):
        """A model that always finds the same text relevant wins over its place."""

        def finds_c(request):
            shown = "\n".join(str(each.content) for each in request["given"])
            return f"[{re.search(r'.(.). text c', shown).group(1)}]"

        llm = scripted(finds_c)
        reranker = RankGPTRerank(llm=llm, top_n=4)
        nodes = await call(voting(reranker, 5), "postprocess_nodes", retrieved(), query_str="?")
        assert names_of(nodes)[0] == "c"
        assert nodes[0].score == 1.0

    async def test_a_stale_embedding_stays_with_its_sample(self):
        """Each sample has a bundle of its own."""
        bundles = []

        class Notes(Ranks):
            async def _apostprocess_nodes(self, nodes, query_bundle=None):
                bundles.append(query_bundle)
                query_bundle.embedding = [1.0]
                return nodes

        asked = QueryBundle("?", custom_embedding_strs=["other"])
        await voting(Notes(rankings=[])).apostprocess_nodes(retrieved(), asked)
        assert asked.embedding is None
        assert len({id(each) for each in bundles}) == 3
        assert {tuple(each.embedding_strs) for each in bundles} == {("other",)}

    def test_prompts_are_those_of_the_reranker(self, scripted):
        """They can be read and replaced from outside."""
        reranker = LLMRerank(llm=scripted("x"))
        rerank = voting(reranker)
        assert list(rerank._get_prompts()) == ["choice_select_prompt"]
        rerank._update_prompts({"choice_select_prompt": PromptTemplate("{query_str}")})
        assert reranker.choice_select_prompt.get_template() == "{query_str}"


class TestBudgets:
    """They are kept as estimates."""

    async def test_cuts_what_does_not_fit(self, scripted, call, silent_remarks):
        """A budget of two calls leaves the rankings that there are."""
        llm = scripted("Doc: 2, Relevance: 9", seconds=0.01)
        rerank = voting(
            LLMRerank(llm=llm),
            6,
            max_concurrency=1,
            budget=Budget(calls=2, tokens=99_999),
            shuffle=False,
        )
        with collect() as results:
            nodes = await call(rerank, "postprocess_nodes", retrieved(), query_str="?")
        assert names_of(nodes) == "b"
        assert results[0].cut.kind == "calls"
        assert results[0].ledger.enforcement["tokens"] == "estimated"
        assert llm.calls < 6

    async def test_strict_is_refused(self):
        """Nobody could keep it."""
        with pytest.raises(UsageError, match="strict"):
            voting(ranks("a"), budget=Budget(calls=3, strict=True))

    async def test_nothing_in_time_raises(self, scripted):
        """There is no ranking to return."""
        rerank = voting(LLMRerank(llm=scripted("x", seconds=5.0)), budget=Budget(seconds=0.02))
        with pytest.raises(BudgetExceeded):
            await rerank.apostprocess_nodes(retrieved(), query_str="?")


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("reranker", lambda: StrategyRerank(reranker="x", strategy=Vote(2))),
        ("strategy", lambda: StrategyRerank(reranker=ranks("a"), strategy="vote")),
        ("top_n", lambda: voting(ranks("a"), top_n=0)),
        ("shuffle", lambda: voting(ranks("a"), shuffle="yes")),
        (
            "weight",
            lambda: StrategyRerank(reranker=ranks("a"), strategy=Vote(2, weight=lambda _: 1)),
        ),
        ("bugdet", lambda: voting(ranks("a"), bugdet=1)),
    ],
)
def test_bad_input_says_what_to_do(parameter, wrong):
    """Each names the parameter."""
    with pytest.raises(UsageError) as error:
        wrong()
    assert error.value.parameter == parameter


def test_true_is_no_number():
    """A flag in the place of a count is a mistake."""
    with pytest.raises(UsageError, match="top_n"):
        voting(ranks("a"), top_n=True)


def test_works_over_what_asks_no_model():
    """Any postprocessor will do, though a vote over it decides nothing."""
    rerank = voting(SimilarityPostprocessor(similarity_cutoff=0.4))
    assert names_of(rerank.postprocess_nodes(retrieved(), query_str="?")) == "abcd"


class TestRanking:
    """What a sample comes to."""

    def test_is_told_apart_by_order(self):
        """The same nodes in another order are another answer, and none is none."""
        assert default_key(ranking("ab")) == ("a", "b")
        assert default_key(ranking("ba")) != default_key(ranking("ab"))
        assert default_key(ranking("")) is None

    def test_is_read_by_judges(self):
        """The texts in order."""
        assert text_in(ranking("ba")) == "text b\n\ntext a"


orders = st.lists(st.permutations("abcde").map("".join), min_size=1, max_size=6)


class TestCounting:
    """Borda's count, as algebra."""

    @given(orders)
    def test_does_not_depend_on_the_order_of_samples(self, names):
        """A vote is a sum."""
        nodes, rankings = retrieved("abcde"), [ranking(each) for each in names]
        forwards, backwards = counted(rankings, nodes), counted(rankings[::-1], nodes)
        assert [(e.node.node_id, e.score) for e in forwards] == [
            (e.node.node_id, e.score) for e in backwards
        ]

    @given(orders)
    def test_follows_a_unanimous_preference(self, names):
        """What all rankings put above another comes out above it."""
        merged = names_of(counted([ranking(each) for each in names], retrieved("abcde")))
        for better in "abcde":
            for worse in "abcde":
                if all(each.index(better) < each.index(worse) for each in names):
                    assert merged.index(better) < merged.index(worse)

    @given(orders, st.integers(1, 5))
    def test_scores_are_shares(self, names, length):
        """In (0, 1], falling; what a short ranking leaves out gets nothing from it."""
        cut = [ranking(each[:length]) for each in names]
        scores = [each.score for each in counted(cut, retrieved("abcde"))]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < each <= 1 for each in scores)
        assert len(scores) == len(set("".join(each[:length] for each in names)))

    @given(st.permutations("abcde").map("".join), st.integers(1, 5))
    def test_of_one_opinion_is_that(self, order, n):
        """Any number of the same ranking comes out as that."""
        assert names_of(counted([ranking(order)] * n, retrieved("abcde"))) == order
