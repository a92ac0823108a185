"""What a rewrite finds, judged for the question that was asked."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llama_index.core.base.response.schema import Response
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.evaluation import BaseEvaluator
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore

from llama_index_thinktwice.finding import check_finder, found
from llama_index_thinktwice.solver import either
from llama_index_thinktwice.transforms.rewrite import asked_of, bundle_of
from llama_index_thinktwice.verifiers.evaluators import EvaluatorVerifier
from thinktwice import Sample, UsageError, Verdict
from thinktwice.errors import is_number
from thinktwice.remarks import tell_once
from thinktwice.repair.asking import cleaned
from thinktwice.verifiers.adapt import as_verifier, broken, check_verifier, name_of
from thinktwice.verifiers.judge import check_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.schema import QueryBundle

    from llama_index_thinktwice.finding import Finder
    from thinktwice.entry import Role
    from thinktwice.protocols import Verifier

    Judging: TypeAlias = (
        BaseNodePostprocessor
        | BaseEvaluator
        | BaseEmbedding
        | Verifier[object]
        | Callable[[list[NodeWithScore]], Any]
    )

_RANGES: Final = {"LLMRerank": (0.0, 10.0)}  # it asks for "a number from 1-10"
_SHOWN: Final = 3
_QUOTED: Final = 300
_SCORED: Final = (
    "For the question that scored {score:.2f} of 1. Search so that what is missing is found."
)
_NO_JUDGE: Final = (
    "give a reranker, an evaluator, an embedding, a verifier, or a function of the nodes"
)
_NOTHING: Final = "Searching with this found nothing."
_SAME: Final = (
    "the embedding that judges is the retriever's own, by which the question itself always finds "
    "the best: give judge= a reranker, an evaluator or another embedding"
)


@dataclass(frozen=True)
class Evidence:
    """Scores a rewrite by what is retrieved with it, for the user's question.

    Never by how near the rewrite is to what it found: a query that is off the topic may be very
    near to a text that is.

    The judge may be

    - a reranker, or another node postprocessor: the score that it gives to the best node;
    - an evaluator, such as `ContextRelevancyEvaluator`, which gets the nodes as contexts;
    - an embedding: the cosine of question and best node. Not the retriever's own embedding: by
      that, nothing beats the question itself;
    - a verifier, which gets a `Response` with the nodes as `source_nodes`;
    - a function of the nodes that returns bool, a number in [0, 1] or a `Verdict`.

    Cost: one retrieval a verdict, and the calls of the judge.

    Attributes:
        retriever: What finds: a retriever, or a query engine that can retrieve.
        judge: As above.
        threshold: Score from which on it passes, and below which it fails: what reaches it is good
            enough by definition, so that nothing is asked twice, or drawn after it. Without one a
            score is never a pass.
        score_range: Lowest and highest score of a postprocessor or evaluator, which become 0 and 1;
            known for `LLMRerank` and the evaluators of LlamaIndex, else (0, 1).
        name: Shown in verdicts and spans.

    Raises:
        UsageError: A retriever that cannot retrieve, or another unusable parameter.
    """

    retriever: Finder
    judge: Judging
    _: KW_ONLY
    threshold: float | None = None
    score_range: tuple[float, float] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_finder(self.retriever)
        if not isinstance(self.judge, _OBJECTS):
            if not callable(self.judge):
                raise UsageError("judge", self.judge, _NO_JUDGE)
            check_verifier(self.judge, "judge")
        if self.score_range is not None:
            check_scale(self.score_range, "score_range")
        threshold = self.threshold
        if threshold is not None and not (is_number(threshold) and 0 <= threshold <= 1):
            raise UsageError("threshold", threshold, "give a score in [0, 1], or None")
        if isinstance(self.judge, BaseEvaluator):
            self._evaluator()  # which says what is wrong with it
        own = getattr(self.retriever, "_embed_model", None)
        if isinstance(self.judge, BaseEmbedding) and self.judge is own:
            tell_once(_SAME)
        object.__setattr__(self, "name", self.name or f"evidence:{name_of(self.judge)}")

    @property
    def exact(self) -> bool:
        """A pass is what was asked for: there is a threshold."""
        return self.threshold is not None

    @property
    def calls(self) -> int:
        """LLM calls a verdict, as far as the judge says."""
        if isinstance(self.judge, BaseEvaluator):
            return self._evaluator().calls
        counted = getattr(self.judge, "calls", None)
        return counted if isinstance(counted, int) else int(hasattr(self.judge, "llm"))

    @property
    def role(self) -> Role:
        """In the ledger: "tool" if the judge calls no LLM; it would say the same again."""
        return "verify" if self.calls else "tool"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Retrieve with the rewrite, and judge what was found for the question."""
        nodes = await found(self.retriever, bundle_of(sample.value))
        verdict = await self._said(nodes, sample, asked_of(prompt))
        if verdict.outcome == "scored" and self.threshold is not None:
            passed = (verdict.score or 0.0) >= self.threshold
            verdict = replace(verdict, outcome="pass" if passed else "fail")
        if verdict.outcome not in {"scored", "fail"}:
            return verdict
        said = verdict.feedback or _SCORED.format(score=verdict.score or 0.0)
        return replace(verdict, feedback=f"{_shown(nodes)}\n{said}")

    async def _said(
        self, nodes: list[NodeWithScore], sample: Sample[object], question: QueryBundle
    ) -> Verdict:
        """What the judge says of the nodes."""
        judge = self.judge
        if not isinstance(judge, _OBJECTS):
            verifier = as_verifier(cast("Any", judge))
            value = _response(nodes) if verifier is judge else nodes
            try:
                return await verifier(replace(sample, value=value, text=None), prompt=question)
            except UsageError as error:
                if verifier is judge or error.parameter != "verifier":
                    raise
                raise UsageError("judge", error.value, error.remedy) from None
        if not nodes:
            return Verdict(outcome="scored", score=0.0)
        if isinstance(judge, BaseEvaluator):
            judged = replace(sample, value=_response(nodes), text=None)
            return await self._evaluator()(judged, prompt=question)
        if isinstance(judge, BaseEmbedding):
            return await _near(judge, nodes, question.query_str)
        return self._ranked(await _reranked(judge, nodes, question))

    def _evaluator(self) -> EvaluatorVerifier:
        evaluator = cast("BaseEvaluator", self.judge)
        return EvaluatorVerifier(evaluator, score_range=self.score_range)

    def _ranked(self, nodes: Sequence[NodeWithScore]) -> Verdict:
        """The best score that a postprocessor gave."""
        scores = [each.score for each in nodes if each.score is not None]
        if not scores:
            return (
                broken("the judge gave no score") if nodes else Verdict(outcome="scored", score=0.0)
            )
        low, high = self.score_range or _RANGES.get(type(self.judge).__name__, (0.0, 1.0))
        score = (max(scores) - low) / (high - low)
        if not 0 <= score <= 1:
            remedy = f"the judge gave {max(scores):g}: give score_range=(lowest, highest)"
            raise UsageError("score_range", self.score_range, remedy)
        return Verdict(outcome="scored", score=score)


_OBJECTS: Final = (BaseNodePostprocessor, BaseEvaluator, BaseEmbedding)


# ---- judging ------------------------------------------------------------------------------------


async def _reranked(
    judge: BaseNodePostprocessor, nodes: Sequence[NodeWithScore], question: QueryBundle
) -> list[NodeWithScore]:
    given = [NodeWithScore(node=each.node, score=each.score) for each in nodes]
    return await either(
        lambda: judge.postprocess_nodes(given, question),
        lambda: judge.apostprocess_nodes(given, question),
    )


async def _near(judge: BaseEmbedding, nodes: Sequence[NodeWithScore], question: str) -> Verdict:
    """The cosine of a question and the nearest node."""
    texts = [each.node.get_content(MetadataMode.EMBED) for each in nodes]

    def sync() -> tuple[list[float], list[list[float]]]:
        return judge.get_query_embedding(question), judge.get_text_embedding_batch(texts)

    async def asynchronous() -> tuple[list[float], list[list[float]]]:
        asked = await judge.aget_query_embedding(question)
        return asked, await judge.aget_text_embedding_batch(texts)

    asked, embedded = await either(sync, asynchronous)
    nearest = max(float(judge.similarity(asked, each)) for each in embedded)
    return Verdict(outcome="scored", score=min(max(nearest, 0.0), 1.0))


def _response(nodes: Sequence[NodeWithScore]) -> Response:
    """The nodes as what answers: their texts, with themselves as sources."""
    texts = [each.node.get_content() for each in nodes]
    return Response("\n\n".join(texts), source_nodes=list(nodes))


def _shown(nodes: Sequence[NodeWithScore]) -> str:
    """What was found, for the LLM that rewrites."""
    if not nodes:
        return _NOTHING
    texts = (cleaned(each.node.get_content(), _QUOTED) for each in nodes[:_SHOWN])
    lines = "\n".join(f"- {text}" for text in texts)
    return f"Searching with this found, of {len(nodes)} texts:\n{lines}"
